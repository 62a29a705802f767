import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FieldFaults } from '../../api/core/errors.ts';
import { findMerchant, findMoney, nodesOf } from '../../api/core/platform/merchants.ts';
import { createFiat, createNode } from '../../api/core/platform/platform.ts';
import { type Json, type Marketplace, openMarketplace } from '../api/marketplace.ts';

let market: Marketplace;
let euroId: string;
beforeAll(async () => {
  market = await openMarketplace();
  euroId = (await createFiat(market.sql, { code: 'EUR', decimals: 2 })).id;
});
afterAll(() => market.close());

const newCode = () => `MP${randomBytes(2).toString('hex').toUpperCase()}-${randomBytes(2).toString('hex')}`;
const openChild = async (parentId: string) =>
  (await createNode(market.sql, { name: crypto.randomUUID(), parentId })).id;
const patch = (id: string, body: Json) => market.call('PATCH', `/nodes/${id}`, { body });

describe('a solution code', () => {
  test('names the nearest node at or below the one of who asks', async () => {
    const code = newCode();
    const child = await openChild(market.nodeId);
    const grandchild = await openChild(child);
    for (const id of [grandchild, child]) await patch(id, { solution_code: code });
    expect(await findMerchant(market.sql, { nodeId: market.nodeId }, code)).toBe(child);
    expect(await findMerchant(market.sql, { nodeId: grandchild }, code)).toBe(grandchild);
    expect((await nodesOf(market.sql, { nodeId: child })).sort()).toEqual([child, grandchild].sort());
  });

  test('invalid_request: unknown, a stranger’s, an archived node’s, or two nodes’', async () => {
    const code = newCode();
    const [one, other] = [await openChild(market.nodeId), await openChild(market.nodeId)];
    const asked = (nodeId: string) => findMerchant(market.sql, { nodeId }, code);
    const refused = { code: 'invalid_request', faults: [{ pointer: '/solutionCode' }] };
    await expect(asked(market.nodeId)).rejects.toMatchObject(refused);
    await patch(one, { solution_code: code });
    await expect(asked(other)).rejects.toMatchObject(refused);
    await patch(other, { solution_code: code });
    await expect(asked(market.nodeId)).rejects.toMatchObject({ faults: [{ message: /several nodes/ }] });
    await market.post(`/nodes/${other}/archive`);
    expect(await asked(market.nodeId)).toBe(one);
  });

  test('400: not of its form', async () => {
    const { status, json } = await patch(market.nodeId, { solution_code: 'MP-1' });
    expect([status, json.errors]).toEqual([400, [{ pointer: '/solution_code', message: 'must be like MPFRGE-S1YP' }]]);
  });
});

describe('currencies of a node', () => {
  test('hold for the nodes below unless these state their own', async () => {
    const token = { code: 'EUR', currency_id: market.currencies.USDC };
    const stated = await patch(market.nodeId, { currencies: [token] });
    expect(stated.json.currencies).toEqual([token]);
    const child = await openChild(market.nodeId);
    const found = async () =>
      (await findMoney(market.sql, child, { code: 'EUR', pointer: '/currencyCode' }, new FieldFaults()))?.id;
    expect(await found()).toBe(market.currencies.USDC);
    await patch(child, { currencies: [{ code: 'EUR', currency_id: euroId }] });
    expect(await found()).toBe(euroId);
    await patch(child, { currencies: [] });
    expect(await found()).toBe(market.currencies.USDC);
  });

  test('a code that nobody states is a fault of the request', async () => {
    const faults = new FieldFaults();
    expect(
      await findMoney(market.sql, market.nodeId, { code: 'CHF', pointer: '/currencyCode' }, faults),
    ).toBeUndefined();
    expect(() => faults.throwIfAny()).toThrow('Not valid: currencyCode.');
  });

  test('400: what a node cannot mean, each entry named', async () => {
    const { status, json } = await patch(market.nodeId, {
      currencies: [
        { code: 'USD', currency_id: euroId },
        { code: 'GBP', currency_id: crypto.randomUUID() },
        { code: 'CHF', currency_id: market.currencies.USDC },
        { code: 'CHF', currency_id: market.currencies.USDT },
      ],
    });
    expect(status).toBe(400);
    expect(json.errors).toEqual([
      { pointer: '/currencies/0/currency_id', message: 'is EUR' },
      { pointer: '/currencies/1/currency_id', message: 'does not exist' },
      { pointer: '/currencies/3/code', message: 'is given twice' },
    ]);
  });
});

describe('a seller', () => {
  test('is a party with an external id on the orders surface, and keeps its 32-bit id', async () => {
    const { json: party } = await market.post('/parties', { node_id: market.nodeId, kind: 'firm' });
    expect(party.seller_id).toBeNull();
    const named = await market.call('PATCH', `/parties/${party.id}`, { body: { external_ids: { orders: 's-1' } } });
    expect(named.json.seller_id).toBeGreaterThan(0);
    const renamed = await market.call('PATCH', `/parties/${party.id}`, { body: { external_ids: { orders: 's-2' } } });
    expect(renamed.json.seller_id).toBe(named.json.seller_id);
  });
});
