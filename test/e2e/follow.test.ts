// After something was sent: sped up, cancelled, dropped, another tab, another device, a service that fails or falls silent.
import type { Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { usdcAbi } from '../../contracts/abi.ts';
import { strangerAddress } from '../support/wallet.ts';
import { openStage, type Stage, shortly } from './checkout.ts';
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

  test('is followed while its wallet is on another chain, where nobody knows of it', async () => {
    const { wallet, checkout } = await sent('speed_up');
    await wallet.moveTo(1);
    // Long enough for the nonce of the other chain to be seen.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await checkout.until('submitted');
    await wallet.moveTo(stack.chainId);
    await wallet.replace();
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    await checkout.close();
  });

  test('is followed while its wallet is locked', async () => {
    const { wallet, checkout } = await sent('cancel');
    await wallet.lock();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await checkout.until('submitted');
    await wallet.replace();
    await checkout.says('The transaction was cancelled');
    await checkout.close();
  });

  test('that its node forgets: said so after a while, and paid in a second attempt', async () => {
    const { wallet, checkout } = await sent('drop');
    await checkout.page.evaluate('(() => { const now = Date.now; Date.now = () => now() + 60_000; })()');
    await checkout.says('The transaction got lost');
    wallet.keeps = null;
    await checkout.press('Check again');
    await checkout.until('review');
    await checkout.takeWay('allowance');
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    await checkout.close();
  });

  test('whose answer gets lost in an error: it is waited for, and not asked for again', async () => {
    const wallet = await ScriptedWallet.open(stack);
    Object.assign(wallet, { keeps: 'speed_up', losesAnswers: true });
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.says('could not do it');
    await checkout.press('Try again');
    await checkout.until('checking');
    await wallet.replace();
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    await checkout.close();
  });

  test('that is agreed to after a reload: it is waited for, and not asked for again', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.keeps = 'speed_up';
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    const answer = wallet.hold('deposit');
    await checkout.press(/^Pay/);
    await wallet.asked('deposit');
    await checkout.page.reload();
    await checkout.until('review');
    answer();
    await expect.poll(() => wallet.isKeeping).toBe(true);
    await checkout.takeWay('allowance');
    await checkout.press(/^Pay/);
    await checkout.until('checking');
    await checkout.page.reload();
    await checkout.until('checking');
    await wallet.replace();
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    await checkout.close();
  });

  test('that was refused, and something else sent: nobody waits for it', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    wallet.hold('deposit');
    await checkout.press(/^Pay/);
    await wallet.asked('deposit');
    const { client, mined } = wallet.wallet;
    await mined(await client.sendTransaction({ to: strangerAddress(), value: 1n }));
    await checkout.page.reload();
    await checkout.until('review');
    wallet.agree('deposit');
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

describe('a wallet', () => {
  test('that never answers: the buyer starts over, and what it sends late after all is followed, not sent again', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    const answer = wallet.hold('deposit');
    await checkout.press(/^Pay/);
    await wallet.asked('deposit');
    await checkout.press('Nothing happens? Start over');
    await checkout.until('review');
    answer();
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    await checkout.close();
  });

  test('whose deposit reverts: said so, nothing lost but the fee, and it can be tried again', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    wallet.insists = true;
    const answer = wallet.hold('deposit');
    await checkout.press(/^Pay/);
    await wallet.asked('deposit');
    const { client, mined } = wallet.wallet;
    const transfer = { address: stack.tokens.USDC, abi: usdcAbi, functionName: 'transfer' } as const;
    await mined(await client.writeContract({ ...transfer, args: [strangerAddress(), 999_000_000n] }));
    answer();
    await checkout.says('The network refused it');
    await checkout.press('Check again');
    await checkout.until('short_of_token');
    await checkout.close();
  });

  test('that answers when the time to pay is over: nothing is deposited', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const { expiresAt, pass } = await shortly(stack);
    const { payment } = await stage.market.payable({ expires_at: expiresAt });
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    const answer = wallet.hold('approve');
    await checkout.press(/^Pay/);
    await wallet.asked('approve');
    await pass();
    answer();
    await checkout.until('expired');
    expect(wallet.deeds).not.toContain('deposit');
    await checkout.close();
  });
});

describe('a batch', () => {
  test('that is under way survives a reload by its id, and brings its hash when there is one', async () => {
    const wallet = await ScriptedWallet.open(stack);
    Object.assign(wallet, { batches: true, hidesBatches: true, way: 'batch' });
    const payment = await payable();
    const checkout = await stage.open(payment, [wallet]);
    const unheard = await stage.market.get(`/widget/payments/${payment.id}`, payment.access_token);
    await checkout.alterAnswers((data) => Object.assign(data, unheard.json));
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.until('submitted');
    await checkout.page.reload();
    await checkout.until('submitted');
    wallet.hidesBatches = false;
    await checkout.until('mined');
    await checkout.says('Transaction0x');
    await checkout.reconnect();
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'batch']);
    await checkout.close();
  });
});

describe('a signature that is handed in', () => {
  /** A checkout whose signature is ready, for a service that `answers` so. */
  async function handIn(answers: (route: Route) => unknown) {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.page.route('**/relay', answers);
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    return { wallet, checkout };
  }

  test('and whose answer gets lost: the deposit is seen, and paid once', async () => {
    const { wallet, checkout } = await handIn(async (route) => {
      await route.fetch();
      await route.abort();
    });
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'authorize']);
    expect(await wallet.wallet.balance()).toBe(1_000_000_000n - 25_500_000n);
    await checkout.close();
  });

  test.each([500, 429])('answered by %i: nothing is lost, and there is another way', async (status) => {
    const { wallet, checkout } = await handIn((route) => route.fulfill({ status, json: {} }));
    await checkout.until('stopped');
    await checkout.page.unroute('**/relay');
    await checkout.press(status === 500 ? 'Try again' : 'Check again');
    if ((await checkout.until('review', 'funded')) === 'review') await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(await wallet.wallet.balance()).toBe(1_000_000_000n - 25_500_000n);
    await checkout.close();
  });

  test('and never answered: said so after a while, and tried again', async () => {
    const { wallet, checkout } = await handIn(() => undefined);
    await checkout.says('The payment service does not answer');
    await checkout.page.unroute('**/relay');
    await checkout.press('Try again');
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'authorize']);
    expect(await wallet.wallet.balance()).toBe(1_000_000_000n - 25_500_000n);
    await checkout.close();
  });

  test('and that the service cannot send in the end: said so, and paid from the wallet', async () => {
    let relay = { status: 'queued', error: null as string | null };
    const { checkout } = await handIn(async (route) => {
      await checkout.alterAnswers((data) => Object.assign(data, { relay }));
      await route.fulfill({ status: 202, json: {} });
    });
    await checkout.until('submitted');
    relay = { status: 'failed', error: 'reverted' };
    await checkout.says('could not be sent for you');
    await checkout.press('Check again');
    await checkout.until('review');
    await checkout.takeWay('permit');
    await checkout.press(/^Pay/);
    await checkout.until('submitted', 'mined', 'funded');
    await checkout.reconnect();
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

  test('never answers: said so after a while, and gone on when it does', async () => {
    const checkout = await stage.open(await payable());
    await checkout.cutOff(() => undefined);
    await checkout.page.reload();
    await checkout.until('unreachable');
    await checkout.page.unrouteAll();
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
