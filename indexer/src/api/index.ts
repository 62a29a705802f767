// Ponder requires this file. Nothing is served here: other processes read the views in the schema `chain` by SQL.
import { Hono } from 'hono';

export default new Hono();
