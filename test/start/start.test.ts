import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { answers, freePort } from '../../scripts/dev/ports.ts';
import type { StackFile } from '../../scripts/dev/stackfile.ts';

const run = promisify(execFile);
let dataDir: string;
let ports: number[];
let child: ChildProcess | undefined;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'dealkeep-start-'));
  await chmod(dataDir, 0o755);
  ports = await Promise.all(Array.from({ length: 6 }, () => freePort()));
});
afterEach(async () => {
  if (child?.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  await rm(dataDir, { recursive: true, force: true });
});

function flags(): string[] {
  const names = ['--port', '--hardhat-port', '--postgres-port', '--indexer-port', '--shop-port', '--sandbox-port'];
  return ['--json', '--data', dataDir, ...names.flatMap((name, index) => [name, String(ports[index])])];
}

/** Starts a stack and waits for its JSON on standard output. */
async function start(): Promise<{ process: ChildProcess; stack: StackFile; told: () => string }> {
  const started = spawn(process.execPath, ['scripts/dev.ts', ...flags()], { stdio: ['ignore', 'pipe', 'pipe'] });
  child = started;
  let [output, told] = ['', ''];
  started.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  started.stderr.on('data', (chunk: Buffer) => {
    told += chunk;
  });
  await expect.poll(() => output.endsWith('}\n') || started.exitCode !== null, { timeout: 90_000 }).toBe(true);
  if (started.exitCode !== null) throw new Error(`It ended with ${started.exitCode}:\n${told}`);
  return { process: started, stack: JSON.parse(output), told: () => told };
}

async function openPorts(): Promise<number> {
  return (await Promise.all(ports.map(answers))).filter(Boolean).length;
}

describe('npm start', () => {
  test('a stack on which the demo is paid and refunded, and of which nothing is left after SIGTERM', async () => {
    const { process: started, stack } = await start();
    expect(await openPorts()).toBe(ports.length);
    expect((await stat(join(dataDir, 'stack.json'))).mode & 0o777).toBe(0o600);
    const { stdout } = await run(process.execPath, ['scripts/demo.ts', '--json', '--data', dataDir]);
    expect(JSON.parse(stdout)).toMatchObject({
      released: { status: 'released', changes: { buyer: '-25.5', payee: '25.0175', fee: '0.4825' } },
      refunded: { status: 'refunded', changes: { buyer: '0', escrow: '0', payee: '0' } },
    });
    expect((await fetch(stack.docs_url)).status).toBe(200);
    started.kill('SIGTERM');
    expect(await once(started, 'exit')).toEqual([0, null]);
    expect(await openPorts()).toBe(0);
    expect(existsSync(join(dataDir, 'stack.json'))).toBe(false);
  });

  test('when one part dies, it says which, shows the end of its log and stops the others', async () => {
    const { process: started, stack, told } = await start();
    const { stdout } = await run('ps', ['-e', '-o', 'ppid=,pid=,args=']);
    const parts = stdout.split('\n').map((line) => line.trim().split(/\s+/));
    const indexer = parts.find(([parent, , ...args]) => parent === String(started.pid) && args.includes('indexer'));
    process.kill(Number(indexer?.[1]), 'SIGKILL');
    expect(await once(started, 'exit')).toEqual([1, null]);
    expect(told()).toContain(`Indexer ended (signal SIGKILL). The end of ${join(stack.logs, 'indexer.log')}:\n{`);
    expect(await openPorts()).toBe(0);
  });

  test('killed outright, it leaves nothing running either', async () => {
    const { process: started } = await start();
    started.kill('SIGKILL');
    await expect.poll(openPorts, { timeout: 15_000 }).toBe(0);
  });

  test('a busy port is one line that names the flag', async () => {
    const server = createServer().listen(ports[1], '127.0.0.1');
    await once(server, 'listening');
    const failed = await run(process.execPath, ['scripts/dev.ts', ...flags()]).catch((error: unknown) => error);
    server.close();
    const line = `Port ${ports[1]} (chain) is in use: stop what holds it or choose another with --hardhat-port <port>.\n`;
    expect(failed).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(line) });
  });
});

describe('npm run demo', () => {
  test('without a stack it says how to start one', async () => {
    const failed = await run(process.execPath, ['scripts/demo.ts', '--data', dataDir]).catch((error: unknown) => error);
    const line = `No stack runs in ${dataDir}: start one with \`npm start\`, or name its folder with --data DIR.\n`;
    expect(failed).toMatchObject({ code: 1, stderr: line });
  });
});
