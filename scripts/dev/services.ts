/** The API, the worker and the demo shop as child processes, told where everything is; and the widget's build. */
import { join } from 'node:path';
import { freePort, waitUntil } from './ports.ts';
import { type RunningProcess, readyOrDead, startProcess } from './processes.ts';

const ROOT = join(import.meta.dirname, '../..');

export type ServiceOptions = {
  databaseUrl: string;
  /** Where the sandbox for cards and bank transfers answers; left out: there is none. */
  sandbox?: SandboxAccess;
  /** 32 bytes in hex, the same for every process of a stack. */
  secret: string;
  logPath: string;
  /** Further environment. */
  env?: Record<string, string>;
};

// A bench drives thousands of requests a second from one integration and one address.
const GENEROUS = { RATE_LIMIT_INTEGRATION: '1000000', RATE_LIMIT_ADDRESS: '1000000' };

/** What API and worker need to know of a sandbox. */
export type SandboxAccess = { url: string; secret: string };

function startService(
  role: 'api' | 'worker',
  { databaseUrl, secret, logPath, sandbox, env: further }: ServiceOptions,
  env: Record<string, string>,
) {
  return startProcess({
    name: role === 'api' ? 'API' : 'Worker',
    command: process.execPath,
    args: ['api/index.ts', role],
    cwd: ROOT,
    logPath,
    env: {
      ...GENEROUS,
      ...process.env,
      DATABASE_URL: databaseUrl,
      DEALKEEP_SECRET: secret,
      ...(sandbox && { SANDBOX_URL: sandbox.url, SANDBOX_SECRET: sandbox.secret }),
      ...further,
      ...env,
    },
  });
}

async function startedOr<T>(child: RunningProcess, ready: Promise<void>, started: T): Promise<T> {
  try {
    await readyOrDead(child, ready);
    return started;
  } catch (error) {
    await child.stop();
    throw error;
  }
}

/** Starts the API on 127.0.0.1, on a free port when none is given, and waits until it is usable; `publicUrl`: of the balancer in front. */
export async function startApi(
  options: ServiceOptions & { port?: number; publicUrl?: string },
): Promise<{ url: string; process: RunningProcess }> {
  const port = options.port ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const child = startService('api', options, {
    HOST: '127.0.0.1',
    PORT: String(port),
    PUBLIC_URL: options.publicUrl ?? url,
    // Behind a balancer: that one says whose request it is.
    ...(options.publicUrl !== undefined && { TRUSTED_PROXIES: '127.0.0.1' }),
  });
  const isReady = () =>
    fetch(`${url}/readyz`).then(
      (response) => response.status === 200,
      () => false,
    );
  return await startedOr(child, waitUntil('The API', isReady), { url, process: child });
}

/** Starts the sandbox for cards and bank transfers, which tells its changes to the API at `apiUrl`. */
export async function startSandbox(options: {
  port: number;
  secret: string;
  /** Where it keeps its charges. */
  books: string;
  apiUrl: string;
  logPath: string;
}): Promise<{ url: string; process: RunningProcess }> {
  const { port, secret, books, apiUrl, logPath } = options;
  const url = `http://127.0.0.1:${port}`;
  const callbackUrl = `${apiUrl}/api/v1/providers/sandbox/callbacks`;
  const child = startProcess({
    name: 'Sandbox',
    command: process.execPath,
    args: ['scripts/sandbox/server.ts', '--port', String(port), '--callback-url', callbackUrl, '--books', books],
    cwd: ROOT,
    logPath,
    env: { ...process.env, SANDBOX_SECRET: secret },
  });
  const isReady = () =>
    fetch(`${url}/healthz`).then(
      (response) => response.ok,
      () => false,
    );
  return await startedOr(child, waitUntil('The sandbox', isReady), { url, process: child });
}

/** Starts the indexer's supervisor, whose status page is on `port`, and waits until every mirror follows its chain. */
export async function startIndexing(
  options: Omit<ServiceOptions, 'secret'> & { port?: number; behindMs?: number },
): Promise<{ url: string; process: RunningProcess }> {
  const port = options.port ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const { databaseUrl, logPath, behindMs } = options;
  const child = startProcess({
    name: 'Indexer',
    command: process.execPath,
    args: ['api/index.ts', 'indexer'],
    cwd: ROOT,
    logPath,
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      INDEXER_PORT: String(port),
      ...(behindMs !== undefined && { INDEXER_BEHIND_MS: String(behindMs) }),
    },
  });
  const isReady = () =>
    fetch(`${url}/readyz`).then(
      (response) => response.status === 200,
      () => false,
    );
  return await startedOr(child, waitUntil('The indexer', isReady, { timeoutMs: 120_000 }), { url, process: child });
}

/** Starts a worker that signs with `operatorKeys` and waits until it takes work. */
export async function startWorker(
  options: ServiceOptions & { operatorKeys: readonly string[] },
): Promise<{ process: RunningProcess }> {
  const child = startService('worker', options, { OPERATOR_KEYS: options.operatorKeys.join(',') });
  const isReady = async () => child.tail(200).includes('worker started');
  return await startedOr(child, waitUntil('The worker', isReady), { process: child });
}

/** Builds the checkout widget unless its sources are those of the last build. @throws Error with the builder's words */
export async function buildWidget(logPath: string): Promise<void> {
  const args = ['scripts/build-widget.ts', '--if-stale'];
  const build = startProcess({ name: 'Widget build', command: process.execPath, args, cwd: ROOT, logPath });
  const exit = await build.exited;
  if (exit.code !== 0) throw new Error(`The widget cannot be built:\n${build.tail(30)}`);
}

/** Starts the demo shop beside the stack that `stackFile` describes; a test wallet for its page on local chains only. */
export async function startShop(options: {
  stackFile: string;
  port: number;
  testWallet: boolean;
  logPath: string;
}): Promise<{ url: string; process: RunningProcess }> {
  const { stackFile, port, testWallet, logPath } = options;
  const args = ['widget/shop/server.ts', '--stack', stackFile, '--port', String(port)];
  const child = startProcess({
    name: 'Demo shop',
    command: process.execPath,
    args: testWallet ? [...args, '--test-wallet'] : args,
    cwd: ROOT,
    logPath,
  });
  const url = `http://127.0.0.1:${port}`;
  const isReady = () =>
    fetch(url).then(
      (response) => response.status === 200,
      () => false,
    );
  return await startedOr(child, waitUntil('The demo shop', isReady), { url, process: child });
}
