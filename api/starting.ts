// Owns the beginning of a process: it waits for a database that is not there yet, or lacks migrations, and says so. What no waiting
// mends, like a wrong password, is thrown.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Sql } from './core/database/db.ts';
import { findDatabaseFault } from './health.ts';

const RETRY_MS = 1_000;
// Often enough for whoever has just begun to read the log.
const REPEAT_MS = 30_000;

/** Waits, without end, until the database answers and has every migration. @throws what the database refuses for good */
export async function untilDatabase(sql: Sql, log: Logger): Promise<void> {
  let said: { part: string; at: number } | undefined;
  for (;;) {
    const fault = await findDatabaseFault(sql);
    if (!fault) {
      if (said) log.info('the database is there');
      return;
    }
    const { part, problem, remedy } = fault;
    if (said?.part !== part || Date.now() - said.at > REPEAT_MS) {
      log.warn({ part, remedy }, `waiting: ${problem}`);
      said = { part, at: Date.now() };
    }
    await sleep(RETRY_MS);
  }
}
