/**
 * What `npm run bench:api` measures on: a PostgreSQL of its own with fsync, and on it installations of Dealkeep, each with a
 * database, an API process, a node and an integration.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { connect, migrate } from '../../api/core/database/db.ts';
import { Tokens } from '../../api/core/platform/auth.ts';
import {
  createChain,
  createCurrency,
  createIntegration,
  createNetwork,
  createNode,
  createWallet,
} from '../../api/core/platform/platform.ts';
import { createDatabase, type PostgresServer } from '../dev/postgres.ts';
import type { RunningProcess } from '../dev/processes.ts';
import { startApi } from '../dev/services.ts';
import type { Call } from './api-load.ts';

/** A running installation, and requests to it. */
export type Installation = {
  api: { url: string; process: RunningProcess };
  databaseUrl: string;
  nodeId: string;
  integrationId: string;
  /** A create request like no other before, with an idempotency key. */
  createCall(): Call;
  getCall(path: string, bearer?: string): Call;
  stop(): Promise<void>;
};

// Nobody signs or deposits here: any addresses will do.
const [DIAMOND, OPERATOR, TOKEN, PAYEE, FEE_RECIPIENT] = ['d1', '0e', '70', '9a', 'fe'].map(
  (byte) => `0x${byte.repeat(20)}`,
) as [string, string, string, string, string];
const DAY_MS = 86_400_000;

/** Creates a database with a marketplace in it, and starts an API over it. */
export async function openInstallation(
  server: PostgresServer,
  { name, logFolder }: { name: string; logFolder: string },
): Promise<Installation> {
  const databaseUrl = await createDatabase(server.url, name);
  await migrate(databaseUrl);
  const sql = connect(databaseUrl, { maxConnections: 2 });
  const node = await createNode(sql, { name, policy: { feeBps: 100, feeRecipient: FEE_RECIPIENT as `0x${string}` } });
  const chain = await createChain(sql, { name: 'bench', eip155Id: 31337 });
  const network = await createNetwork(sql, {
    chainId: chain.id,
    name,
    rpcUrls: ['http://127.0.0.1:1'],
    diamondAddress: DIAMOND,
    operatorAddress: OPERATOR,
    confirmations: 1,
  });
  const currency = await createCurrency(sql, {
    networkId: network.id,
    code: 'USDC',
    name: 'USDC',
    decimals: 6,
    tokenAddress: TOKEN,
  });
  const wallet = await createWallet(sql, { nodeId: node.id, networkId: network.id, address: PAYEE, label: 'payee' });
  const integration = await createIntegration(sql, { nodeId: node.id, name });
  await sql.end();

  const secret = randomBytes(32).toString('hex');
  const token = await new Tokens(secret).issueIntegrationToken(integration.id);
  const api = await startApi({ databaseUrl, secret, logPath: join(logFolder, `${name}.log`) });
  let count = 0;
  return {
    api,
    databaseUrl,
    nodeId: node.id,
    integrationId: integration.id,
    createCall: () => {
      count += 1;
      return {
        method: 'POST',
        path: '/api/v1/payments',
        headers: { Authorization: `Bearer ${token}`, 'Idempotency-Key': `${name}-${count}` },
        body: {
          external_id: `order-${name}-${count}`,
          node_id: node.id,
          network_id: network.id,
          currency_id: currency.id,
          wallet_id: wallet.id,
          price: 25.5,
          paid_price: 25.5,
          payment_method: 'web3',
          payment_group: 'product',
          payment_address: PAYEE,
          items: [{ name: 'Desk lamp', price: 25.5, external_id: 'lamp' }],
          metadata: '{"cart":"5f0c1c","note":"leave at the door"}',
          expires_at: new Date(Date.now() + DAY_MS).toISOString(),
          client_ip: '203.0.113.7',
        },
      };
    },
    getCall: (path, bearer = token) => ({ method: 'GET', path, headers: { Authorization: `Bearer ${bearer}` } }),
    stop: () => api.process.stop(),
  };
}

/** Copies the node's newest payment until there are `count` more, one a second back in time. */
export async function fill(
  { databaseUrl, nodeId }: Installation,
  count: number,
  onStep: (done: number) => void,
): Promise<void> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  const others = async (table: string, own: readonly string[]) => {
    const rows = await sql<{ name: string }[]>`
      select column_name as name from information_schema.columns
      where table_schema = 'public' and table_name = ${table} and not column_name in ${sql([...own])}`;
    return rows.map(({ name }) => name).join(', ');
  };
  const ownOfPayment = ['id', 'external_id', 'created_at', 'updated_at'];
  const ownOfDeal = ['id', 'payment_id'];
  const [ofPayment, ofDeal] = [await others('payment', ownOfPayment), await others('deal', ownOfDeal)];
  const step = 50_000;
  for (let done = 0; done < count; done += step) {
    await sql.unsafe(
      `with model as materialized (select * from payment where node_id = '${nodeId}' order by id desc limit 1),
        made as materialized (
          select uuidv7(make_interval(secs => -i)) as id, now() - make_interval(secs => i) as at, i
          from generate_series(${done + 1}, ${Math.min(done + step, count)}) i),
        added as (
          insert into payment (${ownOfPayment}, ${ofPayment})
          select made.id, 'copy-' || i, at, at, ${ofPayment} from made, (select ${ofPayment} from model) m)
      insert into deal (${ownOfDeal}, ${ofDeal})
      select uuidv7(make_interval(secs => -i)), made.id, d.* from made,
        (select ${ofDeal} from deal where (node_id, payment_id) = (select node_id, id from model)) d`,
    );
    onStep(Math.min(done + step, count));
  }
  await sql.unsafe('vacuum analyze payment, deal');
  // What filling left to be written is not on the bill of what is measured.
  await sql.unsafe('checkpoint');
  await sql.end();
}

// 2 GB, as much as `min_wal_size` of the benchmark keeps; a run writes about half of that.
const WAL_SEGMENTS = 128;

/**
 * Gives a new server the files for its write-ahead log that one in use has and uses again: creating one makes every commit wait
 * for 50 ms, which is all that a 99th percentile of a fresh server says (a file each 1.8 s at 1,400 payments a second).
 */
export async function makeWalSegments(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  for (let segment = 0; segment < WAL_SEGMENTS; segment += 1) {
    // Something has to be in a file before it can be left.
    await sql`select pg_logical_emit_message(false, 'dealkeep', 'bench')`;
    await sql`select pg_switch_wal()`;
  }
  await sql`checkpoint`;
  await sql.end();
}

/** Counts what is in the tables, as autovacuum does within a minute: plans that were made for empty ones read them whole. */
export async function analyze({ databaseUrl }: Installation): Promise<void> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  await sql.unsafe('analyze');
  await sql.end();
}

/** Seconds of CPU that a process has used so far; null where the system does not say. */
export function cpuSeconds(pid: number | undefined): number | null {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return null;
  // The command, in parentheses, may hold blanks; then come state (3) … utime (14), stime (15), in hundredths.
  const fields = readFileSync(path, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The most memory that a process has held, in megabytes; null where the system does not say. */
export function peakRssMb(pid: number | undefined): number | null {
  const path = `/proc/${pid}/status`;
  const peak = existsSync(path) ? /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(path, 'utf8')) : null;
  return peak ? Math.round(Number(peak[1]) / 1024) : null;
}
