// Owns connections to PostgreSQL and the migrations. Integers come back as bigint, so no amount passes through a float.
import { readdir, readFile } from 'node:fs/promises';
import { Logger, runMigrations } from 'graphile-worker';
import postgres from 'postgres';

const types = {
  bigint: postgres.BigInt,
  numeric: {
    to: 1700,
    from: [1700],
    serialize: (value: bigint) => value.toString(),
    parse: (text: string) => BigInt(text),
  },
};

/** A pool of connections; `sql` or a transaction on it, as postgres.js hands them out. */
export type Sql = postgres.Sql<{ bigint: bigint; numeric: bigint }>;
/** A transaction: everything written through it is written together or not at all. */
export type Transaction = postgres.TransactionSql<{ bigint: bigint; numeric: bigint }>;

/** One connection of a pool, held until `release`. */
export type ReservedSql = postgres.ReservedSql<{ bigint: bigint; numeric: bigint }>;

/** Opens a pool of at most `maxConnections` (default 10) connections; columns read as camelCase. */
export function connect(databaseUrl: string, { maxConnections = 10 } = {}): Sql {
  // Without it, what a transaction writes after the loss of its session is written alone.
  if (!('keepsTransactions' in postgres)) {
    throw new Error(
      'postgres.js is as it was published. Run node scripts/mend-postgres.mjs, which npm ci does by itself.',
    );
  }
  return postgres(databaseUrl, {
    max: maxConnections,
    types,
    transform: { column: { from: postgres.toCamel, to: postgres.fromCamel } },
    onnotice: () => {},
  });
}

/** A row to be written. postgres.js sends any bigint as int8, which an amount outgrows; as text it becomes its column's type. */
export function columns(row: Record<string, Writable | bigint>): Record<string, Writable> {
  return Object.fromEntries(
    Object.entries(row).map(([field, value]) => [field, typeof value === 'bigint' ? value.toString() : value]),
  );
}

type Writable = string | number | boolean | Date | null | postgres.Parameter<unknown>;

/** What one field of {@link insertRows} may hold; objects become JSON. */
type RowValue = string | number | bigint | boolean | Date | object | null;

/** Adds rows that all have the first one's fields; one prepared statement, however many there are. */
export async function insertRows(
  tx: Transaction,
  table: string,
  rows: readonly Record<string, RowValue>[],
): Promise<void> {
  const [first] = rows;
  if (!first) return;
  const fields = Object.keys(first).map((field) => ({ field, column: postgres.fromCamel(field) }));
  const names = tx(Object.keys(first));
  // A JSON text is read by PostgreSQL faster than an array a column, and every type has its text.
  const json = JSON.stringify(
    rows.map((row) => Object.fromEntries(fields.map(({ field, column }) => [column, textOf(row[field] ?? null)]))),
  );
  await tx`
    insert into ${tx(table)} (${names})
    select ${names} from json_populate_recordset(null::${tx(table)}, ${json}::text::json)`;
}

function textOf(value: RowValue): Exclude<RowValue, bigint> {
  return typeof value === 'bigint' ? value.toString() : value;
}

const RETRYABLE = new Set(['40001', '40P01']);

/**
 * Runs `work` in one transaction, the caller's where there is one; of our own, serialization failures and deadlocks are tried
 * again, at most 5 times.
 */
export async function transact<T>(sql: Sql | Transaction, work: (tx: Transaction) => Promise<T>): Promise<T> {
  if ('savepoint' in sql) return await work(sql);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await sql.begin(work)) as T;
    } catch (error) {
      if (attempt < 5 && error instanceof postgres.PostgresError && RETRYABLE.has(error.code)) continue;
      throw error;
    }
  }
}

/** Whether `error` says that a unique key is taken, optionally that very constraint. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (!(error instanceof postgres.PostgresError) || error.code !== '23505') return false;
  return constraint === undefined || error.constraint_name === constraint;
}

/** Whether `error` says that a table or view is not there (yet). */
export function isMissingRelation(error: unknown): boolean {
  return error instanceof postgres.PostgresError && (error.code === '42P01' || error.code === '3F000');
}

// What postgres.js says of a session that it lost or never had, and what the system says of the connection below it.
const AWAY = new Set([
  ...['CONNECTION_CLOSED', 'CONNECTION_DESTROYED', 'CONNECT_TIMEOUT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'],
  // A name that is not known yet, or a way that is not there: of a server that comes up with its network.
  ...['ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'],
]);
// PostgreSQL: connection exceptions, no such database (yet), no resources (connections, disk), ended or not taking sessions just now.
const AWAY_STATES = /^(08|3D000|53|57P0)/;

/** Whether `error` says that the database was not there, or left meanwhile: the same request may succeed once it is back. */
export function isDatabaseAway(error: unknown): boolean {
  if (error instanceof postgres.PostgresError) return AWAY_STATES.test(error.code);
  return error instanceof Error && 'code' in error && AWAY.has(String(error.code));
}

// The queue's own migrations report themselves at length; a failure is thrown all the same.
const silent = new Logger(() => () => {});

// Any constant will do: two processes that migrate at once wait for each other.
const MIGRATION_LOCK = 4_210_155n;

/** Brings the database up to date, our tables and the queue's; returns the names of the migrations applied now. */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const sql = connect(databaseUrl, { maxConnections: 2 });
  try {
    await runMigrations({ connectionString: databaseUrl, logger: silent });
    return await applyMigrations(sql);
  } finally {
    await sql.end();
  }
}

const migrationsFolder = new URL('../migrations/', import.meta.url);

async function migrationNames(): Promise<string[]> {
  return (await readdir(migrationsFolder)).filter((name) => name.endsWith('.sql')).sort();
}

/** The migrations that the database lacks, oldest first. */
export async function pendingMigrations(sql: Sql): Promise<string[]> {
  const names = await migrationNames();
  const [table] = await sql`select 1 where to_regclass('migration') is not null`;
  const rows = table ? await sql<{ name: string }[]>`select name from migration` : [];
  const done = new Set(rows.map((row) => row.name));
  return names.filter((name) => !done.has(name));
}

async function applyMigrations(sql: Sql): Promise<string[]> {
  const names = await migrationNames();
  return await transact(sql, async (tx) => {
    await tx`select pg_advisory_xact_lock(${MIGRATION_LOCK})`;
    await tx`create table if not exists migration (name text primary key, applied_at timestamptz not null default now())`;
    const done = new Set((await tx<{ name: string }[]>`select name from migration`).map((row) => row.name));
    const applied: string[] = [];
    for (const name of names.filter((candidate) => !done.has(candidate))) {
      await tx.unsafe(await readFile(new URL(name, migrationsFolder), 'utf8'));
      await tx`insert into migration ${tx({ name })}`;
      applied.push(name);
    }
    return applied;
  });
}
