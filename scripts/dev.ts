/** `npm start`: the whole system on this machine, in one command. Starts and stops processes; knows no business. */
import { Command, InvalidArgumentError } from 'commander';
import { farewell } from './dev/farewell.ts';
import { explain } from './dev/preflight.ts';
import { type Progress, startProgress } from './dev/progress.ts';
import { Stack, type StackOptions } from './dev/stack.ts';

type Flags = {
  data: string;
  port: number;
  hardhatPort: number;
  postgresPort: number;
  indexerPort: number;
  shopPort: number;
  sandboxPort: number;
  cluster: boolean;
  databaseUrl?: string;
  rpcUrl?: string;
  json: boolean;
};

const EXAMPLES = `
Every start is a fresh world: a new chain, a new database, new credentials. What --database-url and --rpc-url lead to
is used as it stands and kept. Off chain 31337 set DEPLOYER_KEY and OPERATOR_KEY to private keys of your own.

Examples:
  npm start
  npm start -- --data .data/second --port 4001 --hardhat-port 8546 --postgres-port 54330 --indexer-port 42070 --shop-port 4101 --sandbox-port 4201
  npm run start:cluster
  npm start -- --data .data/second --port 4001 --hardhat-port 8546 --postgres-port 54330 --indexer-port 42070 --shop-port 4101
  npm start -- --database-url postgres://me:secret@127.0.0.1/dealkeep --rpc-url http://127.0.0.1:8545
  node scripts/dev.ts --json > stack.json`;

function port(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > 65_535)
    throw new InvalidArgumentError('A port is 1 to 65535.');
  return number;
}

function url(...protocols: string[]) {
  return (text: string): string => {
    if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text;
    throw new InvalidArgumentError(`It must begin with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}.`);
  };
}

function announce(options: StackOptions, progress: Progress): void {
  const kept = [options.databaseUrl && 'the database', options.rpcUrl && 'the chain'].filter(Boolean);
  const fresh = [options.databaseUrl || 'the database', options.rpcUrl || 'the chain'].filter((part) =>
    part.startsWith('the '),
  );
  if (fresh.length > 0)
    progress.line(`A fresh world: dropped ${fresh.join(' and ')} of any earlier start in ${options.dataDir}.`);
  if (kept.length > 0) progress.line(`Used as it stands and kept: ${kept.join(' and ')} given.`);
}

async function run(flags: Flags): Promise<void> {
  const { data, json, ...rest } = flags;
  const options: StackOptions = { ...rest, dataDir: data };
  const progress = startProgress({ json });
  const stack = new Stack(options, progress);

  const leave = async (code: number, reason: string) => {
    progress.line(`\n${reason}`);
    await stack.stop();
    process.exit(code);
  };
  let leaving = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // npm passes a Ctrl-C on that the terminal has sent already: the second one changes nothing.
    process.on(signal, () => {
      if (leaving) return;
      leaving = true;
      void leave(0, 'Stopping …');
    });
  }

  try {
    announce(options, progress);
    const started = await Promise.race([stack.start(), stack.failed]);
    if (json) process.stdout.write(`${JSON.stringify(started)}\n`);
    else progress.line(farewell(started, data));
    progress.step('Ready');
    await stack.failed;
  } catch (error) {
    if (leaving) return;
    leaving = true;
    await leave(1, explain(error, data));
  }
}

await new Command()
  .name('npm start --')
  .description(
    'Starts PostgreSQL, a Hardhat node with the diamond and test tokens, the indexer, the API, the worker, a sandbox for cards and bank transfers, and a demo shop.',
  )
  .option('--data <dir>', 'folder for data, logs and stack.json', '.data')
  .option('--port <port>', 'of the API', port, 4000)
  .option('--hardhat-port <port>', 'of the local chain', port, 8545)
  .option('--postgres-port <port>', 'of the embedded PostgreSQL', port, 54329)
  .option('--indexer-port <port>', 'of the indexer', port, 42069)
  .option('--shop-port <port>', 'of the demo shop', port, 4100)
  .option('--sandbox-port <port>', 'of the sandbox for cards and bank transfers', port, 4200)
  .option('--cluster', 'two APIs behind a balancer on --port, and two workers', false)
  .option('--database-url <url>', 'use this PostgreSQL database and keep it', url('postgres:', 'postgresql:'))
  .option('--rpc-url <url>', 'use this chain and keep it', url('http:', 'https:'))
  .option(
    '--json',
    'print what stack.json holds as one line on standard output, everything else on standard error',
    false,
  )
  .addHelpText('after', EXAMPLES)
  .action(run)
  .parseAsync();
