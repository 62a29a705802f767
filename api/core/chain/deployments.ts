// Owns what the indexer follows, one diamond on one chain after the other, as the rows of networks say; and which of its
// schemas readers see. The views in schema `chain` are made here, all in one transaction, so that no reader meets a gap.
import type { Address } from 'viem';
import type { Sql, Transaction } from '../database/db.ts';
import type { NetworkRow } from '../schema.ts';

/** A diamond on a chain; `network` is the oldest of the networks that name it, archived ones last. */
export type Deployment = { eip155Id: bigint; diamond: Address; network: NetworkRow };

/** How the indexer of a diamond does; see the table `indexer`. */
export type IndexerRow = {
  eip155Id: bigint;
  diamond: Address;
  schema: string | null;
  nextSchema: string | null;
  state: 'waiting' | 'catching_up' | 'following';
  headBlock: bigint | null;
  indexedBlock: bigint | null;
  restarts: number;
  reason: string | null;
  updatedAt: Date;
};

/** `takenAt`: when the process that is at work, or was, last showed itself, in Unix milliseconds. */
export type SchemaPosition = { isReady: boolean; block: bigint | null; takenAt: number };

/** The schema whose views every reader uses. */
const VIEWS_SCHEMA = 'chain';
/** What every schema of the indexer begins with. */
export const SCHEMA_PREFIX = 'idx_';

/** Every diamond that a network names: payments on archived networks go on, too. */
export async function listDeployments(sql: Sql): Promise<Deployment[]> {
  const networks = await sql<NetworkRow[]>`
    select distinct on (c.eip155_id, n.diamond_address) n.*, c.eip155_id from network n join chain c on c.id = n.chain_id
    order by c.eip155_id, n.diamond_address, n.archived_at is not null, n.id`;
  return networks.map((network) => ({ eip155Id: network.eip155Id, diamond: network.diamondAddress, network }));
}

/** The indexer's rows. */
export async function listIndexers(sql: Sql | Transaction): Promise<IndexerRow[]> {
  return await sql<IndexerRow[]>`select * from indexer order by eip155_id, diamond`;
}

/** Writes how a diamond's indexer does; what is left out stays. */
export async function reportIndexer(
  sql: Sql,
  { eip155Id, diamond }: Pick<IndexerRow, 'eip155Id' | 'diamond'>,
  report: Partial<Pick<IndexerRow, 'nextSchema' | 'state' | 'restarts' | 'reason'>> & {
    headBlock?: bigint | null;
    indexedBlock?: bigint | null;
  },
): Promise<void> {
  const { headBlock, indexedBlock, ...rest } = report;
  const row = {
    ...rest,
    ...(headBlock !== undefined && { headBlock: headBlock?.toString() ?? null }),
    ...(indexedBlock !== undefined && { indexedBlock: indexedBlock?.toString() ?? null }),
  };
  await sql`
    insert into indexer ${sql({ eip155Id: eip155Id.toString(), diamond, ...row })}
    on conflict (eip155_id, diamond) do update set ${sql(row)}, updated_at = now()`;
}

/** Remembers the block in which the diamond of a chain was created. */
export async function rememberStartBlock(
  sql: Sql,
  { eip155Id, diamond }: Pick<Deployment, 'eip155Id' | 'diamond'>,
  startBlock: bigint,
): Promise<void> {
  await sql`
    update network set start_block = ${startBlock.toString()}
    where diamond_address = ${diamond} and start_block is null
      and chain_id = (select id from chain where eip155_id = ${eip155Id.toString()})`;
}

/** How far a schema of the indexer is; null: it is not there, or has nothing yet. */
export async function positionOf(sql: Sql, schema: string): Promise<SchemaPosition | null> {
  const [there] = await sql<{ there: boolean }[]>`
    select to_regclass(${`"${schema}"._ponder_checkpoint`}) is not null as there`;
  if (!there?.there) return null;
  // Ponder's checkpoint is fixed-width text: 10 digits of time, 16 of chain id, 16 of block number, and more.
  const [row] = await sql<SchemaPosition[]>`
    select value ->> 'is_ready' = '1' as is_ready, (value ->> 'heartbeat_at')::float8 as taken_at,
      (select substring(latest_checkpoint from 27 for 16)::numeric from ${sql(schema)}._ponder_checkpoint) as block
    from ${sql(schema)}._ponder_meta where key = 'app'`;
  return row ?? null;
}

/**
 * Lets readers see `schema` for a diamond from now on, and every other diamond's as before: views over all of them, replaced in
 * one transaction. Columns that not all of them have wait until they do.
 */
export async function publish(
  sql: Sql,
  { eip155Id, diamond }: Pick<Deployment, 'eip155Id' | 'diamond'>,
  schema: string | null,
): Promise<void> {
  const chain = eip155Id.toString();
  await sql.begin(async (tx) => {
    await tx`lock table indexer in exclusive mode`;
    if (schema === null) await tx`delete from indexer where eip155_id = ${chain} and diamond = ${diamond}`;
    else {
      await tx`
        insert into indexer ${tx({ eip155Id: chain, diamond, schema })}
        on conflict (eip155_id, diamond) do update set schema = excluded.schema, next_schema = null, updated_at = now()`;
    }
    const published = (await listIndexers(tx)).flatMap((row) =>
      row.schema === null ? [] : [{ ...row, schema: row.schema }],
    );
    await replaceViews(tx, published);
  });
}

type Published = { eip155Id: bigint; diamond: string; schema: string };

async function replaceViews(tx: Transaction, published: Published[]): Promise<void> {
  await tx`create schema if not exists ${tx(VIEWS_SCHEMA)}`;
  const columns = await tx<{ table: string; columns: string[] }[]>`
    select c.table_name as table, array_agg(c.column_name::text order by c.ordinal_position) as columns
    from information_schema.columns c
    where c.table_schema = ${published[0]?.schema ?? ''} and c.table_name not like '\\_%'
      and ${published.length}::int = (
        select count(*) from information_schema.columns other
        where other.table_schema in ${tx(['', ...published.map(({ schema }) => schema)])}
          and other.table_name = c.table_name and other.column_name = c.column_name
      )
    group by c.table_name order by c.table_name`;
  for (const { table, columns: names } of columns) {
    const list = names.map((name) => `"${name}"`).join(', ');
    const parts = published.map(({ schema }) => `select ${list} from "${schema}"."${table}"`);
    await tx.unsafe(`drop view if exists "${VIEWS_SCHEMA}"."${table}"`);
    await tx.unsafe(`create view "${VIEWS_SCHEMA}"."${table}" as ${parts.join(' union all ')}`);
  }
  // Ponder's checkpoint is fixed-width text: 10 digits of time, 16 of chain id, 16 of block number, and more.
  const positions = published.map(
    ({ eip155Id, diamond, schema }) => `
      select ${eip155Id}::bigint as chain_id, '${diamond}'::text as diamond,
        substring(p.latest_checkpoint from 27 for 16)::numeric as block,
        substring(p.latest_checkpoint from 1 for 10)::numeric as timestamp,
        substring(p.finalized_checkpoint from 27 for 16)::numeric as finalized_block,
        (select value ->> 'is_ready' from "${schema}"._ponder_meta where key = 'app') = '1' as is_ready
      from "${schema}"._ponder_checkpoint p`,
  );
  await tx.unsafe(`drop view if exists "${VIEWS_SCHEMA}".position`);
  if (positions.length > 0)
    await tx.unsafe(`create view "${VIEWS_SCHEMA}".position as ${positions.join(' union all ')}`);
}

/** Drops the schemas of the indexer that are neither in `kept` nor seen by readers; answers their names. */
export async function dropOldSchemas(sql: Sql, kept: readonly string[]): Promise<string[]> {
  const schemas = await sql<{ name: string }[]>`
    select nspname as name from pg_namespace
    where starts_with(nspname, ${SCHEMA_PREFIX}) and nspname not in ${sql(['', ...kept])}
      and nspname not in (select schema from indexer where schema is not null)`;
  for (const { name } of schemas) await sql.unsafe(`drop schema if exists "${name}" cascade`);
  return schemas.map(({ name }) => name);
}
