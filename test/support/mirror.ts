/** Reads the indexer's views as another process would, and waits for what has to appear in them. */
import type { Hex } from 'viem';
import { expect } from 'vitest';
import type { Sql } from '../../api/core/database/db.ts';

const WAIT_MS = 15_000;

/** A row of a view, columns in camelCase, numerics as bigint. */
export type MirrorRow = Record<string, unknown>;

/** The mirrored deal, or undefined. */
export async function readDeal(sql: Sql, id: Hex): Promise<MirrorRow | undefined> {
  return (await sql<MirrorRow[]>`select * from chain.deal where id = ${id}`)[0];
}

/** What happened to a deal, in the chain's order. */
export async function readEvents(sql: Sql, id: Hex): Promise<MirrorRow[]> {
  return await sql<MirrorRow[]>`select * from chain.deal_event where deal_id = ${id} order by block_number, log_index`;
}

/** Waits until the deal has been mirrored with these columns, and answers its row. */
export async function untilDeal(sql: Sql, id: Hex, columns: MirrorRow): Promise<MirrorRow> {
  await expect.poll(() => readDeal(sql, id), { timeout: WAIT_MS }).toMatchObject(columns);
  return (await readDeal(sql, id)) ?? {};
}

/** The last block that the indexer has worked through. */
export async function indexedBlock(sql: Sql): Promise<bigint> {
  const [row] = await sql<{ block: bigint }[]>`
    select block from chain.position`;
  return row?.block ?? 0n;
}
