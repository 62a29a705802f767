import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { startApi } from '../../scripts/dev/services.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from '../api/marketplace.ts';
import { startReceiver } from '../support/receiver.ts';
import { openWallet } from '../support/wallet.ts';

const stack = inject('stack');
const COMMAND = join(import.meta.dirname, '../../scripts/dealkeep.mjs');

let market: Marketplace;
let api: Awaited<ReturnType<typeof startApi>>;
let folder: string;
let credentials: string;
beforeAll(async () => {
  market = await openMarketplace();
  folder = await mkdtemp(join(tmpdir(), 'dealkeep-cli-'));
  api = await startApi({ ...stack, logPath: join(folder, 'api.log') });
  credentials = join(folder, 'credentials.json');
  await writeFile(credentials, JSON.stringify({ url: api.url, ...market.credentials }));
});
afterAll(async () => {
  await api?.process.stop();
  await market?.close();
  await rm(folder, { recursive: true, force: true });
});

type Run = { code: number; output: string; errors: string; json: Json };

/** Runs the command as a person without a terminal would, by default with the marketplace's credentials. */
function dealkeep(args: string[], { signedIn = true, env = {} as Record<string, string> } = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const given = signedIn ? ['--credentials', credentials, ...args] : args;
    const child = spawn(COMMAND, given, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (errors += chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      const json = args.includes('--json') && output !== '' ? JSON.parse(output) : null;
      resolve({ code: code ?? -1, output, errors, json });
    });
  });
}

async function funded(): Promise<Json> {
  const { payment, widget } = await market.payable();
  await (await openWallet(stack)).deposit(termsOf(widget));
  return await market.untilStatus(payment.id, 'funded');
}

describe('dealkeep networks', () => {
  test('lists them, and sets what a signer may bid for gas, exactly', async () => {
    const ceiling = (gwei: string) => dealkeep(['networks', 'fee-ceiling', market.networkId, gwei, '--json']);
    expect(await ceiling('0.000000001')).toMatchObject({ code: 0, json: { max_fee_gwei: '0.000000001' } });
    const list = await dealkeep(['networks', 'list', '--json']);
    expect(list.json.items.find(({ id }: Json) => id === market.networkId)).toMatchObject({
      max_fee_gwei: '0.000000001',
    });
    expect(await ceiling('default')).toMatchObject({ code: 0, json: { max_fee_gwei: null } });
    expect(await ceiling('a lot')).toMatchObject({ code: 2, errors: expect.stringContaining('such as 150') });
    expect(await ceiling('0')).toMatchObject({ code: 1, errors: expect.stringContaining('above 0') });
  });
});

describe('dealkeep payments', () => {
  test('list and show say what there is and keep access tokens to themselves', async () => {
    const payment = await market.createPayment();
    const list = await dealkeep(['payments', 'list', '--node', market.nodeId, '--json']);
    expect(list.code).toBe(0);
    expect(list.json.items[0]).toMatchObject({ id: payment.id, access_token: null });
    const show = await dealkeep(['payments', 'show', payment.id]);
    expect(show.output).toContain(payment.external_id);
    expect(list.output + show.output).not.toContain(payment.access_token);
  });

  test('release shows what would move, and moves nothing while nobody says yes', async () => {
    const payment = await funded();
    const asked = await dealkeep(['payments', 'release', payment.id]);
    expect(asked.code).toBe(2);
    expect(asked.output).toContain(market.payee.toLowerCase());
    expect(asked.output).toContain('from funded to released');
    expect((await market.get(`/payments/${payment.id}/operations`)).json.total).toBe(0);
  });

  test('release --yes waits for the chain; the amount goes out digit for digit', async () => {
    const payment = await funded();
    const part = await dealkeep(['payments', 'release', payment.id, '--amount', '10.000001', '--yes', '--json']);
    expect(part).toMatchObject({ code: 0 });
    expect(part.json.operations).toMatchObject([{ verb: 'releasePart', amount_units: '10000001', status: 'done' }]);
    await market.untilStatus(payment.id, 'partially_released');
    const rest = await dealkeep(['payments', 'refund', payment.id, '--yes']);
    expect(rest).toMatchObject({ code: 0 });
    await market.untilStatus(payment.id, 'partially_refunded');
  });

  test('exit code 1 and the words of the API when it refuses, 2 for what cannot be meant', async () => {
    const payment = await market.createPayment();
    const refused = await dealkeep(['payments', 'release', payment.id, '--yes']);
    expect(refused.code).toBe(1);
    expect(refused.errors).toContain('cannot be released');
    expect((await dealkeep(['payments', 'release', payment.id, '--amount', '1e3', '--yes'])).code).toBe(2);
    expect((await dealkeep(['payments', 'release', payment.id, '--leg', 'first', '--yes'])).code).toBe(2);
    expect((await dealkeep(['payments', 'show', 'not-an-id'])).code).toBe(1);
    expect((await dealkeep(['payments', 'explode', payment.id])).code).toBe(2);
  });
});

describe('dealkeep verify', () => {
  test('says field by field that a funded payment is as the API says', async () => {
    const payment = await funded();
    const run = await dealkeep(['verify', payment.id, '--rpc-url', stack.rpcUrl, '--json']);
    expect(run).toMatchObject({ code: 0, json: { payment: payment.id, true: true } });
    expect(run.json.findings.length).toBeGreaterThan(10);
  });

  test('exit code 3 when the node does not answer', async () => {
    const payment = await funded();
    const run = await dealkeep(['verify', payment.id, '--rpc-url', 'http://127.0.0.1:9/my-own-key']);
    expect(run.code).toBe(3);
    expect(run.output + run.errors).not.toContain('my-own-key');
  });
});

describe('dealkeep webhooks', () => {
  test('shows endpoints and each attempt, and sends again: one, a test, or all since a time', async () => {
    const receiver = await startReceiver();
    onTestFinished(() => receiver.stop());
    receiver.answer = (_webhook, response) => response.writeHead(503).end('later\x1b[2J');
    const endpoint = { node_id: market.nodeId, url: receiver.url, events: ['payment.created'] };
    const { id } = (await market.post('/webhook-endpoints', endpoint)).json;
    onTestFinished(async () => void (await market.post(`/webhook-endpoints/${id}/archive`)));
    const from = new Date(Date.now() - 1_000).toISOString();
    await market.createPayment();
    await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBeGreaterThan(0);

    const endpoints = await dealkeep(['webhooks', 'endpoints', '--node', market.nodeId]);
    expect(endpoints).toMatchObject({ code: 0, output: expect.stringContaining(id) });
    const list = ['webhooks', 'deliveries', '--node', market.nodeId, '--endpoint', id];
    const waiting = await dealkeep([...list, '--status', 'waiting', '--json']);
    const [delivery] = waiting.json.items;
    await expect
      .poll(async () => (await market.get(`/webhook-deliveries/${delivery.id}`)).json.log.length, { timeout: 20_000 })
      .toBeGreaterThan(0);
    const shown = await dealkeep(['webhooks', 'delivery', delivery.id]);
    expect(shown).toMatchObject({ code: 0, output: expect.stringContaining('Answered 503.') });
    expect(shown.output).toContain('later\u{fffd}[2J');

    receiver.answer = 204;
    expect(await dealkeep(['webhooks', 'resend', delivery.id])).toMatchObject({ code: 0 });
    // It may have come again by itself just before.
    const waits = async () => (await market.get(`/webhook-endpoints/${id}`)).json.waiting;
    await expect.poll(waits, { timeout: 20_000 }).toBe(0);
    const before = receiver.accepted.length;
    expect(before).toBeGreaterThan(0);
    const replay = ['webhooks', 'replay', id, '--from', from, '--until', new Date().toISOString(), '--json'];
    expect(await dealkeep(replay)).toMatchObject({ code: 0, json: { queued: 1 } });
    await expect.poll(() => receiver.accepted.length, { timeout: 20_000 }).toBe(before + 1);
    expect(new Set(receiver.accepted.map(({ event }) => event.id)).size).toBe(1);
    expect(await dealkeep(['webhooks', 'test', id, '--json'])).toMatchObject({ code: 0, json: { cause: 'test' } });
  }, 180_000);
});

describe('dealkeep unmatched', () => {
  test('lists what there is, of one node or for operators of nobody, and says when there is no such deal', async () => {
    const own = await dealkeep(['unmatched', 'list', '--node', market.nodeId, '--json']);
    expect(own).toMatchObject({ code: 0, json: { items: [], total: 0 } });
    expect(await dealkeep(['unmatched', 'list', '--nobodys', '--json'])).toMatchObject({ code: 0 });
    const refund = await dealkeep(['unmatched', 'refund', market.networkId, `0x${'5f'.repeat(32)}`, '--yes']);
    expect(refund).toMatchObject({ code: 1, errors: expect.stringContaining('no such stray deal') });
  });
});

describe('dealkeep reserves', () => {
  test('needs nobody to be signed in', async () => {
    const run = await dealkeep(['--url', api.url, 'reserves', '--json'], { signedIn: false });
    expect(run.code).toBe(0);
    expect(run.json.items.length).toBeGreaterThan(0);
  });
});

describe('dealkeep doctor', () => {
  test('finds the shared stack without anything fatal, and shows no address of its database or nodes', async () => {
    const run = await dealkeep(['doctor', '--database-url', stack.databaseUrl, '--json']);
    expect(run.json.items.filter((ailment: Json) => ailment.fatal)).toEqual([]);
    expect(run.output).not.toContain(new URL(stack.databaseUrl).password);
  });

  test('exit code 3 and what to do when nothing answers', async () => {
    const run = await dealkeep(['--url', 'http://127.0.0.1:9', 'doctor', '--json'], { signedIn: false });
    expect(run.code).toBe(3);
    expect(run.json.items).toMatchObject([{ part: 'API', fatal: true }]);
  });
});

describe('dealkeep bootstrap and keys', () => {
  test('write secrets into files of their owner alone, never onto the screen, never over another file', async () => {
    const first = join(folder, 'first.json');
    const name = crypto.randomUUID();
    const args = ['--url', api.url, 'bootstrap', '--name', name, '--out', first, '--database-url', stack.databaseUrl];
    const made = await dealkeep([...args, '--json'], { signedIn: false });
    expect(made.code).toBe(0);
    const { client_secret } = JSON.parse(await readFile(first, 'utf8'));
    expect((await stat(first)).mode & 0o777).toBe(0o600);
    expect(made.output + made.errors).not.toContain(client_secret);
    expect((await dealkeep(args, { signedIn: false })).code).toBe(2);

    const second = join(folder, 'second.json');
    const rotate = ['--credentials', first, 'keys', 'rotate', made.json.integration, '--out', second];
    const rotated = await dealkeep(rotate, { signedIn: false });
    expect(rotated.code).toBe(0);
    const renewed = JSON.parse(await readFile(second, 'utf8'));
    expect(renewed.client_secret).not.toBe(client_secret);
    expect(rotated.output + rotated.errors).not.toContain(renewed.client_secret);
    for (const file of [first, second]) {
      const nodes = await dealkeep(['--credentials', file, 'nodes', 'list', '--json'], { signedIn: false });
      expect(nodes.json.items).toMatchObject([{ name }]);
    }
  });
});

describe('dealkeep', () => {
  test('says as whom to speak when nobody is named', async () => {
    const run = await dealkeep(['--url', api.url, 'nodes', 'list'], { signedIn: false });
    expect(run.code).toBe(2);
    expect(run.errors).toContain('DEALKEEP_CLIENT_ID');
  });

  test('--help has examples', async () => {
    const run = await dealkeep(['--help'], { signedIn: false });
    expect(run.code).toBe(0);
    expect(run.output).toContain('npx dealkeep payments release');
  });
});
