// After something was sent: sped up, cancelled, dropped, another tab, another device, a service that fails or falls silent.
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { openStage, type Stage } from './checkout.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const stack = inject('stack');
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
});

const payable = async () => (await stage.market.payable()).payment;

/** A checkout whose deposit was sent, as far as its page knows; the wallet keeps it back. */
async function sent(keeps: ScriptedWallet['keeps']) {
  const wallet = await ScriptedWallet.open(stack);
  wallet.keeps = keeps;
  const payment = await payable();
  const checkout = await stage.open(payment, [wallet]);
  await checkout.connect(wallet);
  await checkout.press(/^Pay/);
  await checkout.until('submitted');
  return { wallet, payment, checkout };
}

describe('a deposit in the wallet', () => {
  test('that is sped up: the payment is funded, and nothing is asked again', async () => {
    const { wallet, checkout } = await sent('speed_up');
    await wallet.replace();
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    await checkout.close();
  });

  test('that is cancelled: said so, also after a reload, and paid in a second attempt', async () => {
    const { wallet, checkout } = await sent('cancel');
    await checkout.page.reload();
    await checkout.until('submitted');
    await wallet.replace();
    await checkout.says('The transaction was cancelled');
    wallet.keeps = null;
    await checkout.press('Check again');
    await checkout.until('review');
    await checkout.takeWay('allowance');
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    await checkout.close();
  });

  test('that got lost: the buyer can start again', async () => {
    const { wallet, checkout } = await sent('drop');
    await checkout.page.getByText('Did the transaction fail or vanish').click();
    await checkout.press('Start again');
    await checkout.until('review');
    wallet.keeps = null;
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    await checkout.close();
  });
});

describe('more than one page', () => {
  test('two tabs: while one asks the wallet the other does not, and both see the deposit', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const payment = await payable();
    const one = await stage.open(payment, [wallet]);
    await one.connect(wallet);
    const two = await one.another();
    await two.until('review');
    const answer = wallet.hold('approve');
    await one.press(/^Pay/);
    await wallet.asked('approve');
    await two.press(/^Pay/);
    await two.says('You are paying in another tab');
    answer();
    await one.until('funded');
    await two.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    await one.close();
  });

  test('another device knows of a deposit that was sent, before the chain does', async () => {
    const { payment, checkout, wallet } = await sent('speed_up');
    const phone = await stage.open(payment);
    await phone.until('submitted');
    await wallet.replace();
    await phone.until('funded');
    await phone.close();
    await checkout.close();
  });

  test('another device sees a signature that was handed in', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    const payment = await payable();
    const [desk, phone] = [await stage.open(payment, [wallet]), await stage.open(payment)];
    await desk.connect(wallet);
    await desk.press(/^Pay/);
    await phone.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'authorize']);
    await Promise.all([desk.close(), phone.close()]);
  });
});

describe('the payment service', () => {
  test.each([500, 429, 503])('answers %i for a while: the page goes on by itself', async (status) => {
    const payment = await payable();
    const checkout = await stage.open(payment);
    await checkout.cutOff((route) => route.fulfill({ status, json: {} }));
    await checkout.page.reload();
    await checkout.until('unreachable');
    await checkout.reconnect();
    await checkout.until('ready');
    await checkout.close();
  });

  test('sends no events: polling shows the same', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.page.route('**/events', (route) => route.abort());
    await checkout.page.reload();
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    await checkout.close();
  });

  test('is asked for nothing while nobody looks', async () => {
    const checkout = await stage.open(await payable());
    await checkout.until('ready');
    await new Promise((resolve) => setTimeout(resolve, 500));
    await checkout.look(false);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = checkout.urls.length;
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect(checkout.urls.length).toBe(before);
    await checkout.look(true);
    await expect.poll(() => checkout.urls.length).toBeGreaterThan(before);
    await checkout.close();
  });
});
