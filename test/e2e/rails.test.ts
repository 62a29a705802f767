// Payments by card and bank transfer as a buyer meets them: the element, the provider's page, a bank that clears when the clock moves.
// The till has an API, a worker, a sandbox and a chain of its own, so that its time may be moved.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StateName } from '../../widget/states.ts';
import type { Json } from '../api/marketplace.ts';
import { CARDS, openTill, type Till } from '../support/till.ts';
import { launchBrowser } from './browser.ts';
import { buildWidget, type CheckoutPage, hostPages, openCheckout } from './checkout.ts';

const DAY_SECONDS = 86_400;

let till: Till;
let browser: Browser;
let pages: Awaited<ReturnType<typeof hostPages>>;

beforeAll(async () => {
  await buildWidget();
  till = await openTill({ chain: 'own' });
  pages = await hostPages(till.apiUrl, till);
  await till.call('PATCH', `/nodes/${till.nodeId}`, { body: { return_origins: [pages.url] } });
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser.close();
  await pages.close();
  await till.stop();
});

const visit = (payment: Json, query: Record<string, string> = {}) =>
  openCheckout(browser, [], `${pages.url}/pay/${payment.id}?${new URLSearchParams(query)}`);

const link = (checkout: CheckoutPage, name: string) => checkout.page.getByRole('link', { name });

/** The state is there, axe-core objects to nothing in it, it outlives a reload, and it is pictured when it has a name. */
async function inspect(checkout: CheckoutPage, state: StateName, picture?: string): Promise<void> {
  await checkout.until(state);
  if (picture) await checkout.picture(picture);
  expect(await checkout.violations(), `axe-core on ${state}`).toEqual([]);
  await checkout.page.reload();
  // Where the provider's page was left, only the page itself knew.
  await checkout.until(state === 'at_provider' ? 'card_due' : state);
}

/** Goes to the provider's page in its new window. */
async function leave(checkout: CheckoutPage): Promise<Page> {
  await checkout.until('card_due');
  const [page] = await Promise.all([
    checkout.context.waitForEvent('page'),
    link(checkout, 'Go to the card page').click(),
  ]);
  await checkout.until('at_provider');
  return page;
}

/** Types a card on the provider's page. */
async function typeCard(page: Page, number: string): Promise<void> {
  await page.getByLabel('Card number').fill(number);
  await page.getByLabel('Expiry').fill('12/40');
  await page.getByLabel('Security code').fill('123');
  await page.getByRole('button', { name: /^Pay/ }).click();
  await page.getByRole('status').waitFor();
}

/** Tabs until what has the focus says this, and presses Enter. */
async function pressByKeyboard({ page }: CheckoutPage, name: RegExp): Promise<void> {
  for (let tabs = 0; tabs < 15; tabs += 1) {
    const focused =
      'document.activeElement?.shadowRoot?.activeElement?.getAttribute("aria-label") ?? document.activeElement?.shadowRoot?.activeElement?.textContent ?? ""';
    if (name.test(await page.evaluate<string>(focused))) return await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
  }
  throw new Error(`No way by keyboard to ${name}`);
}

describe('a card', () => {
  test('that succeeds: typed on the provider’s page in a new window, followed live until it is paid', async () => {
    const payment = await till.create('credit_card', { external_id: `lamp-${crypto.randomUUID().slice(0, 6)}` });
    const checkout = await visit(payment);
    const sent: string[] = [];
    checkout.context.on('request', (request) => {
      if (request.url().startsWith(till.apiUrl) || request.url().startsWith(pages.url)) {
        sent.push(`${request.url()} ${request.postData() ?? ''}`);
      }
    });
    await inspect(checkout, 'card_due', 'card');
    const page = await leave(checkout);
    await inspect(checkout, 'at_provider', 'card-typing');
    await typeCard(page, CARDS.succeeds);
    await checkout.until('funded');
    await inspect(checkout, 'funded', 'card-paid');
    await checkout.says('Sandbox holds 25.50 EUR until your order is accepted');
    expect(await checkout.text()).not.toMatch(/wallet|chain|escrow/i);
    await till.post(`/payments/${payment.id}/release`);
    await inspect(checkout, 'released');
    expect(sent.join('\n')).not.toMatch(/4111/);
    await checkout.close();
  });

  test('typed on a page that leads back: the same window goes there and returns, and what happened is there', async () => {
    const { id } = await till.create('credit_card', { return_url: `${pages.url}/pay/{payment_id}` });
    const checkout = await visit({ id });
    await checkout.until('card_due');
    await link(checkout, 'Go to the card page').click();
    await typeCard(checkout.page, CARDS.succeeds);
    await checkout.page.getByRole('link', { name: 'Back to the shop' }).click();
    await checkout.until('funded');
    expect(checkout.page.url()).toBe(`${pages.url}/pay/${id}`);
    expect(checkout.context.pages()).toHaveLength(1);
    await checkout.close();
  });

  test('that is declined, and then another one, by keyboard alone: charged once', async () => {
    const payment = await till.create('credit_card');
    const checkout = await visit(payment);
    await checkout.until('card_due');
    const [first] = await Promise.all([
      checkout.context.waitForEvent('page'),
      pressByKeyboard(checkout, /Go to the card page/),
    ]);
    await typeCard(first, CARDS.declined);
    await inspect(checkout, 'failed', 'card-declined');
    await checkout.says('The card was declined');
    await checkout.page.bringToFront();
    await pressByKeyboard(checkout, /Try another card/);
    await checkout.until('card_due');
    const [second] = await Promise.all([
      checkout.context.waitForEvent('page'),
      pressByKeyboard(checkout, /Go to the card page/),
    ]);
    expect(second.url()).not.toBe(first.url());
    await typeCard(second, CARDS.succeeds);
    await checkout.until('funded');
    expect(await till.balances(payment.id)).toEqual({ payer: -2550, escrow: 2550 });
    await checkout.close();
  });

  test('that is held for review waits for the provider’s decision', async () => {
    const checkout = await visit(await till.create('credit_card'));
    const page = await leave(checkout);
    await typeCard(page, CARDS.held);
    await inspect(checkout, 'in_review', 'card-held');
    await page.getByRole('button', { name: 'Approve' }).click();
    await checkout.until('funded');
    await checkout.close();
  });

  test('that is held and then declined can be followed by another one', async () => {
    const checkout = await visit(await till.create('credit_card'));
    const page = await leave(checkout);
    await typeCard(page, CARDS.held);
    await checkout.until('in_review');
    await page.getByRole('button', { name: 'Decline' }).click();
    await checkout.says('Sandbox says: Declined after review.');
    await checkout.press('Try another card');
    await checkout.until('card_due');
    await checkout.close();
  });

  test('goes on after a reload, in another tab, and while the service is away', async () => {
    const checkout = await visit(await till.create('credit_card'));
    const page = await leave(checkout);
    const other = await checkout.another();
    await other.until('card_due');
    await checkout.page.reload();
    await checkout.until('card_due');
    await checkout.cutOff();
    await typeCard(page, CARDS.declined);
    await other.until('failed');
    await other.press('Try another card');
    await other.until('card_due');
    await checkout.says('The connection to the payment service is lost');
    await checkout.reconnect();
    await checkout.until('card_due');
    await checkout.close();
  });

  test('cancelled by the shop, and refunded', async () => {
    const cancelled = await till.open('credit_card');
    const first = await visit(cancelled);
    await first.until('card_due');
    await till.post(`/payments/${cancelled.id}/cancel`);
    await inspect(first, 'cancelled');
    await first.close();
    const refunded = await till.open('credit_card');
    await till.typeCard(refunded, CARDS.succeeds);
    await till.untilStatus(refunded.id, 'funded');
    const second = await visit(refunded);
    await second.until('funded');
    await till.post(`/payments/${refunded.id}/refund`, { amount: 5.5 });
    await till.until(refunded.id, 'refunded in part', ({ deal }) => deal.refunded_units === '550');
    await till.post(`/payments/${refunded.id}/release`);
    await inspect(second, 'partially_refunded');
    await second.close();
  });

  test('is refused for safety when the page expects something else, and when the answer is not to be believed', async () => {
    const payment = await till.open('credit_card');
    const checkout = await visit(payment);
    await checkout.until('card_due');
    const expecting = async (expected: Json, words: string) => {
      await checkout.page.evaluate(`document.getElementById('checkout').expected = ${JSON.stringify(expected)}`);
      await checkout.until('refused');
      await checkout.says(words);
    };
    await expecting({ amountUnits: '2551' }, 'the amount');
    await expecting({ currency: 'USD' }, 'the currency');
    await expecting({ chainId: 31337 }, 'the way to pay');
    await checkout.page.evaluate(
      `document.getElementById('checkout').expected = ${JSON.stringify({ currency: 'EUR', amountUnits: '2550' })}`,
    );
    await checkout.until('card_due');
    for (const page_url of ['javascript:alert(1)', 'data:text/html,x', 7]) {
      await checkout.alterAnswers((data) => Object.assign(data.rail, { page_url }));
      await checkout.page.reload();
      await checkout.until('refused');
      await checkout.reconnect();
    }
    await checkout.close();
  });
});

describe('a bank transfer', () => {
  const advance = (days: number) => till.post('/test-clock', { advance_seconds: days * DAY_SECONDS });
  const open = async (days = 9): Promise<Json> => {
    const now = Date.parse((await till.get('/test-clock')).json.now);
    const expires_at = new Date(now + days * DAY_SECONDS * 1_000).toISOString();
    return await till.open('bank_transfer', { expires_at });
  };
  const send = (payment: Json, cents: number, options: { bounces?: boolean } = {}) =>
    till.sendTransfer(payment.rail.transfer.reference, cents, options);

  test('shows what the bank asks for, each to copy, and is paid when the bank clears', async () => {
    const payment = await open();
    const checkout = await visit(payment);
    await checkout.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await inspect(checkout, 'transfer_due', 'transfer');
    await checkout.says('DE02 1001 0010 9307 1186 03');
    for (const [name, text] of [
      ['Amount', '25.50'],
      ['IBAN', 'DE02100100109307118603'],
      ['Reference', payment.rail.transfer.reference],
    ]) {
      await pressByKeyboard(checkout, new RegExp(`Copy: ${name}`));
      await expect.poll(() => checkout.page.evaluate('navigator.clipboard.readText()')).toBe(text);
    }
    await checkout.says('Copied');
    expect(await checkout.violations()).toEqual([]);
    await send(payment, 2_550);
    await advance(1);
    await inspect(checkout, 'funded');
    await checkout.close();
  });

  test('that is short says what is missing to the cent, and is paid by the rest', async () => {
    const payment = await open();
    const checkout = await visit(payment);
    await checkout.until('transfer_due');
    await send(payment, 2_000);
    await advance(1);
    await inspect(checkout, 'underpaid', 'transfer-short');
    await checkout.says('5.50 EUR are missing');
    await checkout.says('20.00 EUR of 25.50 EUR arrived');
    await send(payment, 100);
    await advance(1);
    await checkout.says('4.50 EUR are missing');
    await send(payment, 450);
    await advance(1);
    await checkout.until('funded');
    await checkout.close();
  });

  test('that is over says what is too much to the cent, and that it went back', async () => {
    const payment = await open();
    const checkout = await visit(payment);
    await checkout.until('transfer_due');
    await send(payment, 3_001);
    await advance(1);
    await inspect(checkout, 'funded', 'transfer-over');
    await checkout.says('4.51 EUR too much arrived');
    expect((await till.post(`/payments/${payment.id}/refund-excess`)).status).toBe(202);
    await checkout.says('4.51 EUR that were too much went back to you');
    await checkout.close();
  });

  test('that bounces, and another one with details of its own', async () => {
    const payment = await open();
    const checkout = await visit(payment);
    await checkout.until('transfer_due');
    await send(payment, 2_550, { bounces: true });
    await advance(1);
    await inspect(checkout, 'failed', 'transfer-bounced');
    await checkout.press('Try another transfer');
    await checkout.until('transfer_due');
    const again = await till.until(payment.id, 'open again', ({ rail }) => rail.transfer !== null);
    await checkout.says(again.rail.transfer.reference);
    await send(again, 2_550);
    await advance(1);
    await checkout.until('funded');
    await checkout.close();
  });

  test('that nobody sends in time expires; what then arrives is said, and goes back', async () => {
    const payment = await open(1);
    const checkout = await visit(payment);
    await checkout.until('transfer_due');
    await advance(2);
    await inspect(checkout, 'expired');
    await send(payment, 2_550);
    await advance(1);
    await checkout.says('25.50 EUR too much arrived');
    await checkout.close();
  });

  test('in Arabic, from right to left, and on a small phone with text twice as large', async () => {
    const checkout = await visit(await open(), { lang: 'ar' });
    await checkout.until('transfer_due');
    await checkout.page.evaluate("document.getElementById('checkout').lang = 'ar'");
    await checkout.says('تحويل مصرفي');
    expect(await checkout.violations()).toEqual([]);
    await checkout.page.setViewportSize({ width: 320, height: 800 });
    await checkout.page.evaluate("document.documentElement.style.fontSize = '200%'");
    const overflow = await checkout.page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth');
    expect(overflow).toBeLessThanOrEqual(0);
    await checkout.close();
  });
});
