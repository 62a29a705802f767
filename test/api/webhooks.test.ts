import { createHmac, createPublicKey, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Webhook } from 'standardwebhooks';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { reseal } from '../../api/core/reseal.ts';
import { Vault } from '../../api/core/vault.ts';
import { recoverEndpointSecret } from '../../api/core/webhooks/endpoints.ts';
import { type Received, type Receiver, startReceiver } from '../support/receiver.ts';
import { openWallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from './marketplace.ts';

let market: Marketplace;
let other: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
  other = await openMarketplace();
});

const WAIT_MS = 20_000;
const until = (condition: () => unknown) => expect.poll(condition, { timeout: WAIT_MS, interval: 25 });

async function openReceiver(): Promise<Receiver> {
  const receiver = await startReceiver();
  onTestFinished(() => receiver.stop());
  return receiver;
}

/** An endpoint at a receiver of its own, archived with the test so that others' events do not go there. */
async function openEndpoint(fields: Record<string, unknown> = {}): Promise<{ receiver: Receiver; endpoint: Json }> {
  const receiver = await openReceiver();
  const body = { node_id: market.nodeId, url: `${receiver.url}/hooks`, ...fields };
  const { status, json } = await market.post('/webhook-endpoints', body);
  expect(status, JSON.stringify(json)).toBe(201);
  onTestFinished(async () => void (await market.post(`/webhook-endpoints/${json.id}/archive`)));
  return { receiver, endpoint: json };
}

const typesOf = (webhooks: Received[], paymentId: string): string[] =>
  webhooks.filter(({ event }) => event.data.payment_id === paymentId).map(({ event }) => event.type);

/** Signatures of a scheme in a webhook's header. */
const signatures = ({ headers }: Received, scheme: string): string[] =>
  (headers['webhook-signature'] ?? '')
    .split(' ')
    .flatMap((part) => (part.startsWith(`${scheme},`) ? [part.slice(scheme.length + 1)] : []));

/** Checks by nothing but node's own crypto. */
function hmacOf(secret: string, { headers, body }: Received): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return createHmac('sha256', key)
    .update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`)
    .digest('base64');
}
function ed25519Holds(publicKey: string, { headers, body }: Received, signature: string): boolean {
  const x = Buffer.from(publicKey.replace(/^whpk_/, ''), 'base64').toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  const content = Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`);
  return verify(null, content, key, Buffer.from(signature, 'base64'));
}

describe('the life of a payment', () => {
  test('arrives in order, signed, each event once, with what it rests on', async () => {
    const { receiver, endpoint } = await openEndpoint({ events: ['payment.*'] });
    const { payment, widget } = await market.payable();
    await (await openWallet(market.stack)).deposit(termsOf(widget));
    await market.untilStatus(payment.id, 'funded');
    await market.post(`/payments/${payment.id}/release`);
    await market.untilStatus(payment.id, 'released');
    await until(() => typesOf(receiver.accepted, payment.id).at(-1)).toBe('payment.released');

    // Whether the deposit is seen before it counts is the indexer's haste.
    const webhooks = receiver.received.filter(
      ({ event }) => event.data.payment_id === payment.id && event.type !== 'payment.confirming',
    );
    expect(webhooks.map(({ event }) => event.type)).toEqual([
      'payment.created',
      'payment.awaiting_deposit',
      'payment.funded',
      'payment.released',
    ]);
    expect(webhooks.map(({ event }) => event.data.status)).toEqual([
      'pending',
      'awaiting_deposit',
      'funded',
      'released',
    ]);
    // Where other tests mine meanwhile, what is safe may be final already.
    const settled = expect.stringMatching(/^(safe|final)$/);
    expect(webhooks.map(({ event }) => event.data.finality)).toEqual(['final', 'final', settled, settled]);
    for (const webhook of webhooks) {
      expect(signatures(webhook, 'v1')).toEqual([hmacOf(endpoint.signing_secret, webhook)]);
      expect(new Webhook(endpoint.signing_secret).verify(webhook.body, webhook.headers)).toEqual(webhook.event);
      expect(webhook.headers['webhook-id']).toBe(webhook.event.id);
      expect(webhook.headers['content-type']).toBe('application/json');
    }
    const funded = webhooks[2]?.event;
    expect(funded.data).toMatchObject({
      external_id: payment.external_id,
      node_id: market.nodeId,
      proof: { chain_id: 31_337, transaction: expect.stringMatching(/^0x[0-9a-f]{64}$/) },
    });

    const deliveries = async (): Promise<Json[]> => {
      const { json } = await market.get(`/webhook-deliveries?node_id=${market.nodeId}&payment_id=${payment.id}`);
      return json.items.filter((item: Json) => item.event_type !== 'payment.confirming');
    };
    const operations = async () => {
      const { json } = await market.get(`/events?payment_id=${payment.id}&type=operation.*`);
      return json.items.map(({ type, data }: Json) => [type, data.status, data.finality]);
    };
    await until(operations).toEqual([
      ['operation.release.requested', null, 'final'],
      ['operation.release.done', null, 'safe'],
    ]);
    // A receiver has answered a moment before that is written down.
    const done = async () => (await deliveries()).map((item) => [item.event_type, item.status, item.attempts]).sort();
    await until(done).toEqual([
      ['payment.awaiting_deposit', 'delivered', 1],
      ['payment.created', 'delivered', 1],
      ['payment.funded', 'delivered', 1],
      ['payment.released', 'delivered', 1],
    ]);
    const [latest] = await deliveries();
    const { json } = await market.get(`/webhook-deliveries/${latest?.id}`);
    expect(json.log).toEqual([
      {
        number: 1,
        started_at: expect.any(String),
        latency_ms: expect.any(Number),
        status_code: 204,
        error: null,
        answer: '',
      },
    ]);
  });

  test('is told to the notify_url too: changes of status, under the key of the node', async () => {
    const receiver = await openReceiver();
    const payment = await market.createPayment({ notify_url: `${receiver.url}/notify?order=7` });
    await until(() => typesOf(receiver.accepted, payment.id)).toEqual(['payment.created', 'payment.awaiting_deposit']);
    const [webhook] = receiver.accepted as [Received];
    expect(webhook.url).toBe('/notify?order=7');
    const { json } = await market.get(`/nodes/${market.nodeId}/notification-keys`);
    const [signature = ''] = signatures(webhook, 'v1a');
    expect(ed25519Holds(json.keys[0].public_key, webhook, signature)).toBe(true);
    expect(ed25519Holds(json.keys[0].public_key, { ...webhook, body: `${webhook.body} ` }, signature)).toBe(false);

    const rotated = (await market.post(`/nodes/${market.nodeId}/notification-keys/rotate`)).json;
    expect(rotated.keys[1]).toMatchObject({ public_key: json.keys[0].public_key, valid_until: expect.any(String) });
    await market.post(`/payments/${payment.id}/cancel`);
    await until(() => typesOf(receiver.accepted, payment.id).at(-1)).toBe('payment.cancelled');
    const last = receiver.accepted.at(-1) as Received;
    const holds = signatures(last, 'v1a').map((one, index) => ed25519Holds(rotated.keys[index].public_key, last, one));
    expect(holds).toEqual([true, true]);
    // What stands for its URLs is no endpoint of the node's.
    const endpoints = (await market.get(`/webhook-endpoints?node_id=${market.nodeId}&archived=true&per_page=100`)).json;
    expect(endpoints.items.map((item: Json) => item.url)).not.toContain(receiver.url);
  });
});

describe("the README's receiver", async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const snippets = readme.split('```js\n').slice(1);
  const code = snippets.find((snippet) => snippet.includes('readWebhook'))?.split('\n```')[0] ?? '';
  const { readWebhook } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

  test.each(['hmac', 'ed25519'])('%s: reads what is genuine and fresh, and nothing else', async (signature) => {
    const { receiver, endpoint } = await openEndpoint({ signature });
    const key = endpoint.signing_secret ?? endpoint.keys[0].public_key;
    await market.post(`/webhook-endpoints/${endpoint.id}/rotate-secret`);
    await market.post(`/webhook-endpoints/${endpoint.id}/test`);
    await until(() => receiver.received.length).toBe(1);
    const [{ body, headers, event }] = receiver.received as [Received];
    expect(readWebhook(body, headers, key)).toEqual(event);
    const stranger = (await openEndpoint({ signature })).endpoint;
    for (const [changedBody, changedHeaders, changedKey] of [
      [body.replace('test', 'text'), headers, key],
      [body, { ...headers, 'webhook-id': crypto.randomUUID() }, key],
      [body, { ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) }, key],
      [body, { ...headers, 'webhook-signature': 'v1,AAAA v1a,AAAA' }, key],
      [body, headers, stranger.signing_secret ?? stranger.keys[0].public_key],
    ]) {
      expect(() => readWebhook(changedBody, changedHeaders, changedKey)).toThrow('not genuine');
    }
    expect(() => readWebhook(body, { ...headers, 'webhook-timestamp': '1700000000' }, key)).toThrow('too old');
  });
});

describe('webhook endpoints', () => {
  test('the secret is shown once, sealed at rest, and not among what is kept for a repeated request', async () => {
    const receiver = await openReceiver();
    const body = { node_id: market.nodeId, url: receiver.url, events: ['deal.duplicate'] };
    const send = async () => {
      const response = await market.app.request('/api/v1/webhook-endpoints', {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${market.token}`,
          'Content-Type': 'application/json',
          'Idempotency-Key': receiver.url,
        },
        body: JSON.stringify(body),
      });
      return (await response.json()) as Json;
    };
    const created = await send();
    expect(created.signing_secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(await send()).toEqual(created);
    const { signing_secret, ...shown } = created;
    expect((await market.get(`/webhook-endpoints/${created.id}`)).json).toEqual(shown);
    const rows = await market.sql`select * from webhook_key where endpoint_id = ${created.id}`;
    expect(JSON.stringify(rows)).not.toContain(signing_secret.slice(6));
    await market.post(`/webhook-endpoints/${created.id}/rotate-secret`, { overlap_seconds: 0 });
    expect((await send()).signing_secret).toBeNull();
    await market.post(`/webhook-endpoints/${created.id}/archive`);
  });

  test('rotation: webhooks are signed by both keys until the overlap ends, then by the new one', async () => {
    const { receiver, endpoint } = await openEndpoint();
    const test = async () => {
      const before = receiver.received.length;
      await market.post(`/webhook-endpoints/${endpoint.id}/test`);
      await until(() => receiver.received.length).toBe(before + 1);
      return receiver.received[before] as Received;
    };
    const rotated = (await market.post(`/webhook-endpoints/${endpoint.id}/rotate-secret`)).json;
    const both = await test();
    expect(signatures(both, 'v1')).toEqual([
      hmacOf(rotated.signing_secret, both),
      hmacOf(endpoint.signing_secret, both),
    ]);
    await market.sql`update webhook_key set valid_until = now() where endpoint_id = ${endpoint.id} and version = 1`;
    const after = await test();
    expect(signatures(after, 'v1')).toEqual([hmacOf(rotated.signing_secret, after)]);
    expect(rotated.keys.map((key: Json) => key.version)).toEqual([2, 1]);
  });

  test('ed25519: the public key verifies, and no secret is shown', async () => {
    const { receiver, endpoint } = await openEndpoint({ signature: 'ed25519' });
    expect(endpoint.signing_secret).toBeNull();
    await market.post(`/webhook-endpoints/${endpoint.id}/test`);
    await until(() => receiver.received.length).toBe(1);
    const [webhook] = receiver.received as [Received];
    expect(webhook.event).toMatchObject({ type: 'webhook.test', data: { payment_id: null, node_id: market.nodeId } });
    expect(ed25519Holds(endpoint.keys[0].public_key, webhook, signatures(webhook, 'v1a')[0] ?? '')).toBe(true);
  });

  test('keep their keys when the master secret changes: they are sealed anew', async () => {
    const node = await market.openChild();
    const { endpoint } = await openEndpoint({ node_id: node });
    const [next, old] = ['33'.repeat(32), market.stack.secret];
    expect(await reseal(market.sql, new Vault(next, [old]), { nodeId: node })).toBe(1);
    const only = { id: endpoint.id, version: 1 };
    expect(await recoverEndpointSecret(market.sql, new Vault(next), only)).toBe(endpoint.signing_secret);
    await expect(recoverEndpointSecret(market.sql, new Vault(old), only)).rejects.toThrow('was not given');
    expect(await reseal(market.sql, new Vault(old, [next]), { nodeId: node })).toBe(1);
  });

  test('get what their filter names, of their node and all below, and nothing of others', async () => {
    const child = await market.openChildIntegration();
    const created = await openEndpoint({ events: ['payment.created'] });
    const below = await openEndpoint({ node_id: child.nodeId, events: ['*'] });
    const own = await market.createPayment();
    const deep = await market.createPayment({ node_id: child.nodeId });
    const foreign = await other.createPayment();
    await until(() => typesOf(below.receiver.accepted, deep.id)).toEqual([
      'payment.created',
      'payment.awaiting_deposit',
    ]);
    await until(() => created.receiver.accepted.length).toBe(2);
    const seen = (receiver: Receiver) => new Set(receiver.received.map(({ event }) => event.data.payment_id));
    expect(seen(created.receiver)).toEqual(new Set([own.id, deep.id]));
    expect(seen(below.receiver)).toEqual(new Set([deep.id]));
    expect(seen(created.receiver)).not.toContain(foreign.id);
  });

  test('disabled they get nothing; enabled again they get what a replay since a date sends', async () => {
    const { receiver, endpoint } = await openEndpoint({ events: ['payment.created'] });
    const from = new Date(Date.now() - 1_000).toISOString();
    await market.post(`/webhook-endpoints/${endpoint.id}/disable`);
    const missed = await market.createPayment();
    await market.untilStatus(missed.id, 'awaiting_deposit');
    await until(async () => (await market.get(`/events?payment_id=${missed.id}`)).json.items.length).toBe(2);
    const refused = await market.post(`/webhook-endpoints/${endpoint.id}/replay`, { from });
    expect([refused.status, refused.json.code]).toEqual([409, 'illegal_transition']);
    await market.post(`/webhook-endpoints/${endpoint.id}/enable`);
    expect(receiver.received).toEqual([]);
    const { status, json } = await market.post(`/webhook-endpoints/${endpoint.id}/replay`, { from });
    expect([status, json.queued]).toEqual([202, expect.any(Number)]);
    await until(() => typesOf(receiver.accepted, missed.id)).toEqual(['payment.created']);
  });

  test('one event is sent again when asked, under its own id', async () => {
    const { receiver } = await openEndpoint({ events: ['payment.created'] });
    const payment = await market.createPayment();
    await until(() => receiver.accepted.length).toBe(1);
    const list = await market.get(`/webhook-deliveries?node_id=${market.nodeId}&payment_id=${payment.id}`);
    const { status, json } = await market.post(`/webhook-deliveries/${list.json.items[0].id}/resend`);
    expect([status, json.cause]).toEqual([202, 'resend']);
    await until(() => receiver.accepted.length).toBe(2);
    expect(receiver.accepted[1]?.body).toBe(receiver.accepted[0]?.body);
    expect(receiver.accepted[1]?.headers['webhook-id']).toBe(receiver.accepted[0]?.headers['webhook-id']);
  });

  test('410: the endpoint is disabled, another hears of it, and what waits is held until it is enabled', async () => {
    const watch = await openEndpoint({ events: ['webhook.*'] });
    const { receiver, endpoint } = await openEndpoint({ events: ['payment.created'] });
    receiver.answer = 410;
    const payment = await market.createPayment();
    await until(() => typesOf(watch.receiver.accepted, payment.id)).toEqual(['webhook.endpoint_disabled']);
    const read = async () => (await market.get(`/webhook-endpoints/${endpoint.id}`)).json;
    expect(await read()).toMatchObject({ disabled_reason: 'gone', waiting: 1 });
    expect((await market.post(`/webhook-endpoints/${endpoint.id}/test`)).status).toBe(409);
    receiver.answer = 204;
    await market.post(`/webhook-endpoints/${endpoint.id}/enable`);
    const [waiting] = (await market.get(`/webhook-deliveries?node_id=${market.nodeId}&endpoint_id=${endpoint.id}`)).json
      .items;
    await market.post(`/webhook-deliveries/${waiting.id}/resend`);
    await until(() => typesOf(receiver.accepted, payment.id)).toEqual(['payment.created']);
    expect(await read()).toMatchObject({ disabled_at: null, disabled_reason: null });
  });

  test('a node that is not local: http and private addresses are refused, also of one that was local before', async () => {
    const remote = await openMarketplace({ local: false });
    const add = (url: string) => remote.post('/webhook-endpoints', { node_id: remote.nodeId, url });
    for (const url of [
      'http://shop.example/hooks',
      'https://127.0.0.1/hooks',
      'https://[::ffff:10.0.0.1]/',
      'nonsense',
    ]) {
      const { status, json } = await add(url);
      expect([status, json.errors[0].pointer], url).toEqual([400, '/url']);
    }
    const { receiver, endpoint } = await openEndpoint();
    await market.sql`update node set local = false where id = ${market.nodeId}`;
    onTestFinished(async () => void (await market.sql`update node set local = true where id = ${market.nodeId}`));
    const delivery = (await market.post(`/webhook-endpoints/${endpoint.id}/test`)).json;
    const log = async () => (await market.get(`/webhook-deliveries/${delivery.id}`)).json.log[0];
    await until(async () => (await log())?.error).toBe('The URL must be an https URL.');
    expect(receiver.received).toEqual([]);
  });

  test('400: every wrong field is named; 404 for others', async () => {
    const bad = { node_id: 'x', url: 1, events: ['payment.', 'Payment created'], signature: 'md5', description: 'a\0' };
    const shape = await market.post('/webhook-endpoints', { ...bad, extra: 1 });
    expect(shape.json.errors.map((fault: Json) => fault.pointer)).toEqual([
      ...['/node_id', '/url', '/description', '/events/0', '/events/1', '/signature', '/extra'],
    ]);
    const { endpoint } = await openEndpoint();
    const test = (await market.post(`/webhook-endpoints/${endpoint.id}/test`)).json;
    const answers = await Promise.all([
      other.get(`/webhook-endpoints/${endpoint.id}`),
      other.call('PATCH', `/webhook-endpoints/${endpoint.id}`, { body: { url: 'http://127.0.0.1:1/' } }),
      other.post(`/webhook-endpoints/${endpoint.id}/rotate-secret`),
      other.post(`/webhook-endpoints/${endpoint.id}/archive`),
      other.post(`/webhook-endpoints/${endpoint.id}/replay`, { from: '2026-01-01T00:00:00Z' }),
      other.get(`/webhook-deliveries/${test.id}`),
      other.post(`/webhook-deliveries/${test.id}/resend`),
      other.get(`/webhook-deliveries?node_id=${market.nodeId}`),
      other.get(`/nodes/${market.nodeId}/notification-keys`),
      other.get(`/events?node_id=${market.nodeId}`),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 404));
  });
});
