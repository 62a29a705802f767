/**
 * The limit that creating a payment is held against: the same rows, written by one prepared statement through the same client
 * on 16 connections, without HTTP, validation, tokens or a word to the workers.
 */
import { randomUUID } from 'node:crypto';
import postgres from 'postgres';
import { v7 as uuidv7 } from 'uuid';
import type { Installation } from './api-stage.ts';

const CONNECTIONS = 16;

type Row = Record<string, unknown>;

/** The rows of one payment, table by table, as the API wrote them. */
type Model = { table: string; row: Row }[];

/** Writes payments as fast as the database takes them. */
export class Limit {
  readonly #sql: postgres.Sql;
  readonly #statement: string;
  readonly #model: Model;

  private constructor(sql: postgres.Sql, model: Model) {
    this.#sql = sql;
    this.#model = model;
    let parameter = 0;
    const inserts = model.map(({ table, row }) => {
      const places = Object.keys(row).map(() => {
        parameter += 1;
        return `$${parameter}`;
      });
      return `insert into ${table} (${Object.keys(row).join(', ')}) values (${places.join(', ')})`;
    });
    const last = inserts.pop();
    this.#statement = `with ${inserts.map((insert, index) => `w${index} as (${insert})`).join(', ')} ${last}`;
  }

  /** Takes the payment that the API created last as the model of every other one. */
  static async like({ databaseUrl, nodeId }: Installation): Promise<Limit> {
    const sql = postgres(databaseUrl, { max: CONNECTIONS, onnotice: () => {} });
    /** The newest row of a table, with the columns that a writer gives. */
    const newest = async (table: string, where: string, values: string[] = []): Promise<Model[number]> => {
      const given = await sql<{ name: string }[]>`
        select attname as name from pg_attribute
        where attrelid = ${table}::regclass and attnum > 0 and not attisdropped and attidentity = '' and attgenerated = ''`;
      const names = given.map(({ name }) => name).join(', ');
      const [row] = await sql.unsafe<Row[]>(
        `select ${names} from ${table} where ${where} order by created_at desc limit 1`,
        values,
      );
      if (!row) throw new Error(`A created payment left no row in ${table}.`);
      return { table, row };
    };
    const payment = await newest('payment', 'node_id = $1', [nodeId]);
    const id = String(payment.row.id);
    const job = await sql<Row[]>`
      select task_id, payload, max_attempts, key from graphile_worker._private_jobs where key like ${`%${id}`}`;
    const [deal] = await sql<Row[]>`select * from deal where node_id = ${nodeId} and payment_id = ${id}`;
    return new Limit(sql, [
      payment,
      { table: 'deal', row: deal ?? {} },
      await newest('payment_log', 'node_id = $1 and payment_id = $2', [nodeId, id]),
      await newest('idempotent_request', 'true'),
      { table: 'graphile_worker._private_jobs', row: job[0] ?? {} },
    ]);
  }

  /** Payments a second, over `seconds`, with as many at once as there are connections. */
  async run(seconds: number): Promise<number> {
    const startedAt = performance.now();
    let count = 0;
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        while (performance.now() - startedAt < seconds * 1_000) {
          await this.#sql.unsafe(this.#statement, this.#next(), { prepare: true });
          count += 1;
        }
      }),
    );
    return (count * 1_000) / (performance.now() - startedAt);
  }

  /** The model's values with names and ids of their own. */
  #next(): postgres.ParameterOrJSON<never>[] {
    const [paymentId, key] = [uuidv7(), randomUUID()];
    return this.#model.flatMap(({ table, row }) => {
      const own: Row = { id: table === 'payment' ? paymentId : uuidv7(), payment_id: paymentId, external_id: key, key };
      if (table === 'deal') delete own.external_id;
      return Object.entries(row).map(([column, value]) => (column in own ? own[column] : value));
    }) as postgres.ParameterOrJSON<never>[];
  }

  async close(): Promise<void> {
    await this.#sql.end();
  }
}
