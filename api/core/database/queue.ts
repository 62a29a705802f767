// Owns queued work: enqueued in the caller's transaction, claimed by any number of workers, run at least once.
// Refuses to know what the work is; a dead worker's jobs are taken over as soon as its database session is gone.
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, type Runner, run, type WorkerEvents } from 'graphile-worker';
import { isDatabaseAway, type ReservedSql, type Sql, type Transaction } from './db.ts';

/** Work by name, and what each piece of it is about. */
export type Work = {
  create_payment: { nodeId: string; paymentId: string };
  submit_operation: { nodeId: string; operationId: string };
};

export type WorkName = keyof Work;

/** What a handler learns of the attempt it is: 1-based, and how many there are. */
export type Attempt = { number: number; of: number };

export type Handlers = { [Name in WorkName]: (payload: Work[Name], attempt: Attempt) => Promise<void> };

/** A piece of work; its key is unique among what is queued under the same name. */
export type Piece<Name extends WorkName> = { payload: Work[Name]; key: string; maxAttempts: number };

/**
 * Adds work in the caller's transaction: it exists exactly when the transaction commits. The same `key` again replaces
 * work that waits, and gives exhausted work its attempts back. Waiting time between attempts grows exponentially.
 */
export async function enqueue<Name extends WorkName>(
  tx: Transaction,
  name: Name,
  payload: Work[Name],
  { key, maxAttempts }: { key: string; maxAttempts: number },
): Promise<void> {
  await tx`
    select graphile_worker.add_job(
      ${name}, payload => ${tx.json(payload)}::json, job_key => ${jobKey(name, key)}, max_attempts => ${maxAttempts}
    )`;
}

/**
 * {@link enqueue} for any number of pieces whose keys were never used, by one statement that wakes the workers once. It writes
 * what graphile_worker.add_jobs would, without its search for older work: that grows with the queue, 10 ms a call at 50,000 jobs
 * against 0.3 ms.
 */
export async function enqueueNew<Name extends WorkName>(
  tx: Transaction,
  name: Name,
  pieces: readonly Piece<Name>[],
): Promise<void> {
  if (pieces.length === 0) return;
  const jobs = pieces.map(({ payload, key, maxAttempts }) => ({ payload, key: jobKey(name, key), maxAttempts }));
  // A task that another transaction is just adding is not seen: then the null is refused, and nothing is written.
  await tx`
    with new_task as (
      insert into graphile_worker._private_tasks (identifier)
      select ${name} where not exists (select 1 from graphile_worker._private_tasks where identifier = ${name})
      on conflict do nothing returning id),
    task as (
      select id from graphile_worker._private_tasks where identifier = ${name} union all select id from new_task),
    added as (
      insert into graphile_worker._private_jobs (task_id, payload, max_attempts, key)
      select (select id from task), payload, "maxAttempts", key
      from json_to_recordset(${JSON.stringify(jobs)}::text::json)
        as job(payload json, key text, "maxAttempts" smallint)
      returning 1)
    select pg_notify('jobs:insert', json_build_object('r', random(), 'count', count(*))::text) from added`;
}

function jobKey(name: WorkName, key: string): string {
  return `${name}:${key}`;
}

// A session lock dies with its worker's connection, so a killed worker is noticed within one interval.
const TAKEOVER_INTERVAL_MS = 2_000;
// Whoever lives shows itself again within a pass or two.
const UNSHOWN_SECONDS = 10;
// Work that kills whoever takes it must not go round for ever.
const MOST_AFTER_DEATHS = 5;
// Idle pickup is by NOTIFY; polling only covers a lost one and retries that fall due.
const POLL_INTERVAL_MS = 1_000;

/** Runs an attempt to its end: one that lost the database has not failed, and begins again until it is back. */
async function attempt(handle: () => Promise<void>, isStopping: () => boolean): Promise<void> {
  for (;;) {
    try {
      return await handle();
    } catch (error) {
      if (!isDatabaseAway(error) || isStopping()) throw error;
      await sleep(POLL_INTERVAL_MS);
    }
  }
}

/** Claims and runs work until stopped; `onError` hears of failed attempts, and what they were about. */
export async function startQueue(
  sql: Sql,
  databaseUrl: string,
  handlers: Handlers,
  { concurrency, onError }: { concurrency: number; onError: (name: string, error: unknown, payload: object) => void },
): Promise<{ stop(): Promise<void> }> {
  const workerIds: string[] = [];
  const events: WorkerEvents = new EventEmitter();
  let isStopping = false;
  // A job may be locked in the name of its worker or of the pool that fetched it.
  events.on('worker:create', ({ worker }) => workerIds.push(worker.workerId));
  events.on('pool:create', ({ workerPool }) => workerIds.push(workerPool.id));
  events.on('job:error', ({ job, error }) => onError(job.task_identifier, error, Object(job.payload)));
  const runner: Runner = await run({
    connectionString: databaseUrl,
    concurrency,
    pollInterval: POLL_INTERVAL_MS,
    noHandleSignals: true,
    events,
    logger: new Logger(() => () => {}),
    taskList: Object.fromEntries(
      Object.entries(handlers).map(([name, handle]) => [
        name,
        (payload: unknown, { job }) =>
          attempt(
            () =>
              (handle as (payload: unknown, attempt: Attempt) => Promise<void>)(payload, {
                number: job.attempts,
                of: job.max_attempts,
              }),
            () => isStopping,
          ),
      ]),
    ),
  });
  const presence = await announce(sql, workerIds);
  return {
    async stop() {
      isStopping = true;
      await runner.stop();
      await presence.end();
    },
  };
}

/** Shows that this worker lives, and takes over from those that no longer do. */
async function announce(sql: Sql, workerIds: string[]): Promise<{ end(): Promise<void> }> {
  const lockKey = randomBytes(8).readBigInt64BE();
  let session: ReservedSql | null = null;

  /** Takes the lock, again after its session was lost; one that the old session still holds is for the next pass. */
  async function show(): Promise<void> {
    session ??= await sql.reserve();
    const [lock] = await session<{ held: boolean }[]>`
      select exists (select 1 from pg_locks where pid = pg_backend_pid() and locktype = 'advisory')
        or pg_try_advisory_lock(${lockKey}) as held`;
    if (lock?.held) await session`insert into worker_process ${sql({ lockKey, workerIds })} on conflict do nothing`;
  }

  async function pass(): Promise<void> {
    try {
      await show();
      await takeOver(sql);
      await takeOverUnshown(sql);
    } catch {
      // The database was away; whatever this session held went with it.
      session?.release();
      session = null;
    }
  }

  await show();
  await takeOver(sql);
  let passing = Promise.resolve();
  const timer = setInterval(() => {
    passing = passing.then(pass);
  }, TAKEOVER_INTERVAL_MS);
  return {
    async end() {
      clearInterval(timer);
      await passing;
      await sql`delete from worker_process where lock_key = ${lockKey}`.catch(() => {});
      if (!session) return;
      await session`select pg_advisory_unlock(${lockKey})`.catch(() => {});
      session.release();
    },
  };
}

async function takeOver(sql: Sql): Promise<void> {
  const processes = await sql<{ lockKey: bigint; workerIds: string[] }[]>`select * from worker_process`;
  for (const { lockKey, workerIds } of processes) {
    await sql.begin(async (tx) => {
      const [lock] = await tx<{ free: boolean }[]>`select pg_try_advisory_xact_lock(${lockKey}) as free`;
      if (!lock?.free) return;
      await free(tx, workerIds);
      await tx`delete from worker_process where lock_key = ${lockKey}`;
    });
  }
}

/** Frees what is held in names that nobody shows: a worker may die before it shows itself, first or after it lost its session. */
async function takeOverUnshown(sql: Sql): Promise<void> {
  await sql.begin(async (tx) => {
    const rows = await tx<{ lockedBy: string }[]>`
      select distinct locked_by from graphile_worker._private_jobs j
      where locked_at < now() - make_interval(secs => ${UNSHOWN_SECONDS})
        and not exists (select 1 from worker_process p where j.locked_by = any (p.worker_ids))`;
    if (rows.length > 0)
      await free(
        tx,
        rows.map(({ lockedBy }) => lockedBy),
      );
  });
}

async function free(tx: Transaction, workerIds: string[]): Promise<void> {
  // An attempt that its worker's death ended has not failed: work that may be tried only once is tried once more.
  await tx`
    update graphile_worker._private_jobs set max_attempts = max_attempts + 1
    where locked_by = any (${workerIds}) and attempts >= max_attempts and max_attempts < ${MOST_AFTER_DEATHS}`;
  await tx`select graphile_worker.force_unlock_workers(${workerIds})`;
}
