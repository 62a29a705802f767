import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { v7 as uuidv7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect, type Sql } from '../../api/core/database/db.ts';
import {
  balancesOf,
  type DealEvent,
  type DealParties,
  postDealEvents,
  postWithdrawals,
} from '../../api/core/ledger.ts';
import { createChain, createCurrency, createNetwork, createNode } from '../../api/core/platform/platform.ts';

const AMOUNT = 1_000n;
const FEE = 33n;

let sql: Sql;
let nodeId: string;
let currencyId: string;
beforeAll(async () => {
  sql = connect(inject('stack').databaseUrl, { maxConnections: 4 });
  nodeId = (await createNode(sql, { name: crypto.randomUUID() })).id;
  const chain = await createChain(sql, { name: 'nowhere', eip155Id: 424242 });
  const network = await createNetwork(sql, {
    chainId: chain.id,
    name: 'ledger only',
    rpcUrls: ['http://127.0.0.1:9'],
    diamondAddress: `0x${'11'.repeat(20)}`,
    operatorAddress: `0x${'22'.repeat(20)}`,
    confirmations: 1,
  });
  const token = {
    networkId: network.id,
    code: 'USDC',
    name: 'USDC',
    decimals: 6,
    tokenAddress: `0x${'33'.repeat(20)}`,
  };
  currencyId = (await createCurrency(sql, token)).id;
});
afterAll(() => sql.end());

function newDeal(): DealParties {
  const [paymentId, legId] = [uuidv7(), uuidv7()];
  const wallet = (role: string) => `${role} of ${paymentId}`;
  const [payer, payee, feeRecipient] = [wallet('payer'), wallet('payee'), wallet('fee recipient')];
  return { nodeId, paymentId, legId, currencyId, payer, payee, feeRecipient };
}

function event(source: string, releasedUnits: bigint, refundedUnits: bigint): DealEvent {
  return { source, name: 'Released', releasedUnits, refundedUnits, effectiveAt: new Date(1_000) };
}

const post = (deal: DealParties, events: DealEvent[]) =>
  sql.begin((tx) => postDealEvents(tx, deal, { amountUnits: AMOUNT, feeUnits: FEE }, events));

/** The ledger's balances of one deal's accounts. */
async function read(deal: DealParties) {
  const owners = { payer: deal.payer, escrow: deal.paymentId, payee: deal.payee, fee: deal.feeRecipient };
  const rows = await sql<{ type: string; balance: bigint }[]>`
    select a.type, sum(p.amount_units) as balance
    from ledger_account a join ledger_posting p on p.node_id = a.node_id and p.account_id = a.id
    where a.node_id = ${nodeId} and a.owner in ${sql(Object.values(owners))}
    group by a.type`;
  const balance = (type: string) => rows.find((row) => row.type === type)?.balance ?? 0n;
  return { payer: balance('payer'), escrow: balance('escrow'), payee: balance('payee'), fee: balance('fee') };
}

const nothing = { payer: 0n, escrow: 0n, payee: 0n, fee: 0n };

/** Histories of a deal: each step releases or refunds a part of what is held, or gives back what was released. */
const histories = fc
  .array(fc.tuple(fc.constantFrom('release', 'refund', 'return'), fc.bigInt(1n, AMOUNT)), { maxLength: 6 })
  .map((steps) => {
    const states = [{ releasedUnits: 0n, refundedUnits: 0n }];
    for (const [verb, wanted] of steps) {
      const { releasedUnits, refundedUnits } = states.at(-1)!;
      const held = AMOUNT - releasedUnits - refundedUnits;
      const limit = verb === 'return' ? (held > 0n ? 0n : AMOUNT - refundedUnits) : held > 0n ? held : 0n;
      const units = wanted < limit ? wanted : limit;
      if (units === 0n) continue;
      states.push(
        verb === 'release'
          ? { releasedUnits: releasedUnits + units, refundedUnits }
          : { releasedUnits, refundedUnits: refundedUnits + units },
      );
    }
    return states;
  });

describe('the ledger', () => {
  test('follows any history of a deal through any reorganisation: sums to zero, nothing negative, equal to the chain', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(histories, { minLength: 1, maxLength: 3 }), fc.nat(5), async (forks, kept) => {
        const deal = newDeal();
        // Each fork keeps the first blocks of the one before it, as far as they say the same; the rest is in blocks of its own.
        let chain: DealEvent[] = [];
        for (const [fork, states] of forks.entries()) {
          chain = states.map((state, index) => {
            const before = chain[index];
            const same = index < kept && isDeepStrictEqual(before && stateOf(before), state);
            return same && before ? before : event(`${fork}:${index}`, state.releasedUnits, state.refundedUnits);
          });
          await post(deal, chain);
          await post(deal, chain);
          const last = chain.at(-1)!;
          const balances = await read(deal);
          expect(balances).toEqual(balancesOf({ amountUnits: AMOUNT, feeUnits: FEE, ...last }));
          expect(balances.payer + balances.escrow + balances.payee + balances.fee).toBe(0n);
          // A payee that gives back everything pays the fee out of its own pocket; nothing else falls below zero.
          for (const amount of [balances.escrow, balances.payee + balances.fee, balances.fee, -balances.payer]) {
            expect(amount).toBeGreaterThanOrEqual(0n);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  test('an event that vanishes is reversed, and posted again when it comes back in the same block', async () => {
    const deal = newDeal();
    const deposit = event('block 1', 0n, 0n);
    const release = event('block 2', AMOUNT, 0n);
    await post(deal, [deposit, release]);
    await post(deal, [deposit]);
    expect(await read(deal)).toEqual({ payer: -AMOUNT, escrow: AMOUNT, payee: 0n, fee: 0n });
    await post(deal, []);
    expect(await read(deal)).toEqual(nothing);
    await post(deal, [deposit, release]);
    expect(await read(deal)).toEqual({ payer: -AMOUNT, escrow: 0n, payee: AMOUNT - FEE, fee: FEE });
  });

  test('two workers that post the same events at once post them once', async () => {
    const deal = newDeal();
    const events = [event('block 1', 0n, 0n)];
    await Promise.allSettled([post(deal, events), post(deal, events)]);
    expect(await read(deal)).toEqual({ payer: -AMOUNT, escrow: AMOUNT, payee: 0n, fee: 0n });
  });

  test('the database refuses postings that do not sum to zero, and any change of what is posted', async () => {
    const deal = newDeal();
    await post(deal, [event('block 1', 0n, 0n)]);
    const lopsided = sql.begin(async (tx) => {
      const [entry] = await tx`
        insert into ledger_entry ${tx({ nodeId, id: uuidv7(), paymentId: deal.paymentId, legId: deal.legId, source: 'x', occurrence: 1, name: 'x', effectiveAt: new Date() })}
        returning id`;
      await tx`
        insert into ledger_posting (node_id, entry_id, account_id, currency_id, amount_units)
        select node_id, ${entry?.id}, id, currency_id, 1 from ledger_account where node_id = ${nodeId} limit 1`;
    });
    await expect(lopsided).rejects.toThrow('do not sum to zero');
    await expect(sql`update ledger_posting set amount_units = 1`).rejects.toThrow('never changed');
    await expect(sql`delete from ledger_entry`).rejects.toThrow('never changed');
    await expect(sql`truncate ledger_posting`).rejects.toThrow('never changed');
  });
});

/** A withdrawal and all fees that were ever earned before it. */
type Withdrawal = { source: string; effectiveAt: Date; earned: bigint };

describe('withdrawals of fees', () => {
  async function newFees() {
    const owner = `fee recipient ${uuidv7()}`;
    const account = { nodeId, owner, currencyId };
    const deal = { ...newDeal(), feeRecipient: owner };
    await post(deal, [event('released', AMOUNT, 0n)]);
    const asked: string[] = [];
    const bring = async (withdrawals: Withdrawal[], options: { verify?: boolean } = {}) =>
      await sql.begin((tx) =>
        postWithdrawals(
          tx,
          account,
          withdrawals,
          async ({ source, earned }) => {
            asked.push(source);
            return earned;
          },
          options,
        ),
      );
    const balance = async (type: 'fee' | 'withdrawn') => {
      const [row] = await sql<{ units: bigint }[]>`
        select coalesce(sum(p.amount_units), 0) as units from ledger_account a
        join ledger_posting p on p.node_id = a.node_id and p.account_id = a.id
        where a.node_id = ${nodeId} and a.type = ${type} and a.owner = ${owner}`;
      return row?.units ?? 0n;
    };
    return { bring, balance, asked };
  }

  const withdrawal = (source: string, earned: bigint): Withdrawal => ({ source, effectiveAt: new Date(2_000), earned });

  test('follow any history through any reorganisation; what is posted already is not asked for again', async () => {
    // Each history: what had been earned before each withdrawal, never less than before the one before.
    const histories = fc
      .array(fc.bigInt(0n, 10n), { maxLength: 5 })
      .map((gains) => gains.map((_, index) => gains.slice(0, index + 1).reduce((sum, gain) => sum + gain, 0n)));
    await fc.assert(
      fc.asyncProperty(fc.array(histories, { minLength: 1, maxLength: 3 }), fc.nat(4), async (forks, kept) => {
        const fees = await newFees();
        let chain: Withdrawal[] = [];
        for (const [fork, history] of forks.entries()) {
          const before = chain;
          chain = history.map((earned, index) => {
            const same = before[index];
            return index < kept && same?.earned === earned ? same : withdrawal(`${uuidv7()} ${fork}:${index}`, earned);
          });
          await fees.bring(chain);
          fees.asked.length = 0;
          await fees.bring(chain);
          // What took nothing is asked for each time, and posts nothing.
          const paying = chain.filter(({ earned }, index) => earned !== (chain[index - 1]?.earned ?? 0n));
          expect(fees.asked.filter((source) => paying.some((event) => event.source === source))).toEqual([]);
          const taken = chain.at(-1)?.earned ?? 0n;
          expect([await fees.balance('fee'), await fees.balance('withdrawn')]).toEqual([FEE - taken, taken]);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('an amount that a reorganisation changed under the same name is found by a look at everything', async () => {
    const fees = await newFees();
    await fees.bring([withdrawal(`${uuidv7()} one`, 7n)]);
    const again = [withdrawal(`${uuidv7()} two`, 7n)];
    await fees.bring(again);
    const changed = again.map((event) => ({ ...event, earned: 9n }));
    await fees.bring(changed);
    expect(await fees.balance('withdrawn')).toBe(7n);
    await fees.bring(changed, { verify: true });
    expect([await fees.balance('fee'), await fees.balance('withdrawn')]).toEqual([FEE - 9n, 9n]);
  });

  test('two workers that post the same at once post it once', async () => {
    const fees = await newFees();
    const one = [withdrawal(`${uuidv7()} once`, FEE)];
    await Promise.all([fees.bring(one), fees.bring(one), fees.bring(one)]);
    expect([await fees.balance('fee'), await fees.balance('withdrawn')]).toEqual([0n, FEE]);
  });
});

function stateOf({ releasedUnits, refundedUnits }: DealEvent) {
  return { releasedUnits, refundedUnits };
}
