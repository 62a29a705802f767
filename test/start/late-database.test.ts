// Processes that are started before their database: they wait for it, say so, and go on by themselves.
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate } from '../../api/core/database/db.ts';
import { hardhatKey, ROLES } from '../../scripts/dev/accounts.ts';
import { freePort } from '../../scripts/dev/ports.ts';
import { type PostgresServer, startPostgres } from '../../scripts/dev/postgres.ts';
import type { RunningProcess } from '../../scripts/dev/processes.ts';
import { startApi, startWorker } from '../../scripts/dev/services.ts';
import type { Json } from '../api/marketplace.ts';

const PATIENCE_MS = 60_000;

let folder: string;
let server: PostgresServer;
const parts: { stop(): Promise<void> }[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dealkeep-late-'));
  await chmod(folder, 0o755);
  parts.push({ stop: () => rm(folder, { recursive: true, force: true }) });
  server = await startPostgres({ dataDir: join(folder, 'postgres'), logPath: log('postgres'), durable: false });
  parts.push(server);
  await server.stop();
}, 120_000);
afterAll(async () => {
  for (const part of parts.reverse()) await part.stop();
});

const log = (name: string) => join(folder, `${name}.log`);

/** The log's lines of a process so far. */
async function linesOf(name: string): Promise<Json[]> {
  const text = await readFile(log(name), 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
}

const said = async (name: string) => (await linesOf(name)).map(({ msg }) => msg);
const until = (probe: () => unknown) => expect.poll(probe, { timeout: PATIENCE_MS, interval: 100 });

describe('API and worker that are started before PostgreSQL', () => {
  test('wait, say what they wait for, and work once it is there and migrated', async () => {
    const secret = randomBytes(32).toString('hex');
    const port = await freePort();
    const common = { databaseUrl: server.url, secret };
    const starting = {
      api: startApi({ ...common, port, logPath: log('api') }),
      worker: startWorker({ ...common, operatorKeys: [hardhatKey(ROLES.operator)], logPath: log('worker') }),
    };
    const processes: Promise<RunningProcess>[] = [
      starting.api.then(({ process }) => process),
      starting.worker.then(({ process }) => process),
    ];
    for (const process of processes) {
      parts.push({ stop: async () => void (await process.then((one) => one.stop()).catch(() => {})) });
    }
    const ask = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => null);
      return response && { status: response.status, json: (await response.json()) as Json };
    };
    const faults = async () => (await ask('/readyz'))?.json.problems.map(({ part }: Json) => part);

    await until(faults).toEqual(['database']);
    expect((await ask('/readyz'))?.status).toBe(503);
    expect((await ask('/healthz'))?.status).toBe(200);
    for (const name of ['api', 'worker']) {
      await until(() => said(name)).toContain('waiting: The database does not answer.');
    }
    await server.restart();
    await until(faults).toEqual(['migrations']);
    for (const name of ['api', 'worker']) {
      await until(async () => (await said(name)).some((line) => line.startsWith('waiting: The database lacks'))).toBe(
        true,
      );
    }
    expect(await said('worker')).not.toContain('worker started');

    await migrate(server.url);
    await Promise.all(processes);
    await until(faults).toEqual([]);
    expect((await ask('/readyz'))?.status).toBe(200);
    for (const name of ['api', 'worker']) await until(() => said(name)).toContain('the database is there');
    // Said once for each cause, not each second.
    const waiting = (await said('worker')).filter((line) => line.startsWith('waiting: The database does not'));
    expect(waiting.length).toBeLessThanOrEqual(3);
    expect(await readFile(log('worker'), 'utf8')).not.toContain(new URL(server.url).password);
  }, 240_000);

  test('end at once when the database refuses them for good, and name no password', async () => {
    const wrong = new URL(server.url);
    wrong.password = 'not-the-password';
    const options = { databaseUrl: wrong.href, secret: randomBytes(32).toString('hex') };
    const worker = startWorker({ ...options, operatorKeys: [hardhatKey(ROLES.operator)], logPath: log('refused') });
    await expect(worker).rejects.toThrow();
    expect(await said('refused')).toContain('the database refuses');
    expect(await readFile(log('refused'), 'utf8')).not.toContain('not-the-password');
  });
});
