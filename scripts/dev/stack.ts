/** Starts every part of a local stack in order, watches them, and stops them in the opposite order. */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { connect, migrate } from '../../api/core/database/db.ts';
import { startBalancer } from '../cluster/balancer.ts';
import { compileContracts, HARDHAT_CHAIN_ID, startChain } from './hardhat.ts';
import { requireFreePort } from './ports.ts';
import { startPostgres } from './postgres.ts';
import { requireFolder, requireNode } from './preflight.ts';
import { Problem } from './problem.ts';
import { describeExit, type RunningProcess, stopEverything } from './processes.ts';
import type { Progress } from './progress.ts';
import { type SeedPolicy, SOLUTION_CODE, seed } from './seed.ts';
import {
  buildWidget,
  type ServiceOptions,
  startApi,
  startIndexing,
  startSandbox,
  startShop,
  startWorker,
} from './services.ts';
import { findStackFile, removeStackFile, type StackFile, stackFilePath, writeStackFile } from './stackfile.ts';
import {
  castFor,
  findOrDeploy,
  fundBuyers,
  keepBlocksComing,
  keepSecrets,
  readChainId,
  recallSecrets,
  requireDatabase,
} from './world.ts';

export type StackOptions = {
  dataDir: string;
  port: number;
  hardhatPort: number;
  postgresPort: number;
  indexerPort: number;
  shopPort: number;
  sandboxPort: number;
  /** Two APIs behind a balancer on `port`, and two workers. */
  cluster?: boolean;
  /** Use and keep this database instead of a fresh one. */
  databaseUrl?: string;
  /** Use and keep this chain instead of a fresh one. */
  rpcUrl?: string;
};

type Part = { stop(): Promise<void> };

const POLICY_PERIOD_SECONDS = 14 * 86_400;

function fileNameOf(name: string): string {
  return name.toLowerCase().replace(' ', '-');
}

/** A stack on its way up, up, or on its way down. */
export class Stack {
  readonly #options: StackOptions;
  readonly #progress: Progress;
  readonly #dataDir: string;
  readonly #parts: Part[] = [];
  #stopping: Promise<void> | undefined;
  #fail: (fault: Error) => void = () => {};

  /** Rejects when a part ends by itself. */
  readonly failed: Promise<never>;

  constructor(options: StackOptions, progress: Progress) {
    this.#options = options;
    this.#progress = progress;
    this.#dataDir = resolve(options.dataDir);
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // Whoever waits for it hears of it; nobody waiting must not end the process.
    this.failed.catch(() => {});
  }

  /** Starts everything and answers what there is to know. @throws Problem when the machine is not ready for it */
  async start(): Promise<StackFile> {
    const { databaseUrl: givenDatabase, rpcUrl: givenChain } = this.#options;
    await this.#checkMachine();
    await this.#forgetLastWorld();
    const addressBookPath = join(this.#dataDir, 'addresses.json');
    const chainId = givenChain === undefined ? undefined : await readChainId(givenChain);
    if (chainId !== undefined) castFor(chainId, process.env);

    this.#progress.step('Starting database and chain, compiling the contracts (half a minute the first time) …');
    const [databaseUrl, rpcUrl] = await Promise.all([
      givenDatabase ?? this.#startDatabase(),
      givenChain ?? this.#startChain(),
      this.#build(),
    ]);
    if (givenDatabase !== undefined) {
      await requireDatabase(givenDatabase, { withNewChain: givenChain === undefined });
    }
    const eip155Id = chainId ?? (await readChainId(rpcUrl));
    const cast = castFor(eip155Id, process.env);
    const deployment = { rpcUrl, chainId: eip155Id, addressBookPath, deployerKey: cast.deployerKey };
    const [entry, migrations] = await Promise.all([findOrDeploy(deployment, this.#progress), migrate(databaseUrl)]);
    this.#progress.step(
      migrations.length === 0 ? 'Database is up to date' : `Database migrated: ${migrations.join(', ')}`,
    );
    await fundBuyers(rpcUrl, entry, cast);
    if (givenChain === undefined) await keepBlocksComing(rpcUrl);

    const secrets = recallSecrets(this.#dataDir, { fresh: givenDatabase === undefined, env: process.env });
    const { masterSecret: secret, credentials } = secrets;
    const policy: SeedPolicy = {
      feeBps: 150,
      feeFixed: '0.10',
      feeRecipient: cast.feeRecipient,
      arbiter: cast.arbiter,
      settlementPeriodSeconds: POLICY_PERIOD_SECONDS,
      resolutionPeriodSeconds: POLICY_PERIOD_SECONDS,
      defaultOutcome: 'refund',
    };
    const sql = connect(databaseUrl, { maxConnections: 1 });
    const networkName = `Chain ${eip155Id}, diamond ${entry.diamond}`;
    const names = { nodeName: 'Demo marketplace', networkName };
    const roles = { operator: cast.operator, payee: cast.payee };
    const returnOrigins = ['127.0.0.1', 'localhost'].map((host) => `http://${host}:${this.#options.shopPort}`);
    const seedOptions = {
      entry,
      rpcUrls: [rpcUrl],
      ...roles,
      policy,
      ...names,
      returnOrigins,
      ...(credentials && { credentials }),
    };
    const seeded = await seed(sql, { ...seedOptions, confirmations: 1 }).finally(() => sql.end());
    const { clientId, clientSecret } = seeded;
    await keepSecrets(this.#dataDir, { masterSecret: secret, credentials: { clientId, clientSecret } });
    this.#progress.step('Marketplace with deal policy, network, currencies, wallet and integration seeded');

    const { indexerPort, shopPort, sandboxPort } = this.#options;
    const books = join(this.#dataDir, 'sandbox.json');
    if (givenDatabase === undefined) await rm(books, { force: true });
    const sandbox = { url: `http://127.0.0.1:${sandboxPort}`, secret: randomBytes(32).toString('hex') };
    const log = (name: string) => this.#log(name);
    const [indexer, api] = await Promise.all([
      this.#add(
        'Indexer',
        startIndexing({ databaseUrl, logPath: log('indexer'), port: indexerPort }),
        ({ url }) => `follows the chain, ${url}`,
      ),
      this.#startApis({ databaseUrl, secret, sandbox }),
      ...this.#copies('Worker').map((name) =>
        this.#add(
          name,
          startWorker({
            databaseUrl,
            secret,
            sandbox,
            logPath: log(fileNameOf(name)),
            operatorKeys: [cast.operatorKey, cast.arbiterKey].filter((key) => key !== null),
          }),
          () => `signs as operator ${cast.operator}`,
          { replaceable: this.#options.cluster },
        ),
      ),
    ]);

    await this.#add(
      'Sandbox',
      startSandbox({ port: sandboxPort, secret: sandbox.secret, books, apiUrl: api.url, logPath: log('sandbox') }),
      ({ url }) => `takes cards and bank transfers at ${url}`,
    );

    const stack: StackFile = {
      process_id: process.pid,
      started_at: new Date().toISOString(),
      api_url: api.url,
      docs_url: `${api.url}/docs`,
      sandbox_url: sandbox.url,
      shop_url: `http://127.0.0.1:${shopPort}`,
      openapi_url: `${api.url}/api/v1/openapi.json`,
      indexer_url: indexer.url,
      rpc_url: rpcUrl,
      database_url: databaseUrl,
      address_book: addressBookPath,
      logs: join(this.#dataDir, 'logs'),
      eip155_id: eip155Id,
      diamond: entry.diamond,
      tokens: Object.fromEntries(Object.values(entry.tokens).map(({ symbol, ...token }) => [symbol, token])),
      node_id: seeded.nodeId,
      solution_code: SOLUTION_CODE,
      chain_id: seeded.chainId,
      network_id: seeded.networkId,
      wallet_id: seeded.walletId,
      currencies: seeded.currencies,
      payment_address: cast.payee,
      operator: cast.operator,
      fee_recipient: cast.feeRecipient,
      integration: { client_id: clientId, client_secret: clientSecret },
      buyers: cast.buyers.map(({ address, privateKey }) => ({ address, private_key: privateKey })),
    };
    await writeStackFile(this.#dataDir, stack);
    await this.#add(
      'Demo shop',
      startShop({
        stackFile: stackFilePath(this.#dataDir),
        port: shopPort,
        testWallet: eip155Id === HARDHAT_CHAIN_ID,
        logPath: log('shop'),
      }),
      ({ url }) => `sells at ${url}`,
    );
    return stack;
  }

  /** Stops every part, last started first; asked again it answers with the same stop. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopParts();
    return this.#stopping;
  }

  async #stopParts(): Promise<void> {
    for (const part of [...this.#parts].reverse()) await part.stop();
    await stopEverything();
    await removeStackFile(this.#dataDir);
  }

  #log(name: string): string {
    return join(this.#dataDir, 'logs', `${name}.log`);
  }

  async #checkMachine(): Promise<void> {
    requireNode();
    await requireFolder(this.#dataDir);
    const running = findStackFile(this.#dataDir);
    if (running !== undefined) {
      throw new Problem(
        `A stack runs in ${this.#dataDir} already (process ${running.process_id}): stop it with Ctrl-C or \`kill ${running.process_id}\`, or choose another folder with --data DIR.`,
      );
    }
    const { port, shopPort, sandboxPort, indexerPort, hardhatPort, postgresPort, rpcUrl, databaseUrl } = this.#options;
    const needed = [
      [port, '--port', 'API'],
      [shopPort, '--shop-port', 'demo shop'],
      [sandboxPort, '--sandbox-port', 'sandbox'],
      [indexerPort, '--indexer-port', 'indexer'],
      ...(rpcUrl === undefined ? [[hardhatPort, '--hardhat-port', 'chain'] as const] : []),
      ...(databaseUrl === undefined ? [[postgresPort, '--postgres-port', 'PostgreSQL'] as const] : []),
    ] as const;
    const ports = needed.map(([number]) => number);
    if (new Set(ports).size < ports.length) throw new Problem(`The ports must differ: ${ports.join(', ')}.`);
    for (const [number, flag, what] of needed) await requireFreePort(number, flag, what);
    this.#progress.step(`Node ${process.versions.node}; ports ${ports.join(', ')} are free`);
  }

  async #forgetLastWorld(): Promise<void> {
    await removeStackFile(this.#dataDir);
    await rm(join(this.#dataDir, 'logs'), { recursive: true, force: true });
    if (this.#options.rpcUrl === undefined) await rm(join(this.#dataDir, 'addresses.json'), { force: true });
  }

  /** One after the other: two compilers at once take longer on two cores. */
  async #build(): Promise<void> {
    await compileContracts(this.#log('compile'));
    this.#progress.step('Contracts compiled');
    await buildWidget(this.#log('widget'));
    this.#progress.step('Checkout widget built');
  }

  /** One API; in a cluster two, and the balancer that all requests go through. */
  async #startApis(services: Omit<ServiceOptions, 'logPath'>): Promise<{ url: string }> {
    const { port, cluster } = this.#options;
    const told = ({ url }: { url: string }) => `answers at ${url}`;
    if (!cluster) return await this.#add('API', startApi({ ...services, logPath: this.#log('api'), port }), told);
    const publicUrl = `http://127.0.0.1:${port}`;
    const apis = await Promise.all(
      this.#copies('API').map((name) => {
        const starting = startApi({ ...services, logPath: this.#log(fileNameOf(name)), publicUrl });
        return this.#add(name, starting, told, { replaceable: true });
      }),
    );
    const balancer = await startBalancer(
      port,
      apis.map(({ url }) => url),
    );
    this.#parts.push(balancer);
    this.#progress.step(`Balancer answers at ${balancer.url}, round robin`);
    return balancer;
  }

  #copies(name: string): string[] {
    return this.#options.cluster ? [`${name} 1`, `${name} 2`] : [name];
  }

  async #startDatabase(): Promise<string> {
    const dataDir = join(this.#dataDir, 'postgres');
    const server = await this.#add(
      'PostgreSQL',
      startPostgres({ dataDir, logPath: this.#log('postgres'), port: this.#options.postgresPort }),
      ({ port, note }) => `on 127.0.0.1:${port}${note === undefined ? '' : ` (${note})`}`,
    );
    return server.url;
  }

  async #startChain(): Promise<string> {
    const chain = await this.#add(
      'Hardhat node',
      startChain({ logPath: this.#log('chain'), port: this.#options.hardhatPort }),
      ({ rpcUrl }) => `answers at ${rpcUrl}`,
    );
    return chain.rpcUrl;
  }

  /** Waits for a part to start, remembers how to stop it, and raises the alarm when it ends by itself and nothing takes its place. */
  async #add<T extends { process: RunningProcess; stop?(): Promise<void> }>(
    name: string,
    starting: Promise<T>,
    report: (started: T) => string,
    { replaceable = false }: { replaceable?: boolean | undefined } = {},
  ): Promise<T> {
    const started = await starting;
    const { process: child } = started;
    this.#parts.push({ stop: () => started.stop?.() ?? child.stop() });
    void child.exited.then((exit) => {
      if (this.#stopping !== undefined) return;
      if (replaceable) {
        this.#progress.step(`${name} ended (${describeExit(exit)}); the other one goes on`);
        return;
      }
      this.#fail(new Error(`${name} ended (${describeExit(exit)}). The end of ${child.logPath}:\n${child.tail()}`));
    });
    this.#progress.step(`${name} ${report(started)}`);
    return started;
  }
}
