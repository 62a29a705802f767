/**
 * A till of its own for tests of cards and bank transfers: a database, the API and a worker as processes, and the sandbox, which can be
 * killed and started again on its books. No contract
 * is needed; with `chain: 'own'` a bare chain is there whose time may be moved.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { migrate } from '../../api/core/database/db.ts';
import { createFiat } from '../../api/core/platform/platform.ts';
import { apiKeyOf } from '../../api/providers/sandbox.ts';
import { startChain } from '../../scripts/dev/hardhat.ts';
import { freePort } from '../../scripts/dev/ports.ts';
import { createDatabase } from '../../scripts/dev/postgres.ts';
import { startApi, startSandbox, startWorker } from '../../scripts/dev/services.ts';
import { type Answer, type Json, openMarketplace } from '../api/marketplace.ts';
import { chainOf } from './wallet.ts';

export type Till = Awaited<ReturnType<typeof openTill>>;

/** Test cards of spec/sources/003-items.txt. */
export const CARDS = {
  succeeds: '4111 1111 1111 1111',
  declined: '4012 8888 8888 1881',
  held: '5555 5555 5555 4444',
};

/** Opens a till; `local` false: its node may not be led to private addresses. */
export async function openTill({ local = true, chain }: { local?: boolean; chain?: 'own' } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-till-'));
  const shared = inject('stack');
  const databaseUrl = await createDatabase(shared.databaseUrl, `till_${randomBytes(8).toString('hex')}`);
  await migrate(databaseUrl);
  const ownChain = chain && (await startChain({ logPath: join(folder, 'chain.log') }));
  const rpcUrl = ownChain?.rpcUrl ?? shared.rpcUrl;
  const market = await openMarketplace({ stack: { ...shared, databaseUrl, rpcUrl }, local });
  const euro = await createFiat(market.sql, { code: 'EUR', decimals: 2 });
  const [apiPort, sandboxPort] = await Promise.all([freePort(), freePort()]);
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  const access = { url: `http://127.0.0.1:${sandboxPort}`, secret: randomBytes(32).toString('hex') };
  const log = (name: string) => join(folder, `${name}.log`);
  const options = { databaseUrl, secret: shared.secret, sandbox: access };
  const openSandbox = () =>
    startSandbox({
      port: sandboxPort,
      secret: access.secret,
      books: join(folder, 'books.json'),
      apiUrl,
      logPath: log('sandbox'),
    });
  const openWorker = () => startWorker({ ...options, operatorKeys: [shared.operatorKey], logPath: log('worker') });
  let [sandbox, worker] = await Promise.all([openSandbox(), openWorker()]);
  const api = await startApi({ ...options, port: apiPort, logPath: log('api') });

  async function call(
    method: string,
    path: string,
    body?: unknown,
    token: string | null = market.token,
  ): Promise<Answer> {
    const response = await fetch(`${apiUrl}/api/v1${path}`, {
      method,
      headers: {
        ...(token !== null && { Authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === '' ? null : JSON.parse(text) };
  }
  const get = (path: string, token?: string | null) => call('GET', path, undefined, token);
  const post = (path: string, body: unknown = {}, token?: string | null) => call('POST', path, body, token);

  /** Creates a payment of 25.50 EUR. */
  async function create(method: 'credit_card' | 'bank_transfer', fields: Record<string, unknown> = {}): Promise<Json> {
    const body = { currency_id: euro.id, payment_method: method, ...fields };
    const { status, json } = await post('/payments', market.paymentBody(body));
    if (status !== 201) throw new Error(`Creating a payment failed: ${JSON.stringify(json)}`);
    return json;
  }

  /** Reads the payment until `is` says so of it. */
  async function until(id: string, what: string, is: (payment: Json) => boolean): Promise<Json> {
    const deadline = Date.now() + 25_000;
    for (;;) {
      const { json } = await get(`/payments/${id}`);
      if (is(json)) return json;
      if (Date.now() > deadline) {
        const logs = await get(`/payments/${id}/logs?per_page=100`);
        throw new Error(`Not ${what}: ${JSON.stringify({ json, logs: logs.json.items }, null, 1)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function form(url: string, fields: Record<string, string>): Promise<{ status: number; text: string }> {
    const response = await fetch(url, { method: 'POST', body: new URLSearchParams(fields) });
    return { status: response.status, text: await response.text() };
  }

  async function asMerchant(path: string, body: unknown): Promise<void> {
    const headers = { Authorization: `Bearer ${apiKeyOf(access.secret)}`, 'Content-Type': 'application/json' };
    const response = await fetch(`${access.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`The sandbox answered ${response.status}.`);
  }

  return {
    ...market,
    apiUrl,
    access,
    euroId: euro.id,
    get,
    post,
    create,
    until,
    untilStatus: (id: string, status: string) => until(id, status, (payment) => payment.status === status),
    /** The payment once its provider waits for the payer. */
    async open(method: 'credit_card' | 'bank_transfer', fields: Record<string, unknown> = {}): Promise<Json> {
      const { id } = await create(method, fields);
      return await until(id, 'open', ({ rail }) => rail?.page_url !== null || rail?.transfer !== null);
    },
    /** Types a card on the provider's page. */
    typeCard: (payment: Json, number: string) => form(payment.rail.page_url, { number, expiry: '12/30', cvc: '123' }),
    form,
    /** Sends a transfer of so many cents from a payer's bank. */
    sendTransfer: (remittance: string, cents: number, { bounces = false } = {}) =>
      form(`${access.url}/bank`, { remittance, amount: String(cents), ...(bounces && { bounces: 'true' }) }),
    /** The newest block's time in Unix seconds. */
    chainTime: async () => Number((await chainOf({ ...shared, rpcUrl }).getBlock()).timestamp),
    misbehave: (callbacks: 'prompt' | 'lost' | 'repeated' | 'reversed') => asMerchant('/faults', { callbacks }),
    logs: async (id: string): Promise<Json[]> => (await get(`/payments/${id}/logs?per_page=100`)).json.items.reverse(),
    /** Balances of a payment's accounts in cents, by type, those that are zero left out. */
    async balances(id: string): Promise<Record<string, number>> {
      const rows = await market.sql<{ type: string; sum: bigint }[]>`
        select a.type, sum(p.amount_units) as sum from ledger_entry e
        join ledger_posting p on p.node_id = e.node_id and p.entry_id = e.id
        join ledger_account a on a.node_id = p.node_id and a.id = p.account_id
        where e.payment_id = ${id} group by a.type having sum(p.amount_units) <> 0`;
      return Object.fromEntries(rows.map(({ type, sum }) => [type, Number(sum)]));
    },
    killSandbox: () => sandbox.process.kill(),
    async restartSandbox() {
      sandbox = await openSandbox();
    },
    killWorker: () => worker.process.kill(),
    async restartWorker() {
      worker = await openWorker();
    },
    async stop() {
      await Promise.all([api.process.stop(), worker.process.stop(), sandbox.process.stop()]);
      await market.close();
      await ownChain?.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
