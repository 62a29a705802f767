import { beforeAll, describe, expect, test } from 'vitest';
import { mineBlocks } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace } from './marketplace.ts';

let market: Marketplace;
let other: Marketplace;
let child: Awaited<ReturnType<Marketplace['openChildIntegration']>>;
beforeAll(async () => {
  market = await openMarketplace();
  other = await openMarketplace();
  child = await market.openChildIntegration();
});

const pointers = (json: Json): string[] => json.errors.map((fault: { pointer: string }) => fault.pointer);

async function addNode(fields: Record<string, unknown> = {}): Promise<Json> {
  const body = { parent_id: market.nodeId, name: crypto.randomUUID(), ...fields };
  const { status, json } = await market.post('/nodes', body);
  expect(status).toBe(201);
  return json;
}

describe('nodes', () => {
  test('state single fields of their policy; the rest holds as the nearest node above states it', async () => {
    const middle = await addNode({ policy: { fee_bps: 250, fee_fixed: 0.3, default_outcome: 'release' } });
    const leaf = await addNode({ parent_id: middle.id, policy: { fee_bps: 0, fee_minimum: null } });
    expect(middle.policy).toEqual({ fee_bps: 250, fee_fixed: 0.3, default_outcome: 'release' });
    expect(leaf.policy).toEqual({ fee_bps: 0, fee_minimum: null });
    expect(leaf.effective_policy).toEqual({
      fee_bps: 0,
      fee_fixed: 0.3,
      fee_minimum: null,
      fee_maximum: null,
      fee_bearer: 'payee',
      fee_recipient: market.stack.feeRecipient,
      arbiter: null,
      settlement_period_seconds: 30 * 86_400,
      resolution_period_seconds: 14 * 86_400,
      default_outcome: 'release',
    });
    const payment = await market.createPayment({ node_id: leaf.id, paid_price: 100 });
    expect(payment.deal).toMatchObject({ fee_units: '300000', default_outcome: 'release' });

    const { json } = await market.call('PATCH', `/nodes/${middle.id}`, { body: { policy: { fee_fixed: 0.5 } } });
    expect(json).toMatchObject({ policy: { fee_fixed: 0.5 }, effective_policy: { fee_bps: 100 } });
    const { effective_policy } = (await market.get(`/nodes/${leaf.id}`)).json;
    expect(effective_policy).toMatchObject({ fee_bps: 0, fee_fixed: 0.5, default_outcome: 'refund' });
  });

  test('are listed with all below, a page at a time, archived ones on request', async () => {
    const parent = await addNode();
    const children = [await addNode({ parent_id: parent.id }), await addNode({ parent_id: parent.id })];
    await market.post(`/nodes/${children[0].id}/archive`);
    const list = async (query: string) => (await market.get(`/nodes?parent_id=${parent.id}${query}`)).json;
    expect(await list('')).toMatchObject({ total: 1, items: [{ id: children[1].id }] });
    expect(await list('&archived=true&per_page=1&page=2')).toMatchObject({
      total: 2,
      page: 2,
      items: [{ id: children[0].id }],
    });
    const seen = (await other.get('/nodes?per_page=100')).json.items.map((node: Json) => node.id);
    expect(seen).not.toContain(parent.id);
    const below = (await market.get('/nodes', child.token)).json;
    expect(below).toMatchObject({ total: 1, items: [{ id: child.nodeId }] });
  });

  test('an archived node and those below take no new payments until it is restored', async () => {
    const parent = await addNode();
    const leaf = await addNode({ parent_id: parent.id });
    const payment = await market.createPayment({ node_id: leaf.id });
    const archived = await market.post(`/nodes/${parent.id}/archive`);
    expect([archived.status, typeof archived.json.archived_at]).toEqual([200, 'string']);
    expect((await market.post(`/nodes/${parent.id}/archive`)).json).toEqual(archived.json);
    const refused = await market.post('/payments', market.paymentBody({ node_id: leaf.id }));
    expect(refused.json.errors).toEqual([{ pointer: '/node_id', message: 'is archived' }]);
    expect((await market.get(`/payments/${payment.id}`)).status).toBe(200);
    expect((await market.post(`/nodes/${parent.id}/restore`)).json.archived_at).toBeNull();
    await market.createPayment({ node_id: leaf.id });
  });

  test('are marked local by operators only; then URLs of theirs and of all below may be private', async () => {
    const remote = await openMarketplace({ local: false });
    const below = await remote.openChildIntegration();
    const create = async () => {
      const body = remote.paymentBody({ node_id: below.nodeId, notify_url: 'http://127.0.0.1:4100/notify' });
      return await remote.post('/payments', body);
    };
    const refused = await create();
    expect(refused.json.errors).toEqual([{ pointer: '/notify_url', message: 'must be an https URL' }]);
    const mark = (token?: string) => remote.call('PATCH', `/nodes/${below.nodeId}`, { body: { local: true }, token });
    expect((await mark(below.token)).status).toBe(403);
    expect((await mark()).json.local).toBe(true);
    expect((await create()).json.notify_url).toBe('http://127.0.0.1:4100/notify');
  });

  test('400: every wrong field is named, and nothing is written', async () => {
    const count = async () => (await market.get('/nodes?per_page=1&archived=true')).json.total;
    const before = await count();
    const bad = { fee_bps: 10_001, fee_bearer: 'nobody', arbiter: '0x1', settlement_period_seconds: 1, extra: 1 };
    const shape = await market.post('/nodes', { parent_id: 'x', name: 'a\0b', policy: bad });
    expect(shape.status).toBe(400);
    expect(pointers(shape.json).sort()).toEqual(
      ['/name', '/parent_id', ...Object.keys(bad).map((field) => `/policy/${field}`)].sort(),
    );
    const rule = await market.post('/nodes', {
      parent_id: market.nodeId,
      name: 'n',
      policy: { fee_minimum: 2, fee_maximum: 1, fee_fixed: 1e-40 },
    });
    expect([rule.status, pointers(rule.json)]).toEqual([400, ['/policy/fee_fixed', '/policy/fee_maximum']]);
    expect(await count()).toBe(before);
  });

  test('409: a name is taken among siblings only', async () => {
    const { id, name } = await addNode();
    const taken = await market.post('/nodes', { parent_id: market.nodeId, name });
    expect([taken.status, taken.json.code, pointers(taken.json)]).toEqual([409, 'conflict', ['/name']]);
    await addNode({ parent_id: id, name });
    expect((await other.post('/nodes', { parent_id: other.nodeId, name })).status).toBe(201);
  });

  test('404: nobody reads, changes or adds to another tree', async () => {
    const { id, name } = await addNode();
    const answers = await Promise.all([
      other.get(`/nodes/${id}`),
      other.call('PATCH', `/nodes/${id}`, { body: { name: 'x' } }),
      other.post(`/nodes/${id}/archive`),
      other.post('/nodes', { parent_id: id, name: 'x' }),
      // Rights reach down the tree, never up.
      market.get(`/nodes/${market.nodeId}`, child.token),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404]);
    expect((await market.get(`/nodes/${id}`)).json).toMatchObject({ name, archived_at: null });
  });
});

describe('networks', () => {
  const SECRET_PATH = '/key-in-the-path';
  const body = (fields: Record<string, unknown> = {}) => ({
    chain_id: market.chainId,
    name: crypto.randomUUID(),
    rpc_urls: [market.stack.rpcUrl + SECRET_PATH],
    diamond_address: market.diamond,
    operator_address: market.operator,
    confirmations: 2,
    mode: 'test',
    ...fields,
  });

  test('201: checked against the chain; no answer shows an RPC URL', async () => {
    const { status, json } = await market.post('/networks', body());
    expect(status).toBe(201);
    const answers = [
      json,
      (await market.get(`/networks/${json.id}`)).json,
      (await market.get('/networks?per_page=100')).json,
      (await market.call('PATCH', `/networks/${json.id}`, { body: { name: crypto.randomUUID() } })).json,
      (await market.call('PATCH', `/networks/${json.id}`, { body: { rpc_urls: [`http://127.0.0.1:1${SECRET_PATH}`] } }))
        .json,
      (await market.call('PATCH', `/networks/${json.id}`, { body: { rpc_urls: [`ftp://x${SECRET_PATH}`] } })).json,
    ];
    expect(JSON.stringify(answers)).not.toMatch(/rpc_urls":\[|key-in-the-path|127\.0\.0\.1/);
    expect(answers[4].code).toBe('upstream_unavailable');
    expect(pointers(answers[5])).toEqual(['/rpc_urls/0']);
    expect(answers[1]).toEqual({
      id: json.id,
      chain_id: market.chainId,
      eip155_id: 31337,
      name: json.name,
      mode: 'test',
      diamond_address: market.diamond.toLowerCase(),
      operator_address: market.operator.toLowerCase(),
      confirmations: 2,
      start_block: market.stack.startBlock,
      max_fee_gwei: null,
      archived_at: null,
    });
    await market.post(`/networks/${json.id}/archive`);
  });

  test('400: what the chain says otherwise is named', async () => {
    const chain = await market.post('/chains', { eip155_id: Date.now(), name: 'another' });
    expect(chain.status).toBe(201);
    const [elsewhere, empty, token, nowhere] = await Promise.all([
      market.post('/networks', body({ chain_id: chain.json.id })),
      market.post('/networks', body({ diamond_address: market.stranger, confirmations: 10_000 })),
      market.post('/networks', body({ diamond_address: market.tokens.USDC })),
      market.post('/networks', body({ chain_id: crypto.randomUUID() })),
    ]);
    expect(elsewhere?.json.errors).toEqual([
      { pointer: '/rpc_urls/0', message: expect.stringContaining('serves chain 31337') },
    ]);
    expect(pointers(empty?.json)).toEqual(['/diamond_address', '/confirmations']);
    expect(token?.json.errors).toEqual([{ pointer: '/diamond_address', message: 'is not an escrow' }]);
    expect(pointers(nowhere?.json)).toEqual(['/chain_id']);
  });

  test('a fee ceiling is exact to the wei, and null takes it away', async () => {
    const made = await market.post('/networks', body({ max_fee_gwei: '150.000000001' }));
    expect([made.status, made.json.max_fee_gwei]).toEqual([201, '150.000000001']);
    const path = `/networks/${made.json.id}`;
    const kept = await market.call('PATCH', path, { body: { confirmations: 1 } });
    expect(kept.json.max_fee_gwei).toBe('150.000000001');
    for (const wrong of ['0', '-1', 'much', '', '1.0000000001', '1'.repeat(31), 5]) {
      const refused = await market.call('PATCH', path, { body: { max_fee_gwei: wrong } });
      expect([wrong, refused.status, pointers(refused.json)]).toEqual([wrong, 400, ['/max_fee_gwei']]);
    }
    const taken = await market.call('PATCH', path, { body: { max_fee_gwei: null } });
    expect([taken.status, taken.json.max_fee_gwei]).toEqual([200, null]);
    await market.post(`${path}/archive`);
  });

  test('400: a start block after the one in which the diamond was created, or after the newest', async () => {
    const { startBlock } = market.stack;
    // The block after it has to be there to be refused.
    await mineBlocks(market.stack, 1);
    const late = await market.post('/networks', body({ start_block: startBlock + 1 }));
    expect(late.json.errors).toEqual([
      { pointer: '/start_block', message: 'is after the block in which the diamond was created' },
    ]);
    const future = await market.post('/networks', body({ start_block: 1_000_000_000 }));
    expect(future.json.errors[0].message).toMatch(/^is after the newest block, \d+$/);
    const early = await market.post('/networks', body({ start_block: startBlock - 1 }));
    expect([early.status, early.json.start_block]).toEqual([201, startBlock - 1]);
    await market.post(`/networks/${early.json.id}/archive`);
  });

  test('400: an RPC URL that leads to a private address, unless the operator’s node is local', async () => {
    const strict = await openMarketplace({ local: false });
    const urls = [
      market.stack.rpcUrl,
      'https://10.0.0.1/v1',
      'https://user:password@rpc.example.org',
      'https://localhost',
    ];
    const refused = await strict.post('/networks', body({ rpc_urls: urls }));
    await strict.close();
    expect(refused.status).toBe(400);
    expect(pointers(refused.json)).toEqual(['/rpc_urls/0', '/rpc_urls/1', '/rpc_urls/2', '/rpc_urls/3']);
  });

  test('409: the diamond, the token and the decimals of what is in use never change', async () => {
    await market.createPayment();
    const { json: unused } = await market.post('/networks', body());
    const diamond = await market.call('PATCH', `/networks/${market.networkId}`, {
      body: { diamond_address: unused.diamond_address },
    });
    expect(diamond.status).toBe(200);
    const moved = await market.call('PATCH', `/networks/${market.networkId}`, {
      body: { diamond_address: market.tokens.USDC },
    });
    expect([moved.status, pointers(moved.json)]).toEqual([409, ['/diamond_address']]);
    const currency = await market.call('PATCH', `/currencies/${market.currencies.USDC}`, {
      body: { token_address: market.tokens.USDT, decimals: 7 },
    });
    expect([currency.status, pointers(currency.json)]).toEqual([409, ['/token_address', '/decimals']]);
    await market.post(`/networks/${unused.id}/archive`);
  });

  test('an archived network or currency, or one of another mode, takes no new payments', async () => {
    const { json: network } = await market.post('/networks', body({ mode: 'live' }));
    const { json: currency } = await market.post('/currencies', {
      network_id: network.id,
      code: 'USDC',
      name: 'US Dollar',
      token_address: market.tokens.USDC,
    });
    expect(currency.decimals).toBe(6);
    const payment = market.paymentBody({ network_id: network.id, currency_id: currency.id });
    const live = await market.post('/payments', payment);
    expect(live.json.errors).toEqual([
      { pointer: '/network_id', message: 'is a live network, but the integration is test' },
    ]);
    await market.post(`/networks/${network.id}/archive`);
    await market.post(`/currencies/${currency.id}/archive`);
    const archived = await market.post('/payments', payment);
    expect(archived.json.errors).toContainEqual({ pointer: '/network_id', message: 'is archived' });
    expect(archived.json.errors).toContainEqual({ pointer: '/currency_id', message: 'is archived' });
  });

  test('403: chains, networks and currencies are changed by an integration of a root node only', async () => {
    const call = (method: string, path: string, payload?: unknown) =>
      market.call(method, path, { token: child.token, ...(payload !== undefined && { body: payload }) });
    const answers = [
      await call('POST', '/chains', { eip155_id: 5, name: 'five' }),
      await call('POST', '/networks', body()),
      await call('PATCH', `/networks/${market.networkId}`, { name: 'mine' }),
      await call('POST', `/networks/${market.networkId}/archive`),
      await call('POST', `/currencies/${market.currencies.USDC}/archive`),
    ];
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403]);
    expect((await call('GET', `/networks/${market.networkId}`)).json.archived_at).toBeNull();
  });
});

describe('currencies', () => {
  test('400: a token that the escrow does not allow, decimals that the chain does not confirm', async () => {
    const base = { network_id: market.networkId, code: 'X', name: 'X' };
    const stranger = await market.post('/currencies', { ...base, token_address: market.stranger });
    expect([stranger.status, pointers(stranger.json)]).toEqual([400, ['/token_address']]);
    const decimals = await market.post('/currencies', { ...base, token_address: market.tokens.USDC, decimals: 18 });
    expect(decimals.json.errors).toEqual([{ pointer: '/decimals', message: 'is 6 on chain' }]);
    const taken = await market.post('/currencies', { ...base, token_address: market.tokens.USDC });
    expect([taken.status, pointers(taken.json)]).toEqual([409, ['/token_address']]);
    const nowhere = { ...base, network_id: crypto.randomUUID(), token_address: market.tokens.USDC };
    expect(pointers((await market.post('/currencies', nowhere)).json)).toEqual(['/network_id']);
  });
});

describe('fiat currencies', () => {
  // One installation has each code once, and the database is shared: every test takes a code of its own.
  test('have neither network nor token, and the decimals of ISO 4217', async () => {
    const { status, json } = await market.post('/currencies', { type: 'fiat', code: 'JPY', name: 'Yen' });
    expect(status).toBe(201);
    expect(json).toMatchObject({ type: 'fiat', network_id: null, token_address: null, decimals: 0, code: 'JPY' });
    const again = await market.post('/currencies', { type: 'fiat', code: 'JPY', name: 'Yen' });
    expect([again.status, pointers(again.json)]).toEqual([409, ['/code']]);
    const listed = (await market.get('/currencies?type=fiat&per_page=100')).json.items;
    expect(listed.map((currency: Json) => currency.id)).toContain(json.id);
    expect(new Set(listed.map((currency: Json) => currency.type))).toEqual(new Set(['fiat']));

    const renamed = await market.call('PATCH', `/currencies/${json.id}`, { body: { name: 'Japanese yen' } });
    expect(renamed.json).toEqual({ ...json, name: 'Japanese yen' });
    const changed = await market.call('PATCH', `/currencies/${json.id}`, {
      body: { code: 'CHF', decimals: 2, token_address: market.tokens.USDC },
    });
    expect([changed.status, pointers(changed.json)]).toEqual([400, ['/token_address', '/code', '/decimals']]);
  });

  test('400: a payment in one, until a rail takes it', async () => {
    const { json } = await market.post('/currencies', { type: 'fiat', code: 'CHF', name: 'Franc' });
    const count = await market.countPayments();
    const refused = await market.post('/payments', market.paymentBody({ currency_id: json.id }));
    expect(refused.status).toBe(400);
    expect(refused.json.errors).toEqual([{ pointer: '/currency_id', message: 'is not a currency of the network' }]);
    expect(await market.countPayments()).toBe(count);
  });

  test('400: a code of nobody, decimals of another, a token’s fields, a token without them', async () => {
    const add = async (body: Json) => pointers((await market.post('/currencies', { name: 'x', ...body })).json);
    expect(await add({ type: 'fiat', code: 'XYZ' })).toEqual(['/code']);
    expect(await add({ type: 'fiat', code: 'eur' })).toEqual(['/code']);
    expect(await add({ type: 'fiat', code: 'SEK', decimals: 3 })).toEqual(['/decimals']);
    const both = { network_id: market.networkId, token_address: market.tokens.USDC };
    expect(await add({ type: 'fiat', code: 'SEK', ...both })).toEqual(['/network_id', '/token_address']);
    expect(await add({ code: 'SEK' })).toEqual(['/network_id', '/token_address']);
    expect(await add({ type: 'gold', code: 'SEK' })).toEqual(['/type']);
  });
});

describe('wallets', () => {
  test('are added, renamed, listed and archived; an archived one is named by no new payment', async () => {
    const body = { node_id: market.nodeId, network_id: market.networkId, address: market.stranger, label: 'Payouts' };
    const { status, json } = await market.post('/wallets', body);
    expect(status).toBe(201);
    expect(json).toMatchObject({ ...body, address: market.stranger.toLowerCase(), archived_at: null });
    expect((await market.post('/wallets', body)).json).toMatchObject({ status: 409, code: 'conflict' });
    const renamed = await market.call('PATCH', `/wallets/${json.id}`, { body: { label: 'Other' } });
    expect(renamed.json).toEqual({ ...json, label: 'Other' });
    const payment = { wallet_id: json.id, payment_address: market.stranger };
    await market.createPayment(payment);
    await market.post(`/wallets/${json.id}/archive`);
    const refused = await market.post('/payments', market.paymentBody(payment));
    expect(pointers(refused.json)).toEqual(['/wallet_id']);
    const ids = async (query: string) =>
      (await market.get(`/wallets?node_id=${market.nodeId}${query}`)).json.items.map((wallet: Json) => wallet.id);
    expect(await ids('')).toEqual([market.walletId]);
    expect(await ids('&archived=true')).toEqual([json.id, market.walletId]);
    expect((await other.get(`/wallets/${json.id}`)).status).toBe(404);
  });

  test('400: neither the diamond, the operator nor the zero address', async () => {
    for (const address of [market.diamond, market.operator, `0x${'0'.repeat(40)}`]) {
      const body = { node_id: market.nodeId, network_id: market.networkId, address, label: 'x' };
      expect(pointers((await market.post('/wallets', body)).json)).toEqual(['/address']);
    }
  });
});
