// Workers that are killed at the worst line, and nodes that lose, delay and refuse. Each operation releases a part, so that one
// that was carried out twice would show in the deal.

import { generatePrivateKey } from 'viem/accounts';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { keySigner } from '../../api/core/chain/signers.ts';
import { escrowAbi } from '../../contracts/abi.ts';
import { type Deal, type Ground, openDesk, startGround } from '../support/desk.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await startGround(inject('stack').databaseUrl);
});
afterAll(async () => await ground?.stop());

const PART = 7_000_000n;

describe('a worker killed', () => {
  test.each([
    ['after storing, before the node has it', 'eth_sendRawTransaction', 'never'],
    ['after sending, before it learns so', 'eth_sendRawTransaction', 'held'],
    ['after the block, before the receipt is written', 'eth_getTransactionReceipt', 'held'],
  ] as const)('%s: the next one goes on, and the part moves once', async (_, method, treatment) => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    desk.proxy.treat(method, treatment);
    const reached = desk.proxy.reached(method);
    const first = await desk.work();
    const id = await desk.ask('releasePart', deal, PART);
    await reached;
    await first.kill();
    expect(await desk.sent()).toMatchObject([{ nonce: 0n, status: 'open', operations: 1, forms: 1 }]);
    desk.proxy.treat(method, undefined);
    await desk.work();
    expect(await desk.ends(id)).toEqual(['done']);
    expect(await desk.sent()).toMatchObject([{ nonce: 0n, status: 'mined', operations: 1, forms: 1 }]);
    expect(await desk.slot(deal)).toMatchObject({ released: PART, refunded: 0n });
  });
});

describe('a node', () => {
  async function parts(count: number) {
    const desk = await openDesk(ground);
    const deals: Deal[] = [];
    for (let made = 0; made < count; made++) deals.push(await desk.deposit());
    const ask = async () => {
      const ids: string[] = [];
      for (const deal of deals) ids.push(await desk.ask('releasePart', deal, PART));
      return ids;
    };
    return { ...desk, deals, askAll: ask };
  }

  test('that loses every second answer to a send: each counts as sent, and moves once', async () => {
    const desk = await parts(6);
    let sends = 0;
    desk.proxy.treat('eth_sendRawTransaction', () => (sends++ % 2 === 0 ? 'lost' : undefined));
    const ids = await desk.askAll();
    desk.submit();
    expect(new Set(await desk.ends(...ids))).toEqual(new Set(['done']));
    expect(await desk.sent()).toHaveLength(6);
    for (const deal of desk.deals) expect(await desk.slot(deal)).toMatchObject({ released: PART });
  });

  test('that says it has a transaction and drops it: it is given the same bytes again', async () => {
    const desk = await parts(1);
    desk.proxy.treat('eth_sendRawTransaction', { say: `0x${'ab'.repeat(32)}` });
    const [id = ''] = await desk.askAll();
    desk.submit();
    await expect.poll(async () => (await desk.sent()).length).toBe(1);
    desk.proxy.treat('eth_sendRawTransaction', undefined);
    expect(await desk.ends(id)).toEqual(['done']);
    expect(await desk.sent()).toMatchObject([{ nonce: 0n, forms: 1 }]);
  });

  test('that is too busy for a while, whatever it is asked: nothing fails for it', async () => {
    const desk = await parts(2);
    const methods = [
      'eth_sendRawTransaction',
      'eth_estimateGas',
      'eth_getTransactionReceipt',
      'eth_getTransactionCount',
    ];
    for (const method of methods) desk.proxy.treat(method, 'busy');
    const ids = await desk.askAll();
    desk.submit();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    for (const id of ids) expect((await desk.find(id)).status).toBe('queued');
    for (const method of methods) desk.proxy.treat(method, undefined);
    expect(new Set(await desk.ends(...ids))).toEqual(new Set(['done']));
  });
});

describe('a second time', () => {
  test('the bytes that were mined are refused by the chain, and a verb that moved everything reverts', async () => {
    const desk = await openDesk(ground);
    const [released, cancelled] = [await desk.deposit(), await desk.deposit()];
    const ids = [await desk.ask('release', released), await desk.ask('cancelDeal', cancelled)];
    desk.submit();
    await desk.ends(...ids);
    const [before, beside] = [await desk.slot(released), await desk.slot(cancelled)];
    for (const { raw } of await desk.sql<{ raw: `0x${string}` }[]>`
      select raw from signed_transaction where network_id = ${desk.networkId}`) {
      await expect(desk.chain.sendRawTransaction({ serializedTransaction: raw })).rejects.toThrow(/nonce|known/i);
    }
    const again = { account: desk.operator, address: desk.stack.diamond, abi: escrowAbi } as const;
    for (const functionName of ['release', 'cancelDeal'] as const) {
      for (const { terms } of [released, cancelled]) {
        await expect(desk.chain.simulateContract({ ...again, functionName, args: [terms] })).rejects.toThrow(
          'WrongStatus',
        );
      }
    }
    expect([await desk.slot(released), await desk.slot(cancelled)]).toEqual([before, beside]);
  });
});

describe('a delegate of the operator', () => {
  test('sends in its name with nonces of its own, until it is dropped; then the operator’s own key does', async () => {
    const desk = await openDesk(ground);
    const delegate = keySigner(generatePrivateKey());
    await desk.chain.setBalance({ address: delegate.address, value: 10n ** 18n });
    const allow = async (allowed: boolean) => {
      const call = { account: desk.operator, address: desk.stack.diamond, abi: escrowAbi } as const;
      await desk.chain.writeContract({ ...call, functionName: 'setDelegate', args: [delegate.address, allowed] });
    };
    await allow(true);
    const [first, second] = [await desk.deposit(), await desk.deposit()];
    const id = await desk.ask('releasePart', first, PART);
    desk.submit({ signers: [delegate] });
    expect(await desk.ends(id)).toEqual(['done']);
    expect(await desk.sent(delegate.address)).toMatchObject([{ nonce: 0n, status: 'mined', operations: 1 }]);
    expect(await desk.sent()).toEqual([]);

    await allow(false);
    const later = await desk.ask('releasePart', second, PART);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect((await desk.find(later)).status).toBe('queued');
    desk.submit();
    expect(await desk.ends(later)).toEqual(['done']);
    expect(await desk.sent(delegate.address)).toHaveLength(1);
    expect(await desk.sent()).toMatchObject([{ operations: 1, status: 'mined' }]);
  });
});
