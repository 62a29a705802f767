// Owns what a process says of itself to whoever runs it: `/healthz`, that it lives; `/readyz`, whether requests should be sent
// to it, and by name what is wrong.
import type { Sql } from './core/database/db.ts';
import { isDatabaseAway, pendingMigrations } from './core/database/db.ts';
import { hasWorker, readFailingEndpoints, readMirrors, readQueue, readSigners } from './core/vitals.ts';

/** One thing that is wrong and what to do; `fatal`: requests cannot be answered. */
export type Ailment = { part: string; fatal: boolean; problem: string; remedy: string };

// A chain makes a block every 12 s at the slowest; five of them missing is more than bad luck.
const MIRROR_LATE_SECONDS = 60;
const JOB_LATE_SECONDS = 60;
// By then the submitter has bid more for it several times.
const TRANSACTION_LATE_SECONDS = 300;

/** Everything that is wrong with an installation, as far as its database tells; the worst first. */
export async function examine(sql: Sql): Promise<Ailment[]> {
  try {
    const fault = await findDatabaseFault(sql);
    return fault ? [fault] : await ailmentsOf(sql);
  } catch {
    return [SILENT];
  }
}

const SILENT: Ailment = {
  part: 'database',
  fatal: true,
  problem: 'The database does not answer.',
  remedy: 'Start PostgreSQL, or check DATABASE_URL.',
};

/** Why nothing can work with this database just now; null: it can. @throws what the database refuses for good */
export async function findDatabaseFault(sql: Sql): Promise<Ailment | null> {
  try {
    const pending = await pendingMigrations(sql);
    if (pending.length === 0) return null;
    const problem = `The database lacks ${pending.length} migrations, from ${pending[0]} on.`;
    return { part: 'migrations', fatal: true, problem, remedy: 'Run npm run migrate.' };
  } catch (error) {
    if (isDatabaseAway(error)) return SILENT;
    throw error;
  }
}

async function ailmentsOf(sql: Sql): Promise<Ailment[]> {
  const [alive, mirrors, queue, signers, failing] = await Promise.all([
    hasWorker(sql),
    readMirrors(sql),
    readQueue(sql),
    readSigners(sql),
    readFailingEndpoints(sql),
  ]);
  const ailments: Ailment[] = [];
  const ail = (part: string, problem: string, remedy: string) => ailments.push({ part, fatal: false, problem, remedy });
  if (!alive) ail('worker', 'No worker runs.', 'Start one: node api/index.ts worker.');
  for (const { network, block, ageSeconds, ready } of mirrors) {
    const part = `mirror of ${network}`;
    if (block === null) ail(part, 'The network is not mirrored.', 'Start the indexer; its log says what it lacks.');
    else if (!ready) ail(part, 'The indexer rebuilds the mirror.', 'Wait; payments settle when it is done.');
    else if ((ageSeconds ?? 0) > MIRROR_LATE_SECONDS) {
      ail(
        part,
        `The last mirrored block is ${Math.round(ageSeconds ?? 0)} s old.`,
        'Check the indexer and its RPC nodes.',
      );
    }
  }
  for (const { work, oldestSeconds, exhausted } of queue) {
    if (oldestSeconds > JOB_LATE_SECONDS) {
      ail(
        `queue of ${work}`,
        `The oldest job waits for ${Math.round(oldestSeconds)} s.`,
        'Start another worker; read its log.',
      );
    }
    if (exhausted > 0) {
      ail(
        `queue of ${work}`,
        `${exhausted} jobs used up their attempts.`,
        "Read their payments' logs, then retry-send.",
      );
    }
  }
  for (const { network, signer, state, detail, oldestSeconds } of signers) {
    const part = `signer ${signer} on ${network}`;
    const remedy =
      state === 'dear' ? 'Wait, or PATCH the network with a higher max_fee_gwei.' : "Send it the chain's own coin.";
    if (state !== 'ok') ail(part, `${detail ?? `It is ${state}.`}`, remedy);
    if (oldestSeconds > TRANSACTION_LATE_SECONDS) {
      ail(
        part,
        `Its oldest transaction waits for ${Math.round(oldestSeconds)} s.`,
        'Check the RPC nodes and the fees.',
      );
    }
  }
  for (const { endpointId, origin, failures, waiting } of failing) {
    const problem = `It failed ${failures} times in a row; ${waiting} deliveries wait.`;
    ail(
      `webhook endpoint ${endpointId} at ${origin}`,
      problem,
      'Read its deliveries, mend the receiver; a probe goes on.',
    );
  }
  return ailments;
}
