// What buyer and seller do after the payment, in the same checkout and on the seller's page: read from the chain, told first, then sent.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Hex } from 'viem';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { offerId } from '../../contracts/terms.ts';
import { hardhatAccount, ROLES } from '../../scripts/dev/accounts.ts';
import type { Json } from '../api/marketplace.ts';
import { startEscrowChain } from '../support/escrow-chain.ts';
import { chainOf, offerOf } from '../support/wallet.ts';
import { type CheckoutPage, openStage, type Stage } from './checkout.ts';
import { openPage, Panel } from './panel.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const stack = inject('stack');
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
});

const arbiter = hardhatAccount(ROLES.arbiter).address;
const statusOf = async (payment: Json) => (await stage.market.get(`/payments/${payment.id}`)).json.status;

/** A checkout whose payment is in escrow, with the panel open below it; its seller has a wallet too. */
async function paid(fields: Record<string, unknown> = {}) {
  const [wallet, seller] = await Promise.all([
    ScriptedWallet.open(stack, { name: 'Buyer Wallet' }),
    ScriptedWallet.open(stack, { name: 'Seller Wallet' }),
  ]);
  const { payment } = await stage.market.payable({ payment_address: seller.address, ...fields });
  const checkout = await stage.open(payment, [wallet]);
  await checkout.connect(wallet);
  await checkout.press(/^Pay/);
  await checkout.until('funded');
  wallet.deeds.length = 0;
  const panel = await new Panel(checkout.page).ready();
  return { wallet, seller, payment, checkout, panel };
}

/** The seller's own page as the guide has it, and the seller's wallet connected. */
async function openSeller(payment: Json, seller: ScriptedWallet) {
  const { json } = await stage.market.get(`/payments/${payment.id}/payee-token`);
  const guide = await readFile(join(import.meta.dirname, '../../widget/checkout.md'), 'utf8');
  const [, snippet = ''] = /<!-- snippet: seller\.html -->\n+```html\n([\s\S]*?)\n```/.exec(guide) ?? [];
  const body = snippet.replaceAll('{API}', stage.apiUrl).replaceAll('{PAYMENT_ID}', payment.id);
  const opened = await openPage(stage.browser, [seller], body, { '/seller-token': json.access_token });
  await opened.page.getByRole('button', { name: seller.name }).click({ timeout: 20_000 });
  await opened.panel.ready();
  return opened;
}

describe('after the payment', () => {
  test('the buyer sees the deal with its proof, confirms receipt, and the seller is paid', async () => {
    const { wallet, payment, checkout, panel } = await paid();
    await panel.says('25.50 USDC are held in escrow.');
    await panel.press('details.happened summary');
    await expect.poll(() => panel.root.locator('[data-event=Deposited]').count()).toBe(1);
    expect(await checkout.violations()).toEqual([]);
    await checkout.picture('afterwards');
    const before = await stage.market.tokenBalance(payment.payment_address);
    const said = await panel.carryOut('release');
    expect(said).toContain('Everything that is held goes to the seller. This cannot be undone.');
    expect(said).toMatch(/To the seller ?25\.2/);
    expect(wallet.deeds).toEqual(['act']);
    await checkout.until('released');
    expect(await stage.market.tokenBalance(payment.payment_address)).toBeGreaterThan(before);
    await expect.poll(() => panel.root.locator('[data-event=Released]').count(), { timeout: 20_000 }).toBe(1);
    await panel.says('All of it went to the seller.');
    await checkout.close();
  });

  test('pays a part, once the amount is one: what is too much, too fine or nothing is said at the field', async () => {
    const { wallet, payment, checkout, panel } = await paid();
    await panel.press('[data-verb=releasePart]');
    const field = panel.root.locator('input[name=amount]');
    for (const [typed, said] of [
      ['', 'Write an amount'],
      ['0', 'That is nothing.'],
      ['25.51', 'That is more than 25.50 USDC.'],
      ['1.0000001', 'USDC has 6 decimals'],
    ] as const) {
      await field.fill(typed);
      await panel.press('[data-do=take]');
      await panel.says(said);
    }
    await field.fill('10');
    await panel.press('[data-do=take]');
    expect(await panel.until('review')).toContain('Stays in escrow15.50 USDC');
    expect(await checkout.violations()).toEqual([]);
    await panel.press('[data-do=go]');
    await panel.until('done');
    expect(wallet.deeds).toEqual(['act']);
    await panel.press('[data-do=close]');
    await panel.says('15.50 USDC are held in escrow.');
    await expect.poll(() => statusOf(payment), { timeout: 20_000 }).toBe('partially_released');
    await checkout.close();
  });

  test('opens a dispute where there is an arbiter, and takes it back; the payment says so', async () => {
    const { checkout, panel } = await paid({ deal: { arbiter } });
    expect(await panel.carryOut('openDispute')).toContain('The money stays where it is until the arbiter decides');
    await checkout.until('disputed');
    await panel.press('[data-do=close]');
    await panel.says('25.50 USDC are frozen: the buyer opened a dispute.');
    expect(await checkout.violations()).toEqual([]);
    await panel.carryOut('withdrawDispute');
    await checkout.until('funded');
    await checkout.close();
  });

  test('another account is told that the deal is not its own, and has no buttons of the buyer', async () => {
    const { payment, checkout } = await paid();
    await checkout.close();
    const stranger = await ScriptedWallet.open(stack);
    const other = await stage.open(payment, [stranger]);
    await other.until('funded');
    await other.page.locator('dealkeep-deal').getByRole('button', { name: stranger.name }).click({ timeout: 20_000 });
    const panel = await new Panel(other.page).ready();
    await panel.says('You are neither buyer nor seller of this deal.');
    expect(await panel.root.locator('[data-verb=release]').count()).toBe(0);
    await other.close();
  });

  test('speaks the language of the checkout, from right to left too', async () => {
    const { checkout, panel } = await paid();
    await checkout.speak('ar');
    await expect.poll(() => panel.root.locator('.after').getAttribute('dir'), { timeout: 20_000 }).toBe('rtl');
    await panel.says('المال وأنت');
    await panel.says('اطلب استردادًا');
    expect(await checkout.overflow()).toBe(0);
    await checkout.close();
  });
});

describe('a refund that is asked for', () => {
  /** Opens the form and writes into it. */
  async function ask(panel: Panel, { amount = '', reason = '' }: { amount?: string; reason?: string }) {
    await panel.press('[data-do=ask-refund]');
    await panel.root.locator('.asked input[name=amount]').fill(amount);
    await panel.root.locator('.asked textarea').fill(reason);
    await panel.press('[data-do=send-request]');
  }

  const answer = (request: Json, reason: string) =>
    stage.market.post(`/refund-requests/${request.id}/decline`, { reason });
  const requestOf = async (payment: Json) =>
    (await stage.market.get(`/payments/${payment.id}`)).json.deal.refund_request;

  test('moves nothing and says so first; the answer appears by itself, and what was refunded after all', async () => {
    const { wallet, payment, checkout, panel } = await paid();
    await panel.press('[data-do=ask-refund]');
    await panel.says('This moves nothing by itself');
    expect(await checkout.violations()).toEqual([]);
    await checkout.picture('afterwards-refund');
    await panel.root.locator('.asked input[name=amount]').fill('26');
    await panel.press('[data-do=send-request]');
    await panel.says('That is more than 25.50 USDC.');
    await panel.press('[data-do=leave-request]');
    await ask(panel, { amount: '5,5', reason: 'One <b>arm</b> is broken.' });
    await panel.says(
      /You asked for 5\.50 USDC back on .*\. The shop knows; nothing has moved\. ?Reason: One <b>arm<\/b> is broken\./,
    );
    expect(await checkout.violations()).toEqual([]);
    const request = await requestOf(payment);
    expect(request).toMatchObject({ status: 'open', amount: 5.5, reason: 'One <b>arm</b> is broken.' });
    await answer(request, 'It was whole when it left us.');
    await panel.says(/The request for 5\.50 USDC was declined\..*Answer: It was whole when it left us\./);
    await ask(panel, {});
    await panel.says('You asked for 25.50 USDC back');
    await stage.market.ask(payment.id, 'refund');
    await checkout.until('refunded');
    await panel.says('25.50 USDC were asked back and have been refunded.');
    expect(wallet.deeds).toEqual([]);
    await checkout.close();
  });

  test('is taken back by the buyer, on a page without a wallet too', async () => {
    const { payment, checkout, panel } = await paid();
    await ask(panel, { reason: 'No.' });
    await panel.says('You asked for 25.50 USDC back');
    await checkout.close();
    const other = await stage.open(payment);
    await other.until('funded');
    const again = new Panel(other.page);
    await again.press('[data-do=withdraw-request]');
    await again.root.locator('[data-do=ask-refund]').waitFor({ timeout: 20_000 });
    expect((await requestOf(payment)).status).toBe('withdrawn');
    await other.close();
  });

  test('what the service does not take, or does not hear, is said, and nothing is asked', async () => {
    const { payment, checkout, panel } = await paid();
    await checkout.page.route('**/refund-requests', (route) => route.abort());
    await ask(panel, {});
    await panel.says('The payment service does not answer.');
    await checkout.page.unroute('**/refund-requests');
    const other = await stage.market.post(
      `/widget/payments/${payment.id}/refund-requests`,
      { amount_units: '1' },
      payment.access_token,
    );
    expect(other.status).toBe(201);
    await panel.press('[data-do=send-request]');
    await panel.says('another request is open');
    expect((await requestOf(payment)).amount_units).toBe('1');
    await checkout.close();
  });
});

describe('a split that both agree on', () => {
  test('the buyer signs it; the seller sees it on their own page and carries it out', async () => {
    const { wallet, seller, payment, checkout, panel } = await paid();
    const said = await panel.begin('settle', '20');
    expect(said).toContain('Nothing moves until the other side agrees too');
    expect(said).toMatch(/To the buyer ?5\.50 USDC/);
    await panel.press('[data-do=go]');
    expect(await panel.until('done')).toContain('The other side sees your proposal where it opens this deal.');
    expect(wallet.deeds).toEqual(['settle']);
    await panel.press('[data-do=close]');
    await panel.says('You proposed a split: 20.00 USDC to the seller, 5.50 USDC back to the buyer.');
    expect(await statusOf(payment)).toBe('funded');
    const sellers = await openSeller(payment, seller);
    await sellers.panel.says('The buyer proposes a split: 20.00 USDC to the seller');
    expect(await sellers.panel.violations()).toEqual([]);
    const before = await stage.market.tokenBalance(wallet.address);
    expect(await sellers.panel.carryOut('accept')).toContain('carried out at once. This cannot be undone.');
    expect(seller.deeds).toEqual(['connect', 'act']);
    await checkout.until('partially_refunded');
    expect((await stage.market.tokenBalance(wallet.address)) - before).toBe(5_500_000n);
    await panel.says('It was split between seller and buyer.');
    await sellers.close();
    await checkout.close();
  });

  test('the seller signs it; the buyer accepts it in the checkout, and sees the seller’s newest one', async () => {
    const { wallet, seller, payment, checkout, panel } = await paid();
    const sellers = await openSeller(payment, seller);
    expect(await sellers.panel.root.locator('[data-do=ask-refund]').count()).toBe(0);
    for (const amount of ['25', '24']) {
      await sellers.panel.begin('settle', amount);
      await sellers.panel.press('[data-do=go]');
      await sellers.panel.until('done');
      await sellers.panel.press('[data-do=close]');
    }
    await panel.says('The seller proposes a split: 24.00 USDC to the seller, 1.50 USDC back to the buyer.');
    expect(await panel.root.locator('[data-proposal=payee]').count()).toBe(1);
    expect(await checkout.violations()).toEqual([]);
    await checkout.picture('afterwards-split');
    await panel.carryOut('accept');
    expect(wallet.deeds).toEqual(['act']);
    await checkout.until('partially_refunded');
    await sellers.panel.says('It was split between seller and buyer.');
    await sellers.close();
    await checkout.close();
  });

  test('what the service did not keep is handed on as a text', async () => {
    const { checkout, panel } = await paid();
    await checkout.page.route('**/split-proposals', (route) => route.abort());
    await panel.begin('settle', '20');
    await panel.press('[data-do=go]');
    expect(await panel.until('stopped')).toContain('the payment service did not take it');
    expect(JSON.parse(await panel.root.locator('#deed-text').inputValue()).signedBy).toBe('payer');
    await checkout.close();
  });

  test('a proposal that was overtaken is shown no more', async () => {
    const { seller, payment, checkout, panel } = await paid();
    await panel.begin('settle', '20');
    await panel.press('[data-do=go]');
    await panel.until('done');
    await panel.press('[data-do=close]');
    const sellers = await openSeller(payment, seller);
    await sellers.panel.says('The buyer proposes a split');
    await panel.carryOut('releasePart', '1');
    await expect.poll(() => sellers.panel.root.locator('[data-proposal]').count(), { timeout: 20_000 }).toBe(0);
    await sellers.close();
    await checkout.close();
  });
});

describe('what was sent', () => {
  test('is followed after a reload, and not asked for again', async () => {
    const { wallet, checkout, panel } = await paid();
    wallet.hidesReceipts = true;
    await panel.begin('release');
    await panel.press('[data-do=go]');
    await panel.until('mining');
    const sent = (await panel.deed.locator('code').textContent()) as Hex;
    wallet.hidesReceipts = sent;
    await checkout.page.reload();
    const again = await new Panel(checkout.page).ready();
    await again.until('mining');
    wallet.hidesReceipts = false;
    await again.until('done');
    expect(wallet.deeds).toEqual(['act']);
    await again.press('[data-do=close]');
    await again.says('All of it went to the seller.');
    await checkout.page.reload();
    const last = await new Panel(checkout.page).ready();
    expect(await last.deed.count()).toBe(0);
    await checkout.close();
  });

  test('holds up a second tab until the first one is through', async () => {
    const { wallet, checkout, panel } = await paid();
    const agree = wallet.hold('act');
    await panel.begin('release');
    await panel.press('[data-do=go]');
    await wallet.asked('act');
    const other = await checkout.another();
    const second = await new Panel(other.page).ready();
    await second.begin('release');
    await second.press('[data-do=go]');
    expect(await second.until('stopped')).toContain('Another tab of this browser is doing something with this deal.');
    agree();
    await panel.until('done');
    expect(wallet.deeds).toEqual(['act']);
    await checkout.close();
  });

  test('declined in the wallet, nothing is done and all can be tried again', async () => {
    const { wallet, payment, checkout, panel } = await paid();
    wallet.decline('act');
    await panel.begin('release');
    await panel.press('[data-do=go]');
    expect(await panel.until('stopped')).toContain('You declined in Buyer Wallet. Nothing was done.');
    expect(await checkout.violations()).toEqual([]);
    expect(await statusOf(payment)).toBe('funded');
    wallet.agree('act');
    await panel.press('[data-do=again]');
    await panel.until('review');
    await panel.press('[data-do=go]');
    await panel.until('done');
    await checkout.close();
  });
});

describe('by keyboard alone', () => {
  const press = async ({ page }: CheckoutPage, ...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };

  test('the focus goes to what was begun, stays in it, and returns to where it came from', async () => {
    const { checkout, panel } = await paid();
    await panel.root.locator('[data-verb=releasePart]').focus();
    await press(checkout, 'Enter');
    await expect.poll(() => panel.focused(), { timeout: 20_000 }).toBe('Pay the seller a part');
    await press(checkout, 'Tab');
    expect(await panel.focused()).toMatch(/^How much goes to the seller/);
    await checkout.page.keyboard.type('99');
    await press(checkout, 'Enter');
    await panel.says('That is more than 25.50 USDC.');
    await expect.poll(() => panel.focused()).toMatch(/^How much goes to the seller/);
    await press(checkout, 'Tab', 'Tab', 'Enter');
    await expect.poll(() => panel.focused()).toBe('Pay the seller a part');
    expect(await panel.deed.count()).toBe(0);

    await panel.root.locator('[data-do=ask-refund]').focus();
    await press(checkout, 'Enter');
    await expect.poll(() => panel.focused()).toBe('Ask for a refund');
    await press(checkout, 'Tab', 'Tab');
    await checkout.page.keyboard.type('By keyboard.');
    await press(checkout, 'Tab', 'Enter');
    await panel.says('Reason: By keyboard.');
    await expect.poll(() => panel.focused()).toMatch(/^You asked for 25\.50 USDC back/);

    await panel.root.locator('[data-verb=release]').focus();
    await press(checkout, 'Enter');
    await panel.until('review');
    await expect.poll(() => panel.focused()).toBe('Confirm receipt and pay the seller');
    await press(checkout, 'Tab', 'Enter');
    await panel.until('done');
    await expect.poll(() => panel.focused()).toBe('Confirm receipt and pay the seller');
    await checkout.close();
  });
});

describe('after the deadline', () => {
  test('the buyer takes the money back; a second before, it is not offered', async () => {
    const chain = await startEscrowChain();
    try {
      const wallet = await ScriptedWallet.open(chain, { name: 'Buyer Wallet' });
      const now = (await chainOf(chain).getBlock()).timestamp;
      const deadlines = {
        depositDeadline: now + 3_600n,
        settlementDeadline: now + 8_000n,
        resolutionDeadline: now + 12_000n,
      };
      const { terms, receipt } = await wallet.wallet.deposit(offerOf(chain, { ...deadlines, defaultOutcome: 0 }));
      const payment = {
        ...{ network_id: chain.chainId, diamond_address: chain.diamond, currency: 'USDC', price_decimals: 6 },
        transaction_hash: receipt.transactionHash,
        legs: [
          {
            ...{ leg: 0, payment_address: terms.payee, price_units: `${terms.amount}`, status: 'funded' },
            offer_hash: offerId(terms, chain.chainId, chain.diamond),
            ...{ released_units: '0', refunded_units: '0', refund_request: null, split_proposals: [] },
          },
        ],
      };
      const set = { payment, tag: 'en', source: { rpcUrl: null } };
      const opened = await openPage(
        stage.browser,
        [wallet],
        `<script type="module" src="${stage.apiUrl}/widget/v1/afterwards.js"></script><dealkeep-deal></dealkeep-deal>
         <script type="module">
           await customElements.whenDefined('dealkeep-deal');
           Object.assign(document.querySelector('dealkeep-deal'), ${JSON.stringify(set)});
         </script>`,
      );
      const { panel } = opened;
      await panel.press(`button:has-text("${wallet.name}")`);
      await panel.ready();
      expect(await panel.root.locator('[data-verb=reclaim]').count()).toBe(0);
      await chainOf(chain).setNextBlockTimestamp({ timestamp: terms.settlementDeadline + 1n });
      await chainOf(chain).mine({ blocks: 1 });
      await opened.page.reload();
      await panel.ready();
      const before = await wallet.wallet.balance();
      expect(await panel.carryOut('reclaim')).toContain('Nobody decided in time, so everything that is held goes back');
      expect((await wallet.wallet.balance()) - before).toBe(terms.amount);
      await panel.says('All of it went back to the buyer.');
      await opened.close();
    } finally {
      await chain.stop();
    }
  });
});
