// Owns opening the database for the commands that read it themselves. What it refuses is said without its URL, which holds a password.
import { Option } from 'commander';
import postgres from 'postgres';
import { connect, isDatabaseAway, isMissingRelation, type Sql } from '../../api/core/database/db.ts';
import { Failure } from './failure.ts';

/** Which database a command reads for itself. */
export function databaseOption(description = "the database; left out: the running stack's"): Option {
  return new Option('--database-url <url>', description).env('DATABASE_URL');
}

/** What `work` makes of the database, which is closed afterwards. @throws Failure when it does not answer or refuses */
export async function withDatabase<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  if (!/^postgres(ql)?:$/.test(URL.parse(url)?.protocol ?? '')) {
    throw new Failure('The database is named by a URL: postgres://user:password@host/database.', 2);
  }
  const sql = connect(url, { maxConnections: 4 });
  try {
    return await work(sql);
  } catch (error) {
    throw failureOf(error) ?? error;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function failureOf(error: unknown): Failure | undefined {
  if (isMissingRelation(error)) return new Failure('The database is not up to date: npm run migrate.', 3);
  if (isDatabaseAway(error)) {
    return new Failure('The database does not answer: check --database-url, or start PostgreSQL.', 3);
  }
  // Wrong user or password, or no right to a table.
  if (error instanceof postgres.PostgresError && /^(28|42501)/.test(error.code)) {
    return new Failure(`The database refuses: ${error.message}.`, 3);
  }
  return undefined;
}
