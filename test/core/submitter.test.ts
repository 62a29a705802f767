import { pino } from 'pino';
import { parseTransaction } from 'viem';
import { generatePrivateKey } from 'viem/accounts';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { keySigner } from '../../api/core/chain/signers.ts';
import { listStandings } from '../../api/core/chain/standing.ts';
import { escrowAbi } from '../../contracts/abi.ts';
import { dealId } from '../../contracts/terms.ts';
import { type Deal, type Ground, openDesk, startGround } from '../support/desk.ts';
import { offerOf } from '../support/wallet.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await startGround(inject('stack').databaseUrl);
});
afterAll(async () => await ground?.stop());

const SETTLED = 4;

describe('operations of one signer', () => {
  test('a release is sent once and ends in done', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    const id = await desk.ask('release', deal);
    desk.submit();
    expect(await desk.ends(id)).toEqual(['done']);
    expect(await desk.slot(deal)).toMatchObject({ status: SETTLED, released: 25_000_000n });
    await expect
      .poll(() => desk.sent())
      .toMatchObject([{ nonce: 0n, status: 'mined', operations: 1, forms: 1, final: true }]);
  });

  test('one that would revert is failed with the decoded error, and costs no nonce', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    const first = await desk.ask('release', deal);
    desk.submit();
    await desk.ends(first);
    const second = await desk.ask('cancelDeal', deal);
    expect(await desk.ends(second)).toEqual(['The deal is Settled on chain; this needs it to be Funded.']);
    expect(await desk.sent()).toHaveLength(1);
  });

  test('those of one verb that wait together go as one transaction, parts each alone', async () => {
    const desk = await openDesk(ground);
    const deals: Deal[] = [];
    for (let made = 0; made < 6; made++) deals.push(await desk.deposit());
    const [a, b, c, d, e, f] = deals as [Deal, Deal, Deal, Deal, Deal, Deal];
    const ids = [
      await desk.ask('release', a),
      await desk.ask('cancelDeal', b),
      await desk.ask('release', c),
      await desk.ask('releasePart', d, 10_000_000n),
      await desk.ask('cancelDeal', e),
      await desk.ask('refundPart', f, 5_000_000n),
    ];
    desk.submit();
    expect(await desk.ends(...ids)).toEqual(ids.map(() => 'done'));
    const carried = (await desk.sent()).map(({ operations }) => operations);
    expect(carried).toEqual([2, 2, 1, 1]);
    expect(await desk.slot(d)).toMatchObject({ released: 10_000_000n, refunded: 0n });
    expect(await desk.slot(f)).toMatchObject({ released: 0n, refunded: 5_000_000n });
  });

  test('an entry of a batch in a wrong state fails alone, by the contract’s own event', async () => {
    const desk = await openDesk(ground);
    const [fine, gone, other] = [await desk.deposit(), await desk.deposit(), await desk.deposit()];
    await ground.buyer.call('release', gone.terms);
    const ids = [await desk.ask('release', fine), await desk.ask('release', gone), await desk.ask('release', other)];
    desk.submit();
    expect(await desk.ends(...ids)).toEqual([
      'done',
      'The deal is Settled on chain; this needs it to be Funded.',
      'done',
    ]);
    expect(await desk.sent()).toMatchObject([{ operations: 3, status: 'mined' }]);
  });

  test('unfunded cancels that wait are closed by one transaction', async () => {
    const desk = await openDesk(ground);
    const offers = [1, 2, 3].map(() => {
      const terms = offerOf(desk.stack);
      return { terms, id: dealId(terms, desk.stack.chainId, desk.stack.diamond) };
    });
    const ids: string[] = [];
    for (const offer of offers) ids.push(await desk.ask('cancelDeal', offer));
    desk.submit();
    expect(await desk.ends(...ids)).toEqual(['done', 'done', 'done']);
    expect(await desk.sent()).toMatchObject([{ operations: 3 }]);
  });

  test('does not wait for blocks: several are on their way at once, never more than sixteen', async () => {
    const desk = await openDesk(ground);
    const deals: Deal[] = [];
    for (let made = 0; made < 20; made++) deals.push(await desk.deposit());
    await desk.holdBlocks();
    const ids: string[] = [];
    for (const deal of deals) ids.push(await desk.ask('releasePart', deal, 1_000_000n));
    desk.submit();
    await expect.poll(async () => (await desk.sent()).length, { timeout: 20_000 }).toBe(16);
    await desk.chain.mine({ blocks: 1 });
    await expect.poll(async () => (await desk.sent()).length, { timeout: 20_000 }).toBe(20);
    await desk.chain.mine({ blocks: 1 });
    expect(new Set(await desk.ends(...ids))).toEqual(new Set(['done']));
    expect((await desk.sent()).map(({ nonce }) => nonce)).toEqual(Array.from({ length: 20 }, (_, n) => BigInt(n)));
  });

  test('two submitters share one key: nonces without a gap, each operation in one transaction', async () => {
    const desk = await openDesk(ground);
    const deals: Deal[] = [];
    for (let made = 0; made < 12; made++) deals.push(await desk.deposit());
    const submitters = [desk.submit(), desk.submit()];
    const ids: string[] = [];
    for (const [index, deal] of deals.entries()) {
      ids.push(await desk.ask(index % 2 ? 'releasePart' : 'refundPart', deal, 2_000_000n));
      for (const submitter of submitters) void submitter.wake(desk.networkId);
    }
    expect(new Set(await desk.ends(...ids))).toEqual(new Set(['done']));
    const sent = await desk.sent();
    expect(sent.map(({ nonce }) => nonce)).toEqual(sent.map((_, index) => BigInt(index)));
    expect(sent.every(({ operations }) => operations === 1)).toBe(true);
    expect(sent).toHaveLength(12);
    for (const deal of deals) {
      const { released, refunded } = await desk.slot(deal);
      expect(released + refunded).toBe(2_000_000n);
    }
  });
});

describe('what goes wrong on chain', () => {
  test('a stuck transaction gets a higher fee under the same nonce, and whichever form is mined ends it', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    await desk.holdBlocks();
    const id = await desk.ask('release', deal);
    desk.submit();
    await expect.poll(async () => (await desk.sent()).length).toBe(1);
    const dearer = async () => {
      await desk.chain.setNextBlockBaseFeePerGas({ baseFeePerGas: 200_000_000_000n });
      await desk.chain.mine({ blocks: 1 });
    };
    const formsAfterABlock = async () => {
      await dearer();
      return (await desk.sent())[0]?.forms;
    };
    await expect.poll(formsAfterABlock, { timeout: 20_000, interval: 250 }).toBeGreaterThan(1);
    await desk.chain.setNextBlockBaseFeePerGas({ baseFeePerGas: 1_000_000_000n });
    await desk.chain.mine({ blocks: 1 });
    expect(await desk.ends(id)).toEqual(['done']);
    await expect.poll(() => desk.sent()).toMatchObject([{ nonce: 0n, status: 'mined', final: true }]);
  });

  test('a nonce of ours that the key spent elsewhere: its operation is sent anew, once', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    await desk.holdBlocks();
    // Ours never reaches the node, so that the other one of the same nonce can.
    desk.proxy.treat('eth_sendRawTransaction', 'never');
    const id = await desk.ask('releasePart', deal, 5_000_000n);
    desk.submit();
    await expect.poll(async () => (await desk.sent()).length).toBe(1);
    await desk.spendElsewhere(0);
    await desk.chain.setAutomine(true);
    await desk.chain.mine({ blocks: 1 });
    desk.proxy.treat('eth_sendRawTransaction', undefined);
    expect(await desk.ends(id)).toEqual(['done']);
    expect(await desk.sent()).toMatchObject([
      { nonce: 0n, status: 'taken', operations: 0 },
      { nonce: 1n, status: 'mined', operations: 1 },
    ]);
    expect(await desk.slot(deal)).toMatchObject({ released: 5_000_000n });
  });

  test('a part whose nonce went elsewhere is not sent anew when the deal has changed since', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    await desk.holdBlocks();
    desk.proxy.treat('eth_sendRawTransaction', 'never');
    const id = await desk.ask('releasePart', deal, 5_000_000n);
    desk.submit();
    await expect.poll(async () => (await desk.sent()).length).toBe(1);
    await desk.spendElsewhere(0);
    await desk.chain.setAutomine(true);
    await desk.chain.mine({ blocks: 1 });
    const part = { address: desk.stack.diamond, abi: escrowAbi } as const;
    const args = [deal.terms, 1_000_000n] as const;
    await ground.buyer.mined(await ground.buyer.client.writeContract({ ...part, functionName: 'releasePart', args }));
    desk.proxy.treat('eth_sendRawTransaction', undefined);
    expect((await desk.ends(id))[0]).toContain('the deal has changed since');
    expect(await desk.slot(deal)).toMatchObject({ released: 1_000_000n });
  });

  test('the key’s other transactions are passed over', async () => {
    const desk = await openDesk(ground);
    const [first, second] = [await desk.deposit(), await desk.deposit()];
    desk.submit();
    await desk.ends(await desk.ask('release', first));
    await desk.spendElsewhere();
    await desk.spendElsewhere();
    expect(await desk.ends(await desk.ask('release', second))).toEqual(['done']);
    expect((await desk.sent()).map(({ nonce }) => nonce)).toEqual([0n, 3n]);
  });

  test('a reorg that takes a foreign transaction back leaves a gap: it is filled, and ours is mined behind it', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    const snapshot = await desk.chain.snapshot();
    await desk.spendElsewhere();
    await desk.holdBlocks();
    const id = await desk.ask('release', deal);
    desk.submit();
    await expect.poll(async () => (await desk.sent()).map(({ nonce }) => nonce)).toEqual([1n]);
    await desk.chain.revert({ id: snapshot });
    await expect
      .poll(
        async () => {
          await desk.chain.mine({ blocks: 1 });
          return (await desk.find(id)).status;
        },
        { timeout: 20_000 },
      )
      .toBe('done');
    expect(await desk.sent()).toMatchObject([
      { nonce: 0n, operations: 0 },
      { nonce: 1n, operations: 1, status: 'mined' },
    ]);
  });

  test('a reorg that takes ours back before it is deep: it is given to the network again and mined again', async () => {
    const desk = await openDesk(ground, { confirmations: 4 });
    const deal = await desk.deposit();
    const snapshot = await desk.chain.snapshot();
    const id = await desk.ask('releasePart', deal, 3_000_000n);
    desk.submit();
    await expect.poll(async () => (await desk.sent())[0]?.status, { timeout: 20_000 }).toBe('mined');
    expect((await desk.find(id)).status).toBe('submitted');
    await desk.chain.revert({ id: snapshot });
    // Without a block of its own nobody could tell the other branch from a node that lost some.
    await desk.chain.mine({ blocks: 1 });
    await expect.poll(async () => (await desk.slot(deal)).released, { timeout: 20_000 }).toBe(3_000_000n);
    for (let block = 0; block < 3; block++) await desk.chain.mine({ blocks: 1 });
    expect(await desk.ends(id)).toEqual(['done']);
    await expect.poll(() => desk.sent()).toMatchObject([{ nonce: 0n, status: 'mined', forms: 1, final: true }]);
  });

  test('a reorg deeper than the confirmations, when nothing else is under way: what was final is mined again', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    const snapshot = await desk.chain.snapshot();
    const id = await desk.ask('releasePart', deal, 3_000_000n);
    desk.submit();
    expect(await desk.ends(id)).toEqual(['done']);
    await expect.poll(() => desk.sent(), { timeout: 20_000 }).toMatchObject([{ status: 'mined', final: true }]);
    await desk.chain.revert({ id: snapshot });
    await desk.chain.mine({ blocks: 1 });
    expect((await desk.slot(deal)).released).toBe(0n);
    await expect.poll(async () => (await desk.slot(deal)).released, { timeout: 30_000 }).toBe(3_000_000n);
    await expect
      .poll(() => desk.sent(), { timeout: 20_000 })
      .toMatchObject([{ nonce: 0n, status: 'mined', forms: 1, final: true }]);
    expect(await desk.ends(id)).toEqual(['done']);
  });

  test('fees above the ceiling: nothing is signed, the signer says so, and goes on once the operator raises it', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    const ceiling = async (gwei: string | null) => {
      const answer = await desk.market.call('PATCH', `/networks/${desk.networkId}`, { body: { max_fee_gwei: gwei } });
      expect(answer).toMatchObject({ status: 200, json: { max_fee_gwei: gwei } });
    };
    await ceiling('0.5');
    const id = await desk.ask('release', deal);
    desk.submit();
    const standing = async () =>
      (await listStandings(desk.sql)).find(({ networkId }) => networkId === desk.networkId) ?? null;
    await expect
      .poll(standing, { timeout: 20_000 })
      .toMatchObject({ state: 'dear', detail: expect.stringContaining('its ceiling is 0.5'), waitingOperations: 1 });
    expect(await desk.sent()).toEqual([]);
    await ceiling(null);
    expect(await desk.ends(id)).toEqual(['done']);
    await expect.poll(standing, { timeout: 20_000 }).toMatchObject({ state: 'ok' });
  });

  test('a node that asks for an absurd tip is not believed: the signer waits until it asks for less', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    desk.proxy.treat('eth_maxPriorityFeePerGas', { say: `0x${(10n ** 15n).toString(16)}` });
    const id = await desk.ask('release', deal);
    desk.submit();
    const state = async () =>
      (await desk.sql`select state from signer_standing where network_id = ${desk.networkId}`)[0]?.state;
    await expect.poll(state, { timeout: 20_000 }).toBe('dear');
    expect(await desk.sent()).toEqual([]);
    desk.proxy.treat('eth_maxPriorityFeePerGas', undefined);
    expect(await desk.ends(id)).toEqual(['done']);
  });

  test('a stuck transaction is bid no higher than the ceiling, which is said once, and goes on when it is raised', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    await desk.holdBlocks();
    const id = await desk.ask('release', deal);
    const lines: string[] = [];
    desk.submit({ log: pino({ level: 'warn' }, { write: (line) => lines.push(line) }) });
    await expect.poll(async () => (await desk.sent()).length, { timeout: 20_000 }).toBe(1);
    const [form] = await desk.sql<{ raw: `0x${string}` }[]>`
      select raw from signed_transaction where network_id = ${desk.networkId}`;
    const bid = parseTransaction(form?.raw ?? '0x').maxFeePerGas ?? 0n;
    await desk.sql`update network set max_fee_wei = ${bid.toString()} where id = ${desk.networkId}`;
    const said = () => lines.filter((line) => line.includes('above the ceiling')).length;
    const afterABlock = async <T>(read: () => T) => {
      await desk.chain.setNextBlockBaseFeePerGas({ baseFeePerGas: 2n * bid });
      await desk.chain.mine({ blocks: 1 });
      return read();
    };
    await expect.poll(() => afterABlock(said), { timeout: 20_000, interval: 250 }).toBe(1);
    await afterABlock(said);
    expect(await desk.sent()).toMatchObject([{ forms: 1, status: 'open' }]);
    await desk.sql`update network set max_fee_wei = null where id = ${desk.networkId}`;
    const forms = async () => (await desk.sent())[0]?.forms;
    await expect.poll(() => afterABlock(forms), { timeout: 20_000, interval: 250 }).toBeGreaterThan(1);
    expect(said()).toBe(1);
    await desk.chain.setNextBlockBaseFeePerGas({ baseFeePerGas: 1_000_000_000n });
    await desk.chain.mine({ blocks: 1 });
    expect(await desk.ends(id)).toEqual(['done']);
  });

  test('too little ether: nothing is signed, the signer is paused and says so, and goes on when it has more', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    await desk.chain.setBalance({ address: desk.operator.address, value: 1_000n });
    const id = await desk.ask('release', deal);
    desk.submit();
    const standing = async () =>
      (await desk.sql`select state, detail, balance_wei from signer_standing where network_id = ${desk.networkId}`)[0];
    await expect.poll(standing, { timeout: 20_000 }).toMatchObject({ state: 'paused', balanceWei: 1_000n });
    expect((await standing())?.detail).toContain('send it more');
    const shown = (await listStandings(desk.sql)).find(({ networkId }) => networkId === desk.networkId);
    expect(shown).toMatchObject({ state: 'paused', openTransactions: 0, waitingOperations: 1 });
    expect(await desk.sent()).toEqual([]);
    expect((await desk.find(id)).status).toBe('queued');
    await desk.chain.setBalance({ address: desk.operator.address, value: 10n ** 19n });
    expect(await desk.ends(id)).toEqual(['done']);
    expect(await standing()).toMatchObject({ state: 'ok', detail: null });
  });

  test('a key that nobody has: the operation waits, and the worker says whose it needs', async () => {
    const desk = await openDesk(ground);
    const deal = await desk.deposit();
    const id = await desk.ask('release', deal);
    const said: string[] = [];
    const log = pino({ level: 'error' }, { write: (line: string) => void said.push(line) });
    desk.submit({ signers: [keySigner(generatePrivateKey())], log });
    await expect.poll(() => said, { timeout: 20_000 }).toHaveLength(1);
    expect(said[0]).toContain('operations wait for a key that this worker does not have');
    expect(said[0]).toContain(desk.operator.address.toLowerCase());
    expect((await desk.find(id)).status).toBe('queued');
  });
});
