import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, migrate, type Sql } from '../../api/core/database/db.ts';
import { enqueue, startQueue } from '../../api/core/database/queue.ts';
import { type PostgresServer, startPostgres } from '../../scripts/dev/postgres.ts';

let folder: string;
let server: PostgresServer;
let outside: Sql;

// Its own: these tests end every session but that of `outside`.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dealkeep-sessions-'));
  await chmod(folder, 0o755);
  server = await startPostgres({
    ...{ dataDir: join(folder, 'postgres'), logPath: join(folder, 'postgres.log'), durable: false },
  });
  await migrate(server.url);
  outside = connect(server.url, { maxConnections: 1 });
  await outside`create table written (k int, part int)`;
}, 60_000);
afterAll(async () => {
  await outside?.end();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function endSessions(): Promise<void> {
  await outside`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`;
}

describe('when the database ends a session', () => {
  test('the rest of its transaction is refused, and not written in the session that follows', async () => {
    const sql = connect(server.url, { maxConnections: 1 });
    const refused: unknown[] = [];
    const lost = sql.begin(async (tx) => {
      await tx`insert into written values (-1, 1)`;
      await endSessions();
      // Somebody else opens the connection again.
      await expect.poll(() => sql`select 1`.then(() => true).catch(() => false)).toBe(true);
      await tx`insert into written values (-1, 2)`.catch((error) => refused.push(error.code));
      await tx`insert into written values (-1, 3)`;
    });
    await expect(lost).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
    await expect.poll(() => refused).toEqual(['CONNECTION_CLOSED']);
    expect(await outside`select * from written where k = -1`).toHaveLength(0);
    await sql.end();
  });

  test('again and again, whatever is asked meanwhile ends, and every transaction is whole or not at all', async () => {
    const sql = connect(server.url, { maxConnections: 6 });
    let next = 0;
    const kinds = [
      () => sql`select 1`,
      () => sql`select ${'x'.repeat(3_000)}::text, ${[1, 2]}::int[]`,
      () =>
        sql.begin(async (tx) => {
          const k = next++;
          await tx`insert into written values (${k}, 1)`;
          await sleep(10);
          await tx`insert into written values (${k}, 2)`;
        }),
      async () => {
        const session = await sql.reserve();
        try {
          await session`select 1`;
          await sleep(5);
          await session`select 2`;
        } finally {
          session.release();
        }
      },
    ];
    let ending = true;
    let failed = 0;
    const askers = Array.from({ length: 14 }, async (_, asker) => {
      for (let asked = asker; ending; asked += 1) {
        await kinds[asked % kinds.length]?.().catch(() => {
          failed += 1;
        });
        await sleep(asked % 3);
      }
    });
    for (let round = 0; round < 30; round += 1) {
      await sleep(60);
      await endSessions();
    }
    ending = false;
    await Promise.all(askers);
    expect(failed).toBeGreaterThan(0);
    expect(next).toBeGreaterThan(0);
    expect(await outside`select k from written group by k having count(*) <> 2`).toHaveLength(0);
    // No connection of the pool was lost for good.
    await Promise.all(Array.from({ length: 6 }, () => sql.begin((tx) => tx`select pg_sleep(0.1)`)));
    await sql.end();
  }, 60_000);

  test('a worker shows again that it lives, and still takes over from one that does not', async () => {
    const sql = connect(server.url, { maxConnections: 3 });
    const nothing = { create_payment: async () => {}, submit_operation: async () => {} };
    const queue = await startQueue(sql, server.url, nothing, { concurrency: 1, onError: () => {} });
    const alive = async () => {
      const rows = await outside`
        select 1 from worker_process w join pg_locks l on l.locktype = 'advisory'
          and (l.classid::bigint << 32 | l.objid::bigint) = w.lock_key`;
      return rows.length;
    };
    await expect.poll(alive).toBe(1);
    await endSessions();
    await outside`insert into worker_process ${outside({ lockKey: 1n, workerIds: ['of a dead one'] })}`;
    await expect.poll(alive, { timeout: 15_000 }).toBe(1);
    await expect
      .poll(() => outside`select 1 from worker_process where lock_key = 1`, { timeout: 15_000 })
      .toHaveLength(0);
    await queue.stop();
    expect(await outside`select 1 from worker_process`).toHaveLength(0);
    await sql.end();
  }, 60_000);

  test('work that may be tried only once is not used up by that', async () => {
    const sql = connect(server.url, { maxConnections: 3 });
    let attempts = 0;
    const handlers = {
      create_payment: async ({ paymentId }: { paymentId: string }) => {
        attempts += 1;
        await sql.begin(async (tx) => {
          await tx`insert into written values (${-2}, ${paymentId.length})`;
          if (attempts === 1) await endSessions();
          await tx`select 1`;
        });
      },
      submit_operation: async () => {},
    };
    const failed: unknown[] = [];
    const queue = await startQueue(sql, server.url, handlers, {
      ...{ concurrency: 1, onError: (_, error) => failed.push(error) },
    });
    await outside.begin((tx) =>
      enqueue(tx, 'create_payment', { nodeId: 'n', paymentId: 'p' }, { key: 'once', maxAttempts: 1 }),
    );
    await expect.poll(() => outside`select 1 from graphile_worker._private_jobs`, { timeout: 20_000 }).toHaveLength(0);
    expect(attempts).toBe(2);
    expect(failed).toEqual([]);
    expect(await outside`select part from written where k = -2`).toEqual([{ part: 1 }]);
    await queue.stop();
    await sql.end();
  }, 60_000);

  test('work of a worker that died before it showed itself again is taken over too', async () => {
    const sql = connect(server.url, { maxConnections: 3 });
    await outside.begin((tx) =>
      enqueue(tx, 'create_payment', { nodeId: 'n', paymentId: 'p' }, { key: 'unshown', maxAttempts: 1 }),
    );
    await outside`
      update graphile_worker._private_jobs
      set attempts = 1, locked_by = 'of a dead one', locked_at = now() - interval '11 seconds'`;
    let attempts = 0;
    const handlers = {
      create_payment: async () => {
        attempts += 1;
      },
      submit_operation: async () => {},
    };
    const queue = await startQueue(sql, server.url, handlers, { concurrency: 1, onError: () => {} });
    await expect.poll(() => attempts, { timeout: 20_000 }).toBe(1);
    await expect.poll(() => outside`select 1 from graphile_worker._private_jobs`, { timeout: 20_000 }).toHaveLength(0);
    await queue.stop();
    await sql.end();
  }, 60_000);
});
