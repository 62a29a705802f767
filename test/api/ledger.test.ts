import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { escrowAbi } from '../../contracts/abi.ts';
import { chainOf, openWallet } from '../support/wallet.ts';
import { type Json, type Marketplace, openMarketplace, parseTerms, termsOf, testMarketplace } from './marketplace.ts';

const decimal = (units: string) => (Number(units) / 1e6).toFixed(1);

describe('the worked example of the README', () => {
  test('a payment of 100 with a fee of 1 %, released in two parts with a refund between, moves exactly these amounts', async () => {
    const shop = await testMarketplace();
    const { payment, widget } = await shop.payable({ price: 100, paid_price: 100 });
    await (await openWallet(shop.stack)).deposit(termsOf(widget));
    await shop.untilStatus(payment.id, 'funded');
    const path = `/payments/${payment.id}`;
    const money = async () => {
      const { deal } = (await shop.get(path)).json;
      return [deal.released_units, deal.refunded_units];
    };
    await shop.post(`${path}/release`, { amount: 40 });
    await expect.poll(money, { timeout: 20_000 }).toEqual(['40000000', '0']);
    await shop.post(`${path}/refund`, { amount: 10 });
    await expect.poll(money, { timeout: 20_000 }).toEqual(['40000000', '10000000']);
    await shop.post(`${path}/release`);
    await shop.untilStatus(payment.id, 'partially_refunded');

    const accounts = (await shop.get(`/accounts?node_id=${shop.nodeId}`)).json.items;
    const order = ['payer', 'escrow', 'payee', 'fee'];
    const byType = order.map((type) => accounts.find((account: Json) => account.type === type));
    const statements = await Promise.all(
      byType.map(async (account) => (await shop.get(`/accounts/${account.id}/entries`)).json.items.reverse()),
    );
    const entries = [...new Set(statements.flat().map((line: Json) => line.entry_id))].sort();
    const rows = entries.map((id) => {
      const lines = statements.map((statement) => statement.find((line: Json) => line.entry_id === id));
      const name = lines.find(Boolean)?.name;
      return `| ${[name, ...lines.map((line) => (line ? decimal(line.amount_units) : ''))].join(' | ')} |`;
    });
    rows.push(`| **balance** | ${byType.map((account) => `**${decimal(account.balance_units)}**`).join(' | ')} |`);
    const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
    expect(readme).toContain(rows.join('\n'));
  });
});

type Step = { verb: 'release' | 'refund' | 'cancel'; leg: 0 | 1; amount: number | undefined };
const steps = fc.array(
  fc.record({
    verb: fc.constantFrom<Step['verb']>('release', 'refund', 'cancel'),
    leg: fc.constantFrom<0 | 1>(0, 1),
    amount: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 5 },
);

describe('any verbs, asked for all at once', () => {
  test('leave a ledger that sums to zero and says what the chain says', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (wanted) => {
        const shop = await openMarketplace();
        const legs = [shop.payee, shop.stranger].map((payee) => ({ payment_address: payee, paid_price: 4 }));
        const { payment, widget } = await shop.payable({ price: 8, paid_price: 8, legs });
        const buyer = await openWallet(shop.stack);
        for (const terms of widget.contract.arguments[0]) await buyer.deposit(parseTerms(terms));
        await shop.untilStatus(payment.id, 'funded');
        await Promise.all(
          wanted.map(({ verb, leg, amount }) =>
            shop.post(
              `/payments/${payment.id}/${verb}`,
              verb === 'cancel' || amount === undefined ? { leg } : { leg, amount },
            ),
          ),
        );
        await expect.poll(() => openOperations(shop, payment.id), { timeout: 20_000 }).toBe(0);
        const onChain = await readChain(shop, payment.id);
        await expect.poll(() => readMirror(shop, payment.id), { timeout: 20_000 }).toEqual(onChain);
        const accounts = (await shop.get(`/accounts?node_id=${shop.nodeId}`)).json.items;
        const sum = accounts.reduce((all: bigint, account: Json) => all + BigInt(account.balance_units), 0n);
        const escrow = accounts.find((account: Json) => account.type === 'escrow').balance_units;
        const held = onChain.reduce((all, { released, refunded }) => all + 4_000_000n - released - refunded, 0n);
        expect([sum, BigInt(escrow)]).toEqual([0n, held]);
        await shop.close();
      }),
      { numRuns: 6 },
    );
  });
});

async function openOperations(shop: Marketplace, paymentId: string): Promise<number> {
  const rows = await shop.sql`
    select 1 from operation where payment_id = ${paymentId} and status in ('queued', 'submitted')`;
  return rows.length;
}

/** What each leg's slot on chain says. */
async function readChain(shop: Marketplace, paymentId: string) {
  const { json } = await shop.get(`/payments/${paymentId}`);
  return await Promise.all(
    json.legs.map(async (leg: Json) => {
      const call = { address: shop.diamond, abi: escrowAbi, functionName: 'getDeal', args: [leg.hash] } as const;
      const { released, refunded } = await chainOf(shop.stack).readContract(call);
      return { released, refunded };
    }),
  );
}

/** What the API says of the same legs. */
async function readMirror(shop: Marketplace, paymentId: string) {
  const { json } = await shop.get(`/payments/${paymentId}`);
  return json.legs.map((leg: Json) => ({
    released: BigInt(leg.released_units),
    refunded: BigInt(leg.refunded_units),
  }));
}
