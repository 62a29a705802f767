// Every state of the table as a buyer meets it: axe-core finds nothing, and the main ones are pictured. How each looks and reads in other
// colours, directions and widths is in gallery.test.ts and pictures.test.ts.
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type PaymentStatus, statuses } from '../../widget/payment.ts';
import { type StateName, transitions } from '../../widget/states.ts';
import { type CheckoutPage, openStage, type Stage, shortly } from './checkout.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const stack = inject('stack');
const seen = new Set<StateName>();
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
});

/** The state is there, has nothing that axe-core objects to, and is pictured when it has a name */
async function inspect(checkout: CheckoutPage, state: StateName, picture?: string): Promise<void> {
  await checkout.until(state);
  seen.add(state);
  if (picture) await checkout.picture(picture);
  expect(await checkout.violations(['light']), `axe-core on ${state}`).toEqual([]);
}

const payable = async (fields: Record<string, unknown> = {}) => (await stage.market.payable(fields)).payment;

test('from choosing a wallet to the release, by keyboard alone', async () => {
  const wallet = await ScriptedWallet.open(stack, { name: 'Blue Wallet' });
  const green = await ScriptedWallet.open(stack, { name: 'Second Wallet' });
  wallet.chains = [1, stack.chainId];
  const payment = await payable({ external_id: `lamp-${crypto.randomUUID().slice(0, 6)}` });
  const checkout = await stage.open(payment, [wallet, green]);
  const { keyboard } = checkout.page;
  let isBegun = false;
  /** Tabs until the button with this name has the focus. */
  const reach = async (name: RegExp) => {
    // What had it may be gone with its state; the focus never is.
    const holder = await checkout.page.evaluate('document.activeElement.localName');
    expect(['dealkeep-checkout', isBegun ? '' : 'body']).toContain(holder);
    isBegun = true;
    for (let tabs = 0; tabs < 12; tabs += 1) {
      const focused =
        'document.activeElement?.shadowRoot?.activeElement?.closest("button, summary")?.textContent ?? ""';
      if (name.test(await checkout.page.evaluate<string>(focused))) return;
      await keyboard.press('Tab');
    }
    throw new Error(`No way by keyboard to ${name}`);
  };
  await inspect(checkout, 'ready', 'choose-wallet');
  const region = "document.querySelector('dealkeep-checkout').shadowRoot.querySelector('[role=status]')";
  await checkout.page.evaluate(`window.region = ${region}`);
  await reach(/Blue Wallet/);
  let answer = wallet.hold('connect');
  await keyboard.press('Enter');
  await inspect(checkout, 'connecting', 'connecting');
  answer();
  await inspect(checkout, 'wrong_chain', 'wrong-network');
  answer = wallet.hold('switch');
  await reach(/Change to/);
  await keyboard.press('Enter');
  await inspect(checkout, 'switching');
  answer();
  await inspect(checkout, 'review', 'review');
  await reach(/Other ways to pay/);
  await keyboard.press('Enter');
  await checkout.picture('review-ways', 0.85);
  await inspect(checkout, 'review');
  await checkout.takeWay('approve');
  await checkout.picture('review-terms', 0.85);
  await reach(/What you agree to/);
  await keyboard.press('Enter');
  await inspect(checkout, 'review');
  answer = wallet.hold('approve');
  await reach(/^\s*Pay /);
  await keyboard.press('Enter');
  await wallet.asked('approve');
  await inspect(checkout, 'signing', 'approve');
  wallet.decline('deposit');
  answer();
  await inspect(checkout, 'stopped', 'declined');
  answer = wallet.hold('deposit');
  await reach(/Try again/);
  await keyboard.press('Enter');
  await expect.poll(() => wallet.deeds.filter((deed) => deed === 'deposit')).toHaveLength(2);
  await inspect(checkout, 'signing', 'deposit');
  const unheard = await stage.market.get(`/widget/payments/${payment.id}`, payment.access_token);
  await checkout.alterAnswers((data) => Object.assign(data, unheard.json));
  wallet.hidesReceipts = true;
  answer();
  await inspect(checkout, 'submitted', 'submitted');
  wallet.hidesReceipts = false;
  await inspect(checkout, 'mined');
  await checkout.reconnect();
  await inspect(checkout, 'funded', 'funded');
  await stage.market.ask(payment.id, 'release');
  await inspect(checkout, 'released', 'released');
  // A region that was there before its words changed is read out; a new one may not be.
  expect(await checkout.page.evaluate(`window.region === ${region}`)).toBe(true);
  await checkout.close();
  // Thirteen states, looked at by axe-core three times each.
}, 180_000);

test('a signature that is handed in, and the deposit that the service sends', async () => {
  const wallet = await ScriptedWallet.open(stack);
  wallet.way = null;
  const checkout = await stage.open(await payable(), [wallet]);
  await checkout.connect(wallet);
  let handIn = () => {};
  const handedIn = new Promise<void>((resolve) => {
    handIn = resolve;
  });
  await checkout.page.route('**/relay', async (route) => {
    await handedIn;
    await route.continue();
  });
  const answer = wallet.hold('authorize');
  await checkout.press(/^Pay/);
  await inspect(checkout, 'signing', 'sign');
  answer();
  await inspect(checkout, 'relaying');
  handIn();
  await inspect(checkout, 'funded');
  await checkout.close();
});

test('confirming', async () => {
  const slow = await openStage({ confirmations: 500 });
  const wallet = await ScriptedWallet.open(stack);
  const { payment } = await slow.market.payable();
  const checkout = await slow.open(payment, [wallet]);
  await checkout.connect(wallet);
  await checkout.press(/^Pay/);
  await inspect(checkout, 'confirming', 'confirming');
  await slow.market.ask(payment.id, 'cancel');
  await inspect(checkout, 'cancel_requested');
  await checkout.close();
  await slow.close();
});

test('refunded, and before it the allowance on its way', async () => {
  const wallet = await ScriptedWallet.open(stack);
  wallet.hidesReceipts = true;
  const payment = await payable();
  const checkout = await stage.open(payment, [wallet]);
  await checkout.connect(wallet);
  await checkout.press(/^Pay/);
  await inspect(checkout, 'mining');
  wallet.hidesReceipts = false;
  await checkout.until('funded');
  await stage.market.ask(payment.id, 'cancel');
  await inspect(checkout, 'refunded', 'refunded');
  await checkout.close();
});

test('no wallet, cancelled, expired', async () => {
  const payment = await payable();
  const checkout = await stage.open(payment);
  await checkout.says('No wallet found');
  await inspect(checkout, 'ready', 'no-wallet');
  await stage.market.ask(payment.id, 'cancel');
  await inspect(checkout, 'cancelled', 'cancelled');
  await checkout.close();
  const { expiresAt, pass } = await shortly(stack);
  const short = await stage.open(await payable({ expires_at: expiresAt }));
  await pass();
  await inspect(short, 'expired', 'expired');
  await short.close();
});

test('too little token, too little gas, a dead network, and the wallet being read', async () => {
  const poor = await ScriptedWallet.open(stack, { tokenUnits: 3_000_000n });
  const payment = await payable();
  const first = await stage.open(payment, [poor]);
  await first.until('ready');
  await first.press(poor.name);
  await inspect(first, 'short_of_token', 'too-little-token');
  await first.close();

  const dry = await ScriptedWallet.open(stack);
  await dry.spendEther();
  const tether = await payable({ currency_id: stage.market.currencies.USDT });
  const second = await stage.open(tether, [dry]);
  await second.until('ready');
  await second.press(dry.name);
  await inspect(second, 'short_of_gas', 'too-little-gas');
  dry.silent = true;
  await second.press('Check again');
  await inspect(second, 'checking');
  await second.close();

  const lost = await ScriptedWallet.open(stack);
  lost.online = false;
  const third = await stage.open(payment, [lost]);
  await third.until('ready');
  await third.press(lost.name);
  await third.says('does not answer');
  await inspect(third, 'stopped', 'network-down');
  await third.close();
});

test('loading, being prepared, service down, access over, altered data', async () => {
  const payment = await payable();
  const checkout = await stage.open(payment);
  await checkout.cutOff(() => undefined);
  // Loading lasts as long as it is looked at.
  await checkout.page.addInitScript('AbortSignal.timeout = () => new AbortController().signal');
  await checkout.page.reload();
  await inspect(checkout, 'loading', 'loading');
  await checkout.page.unrouteAll();
  await checkout.cutOff();
  await checkout.page.reload();
  await inspect(checkout, 'unreachable', 'service-down');
  await checkout.page.unrouteAll();
  await checkout.alterAnswers((data) => Object.assign(data, { price_units: '1' }));
  await checkout.press('Try again');
  await inspect(checkout, 'refused', 'refused');
  await checkout.reconnect();
  await checkout.page.evaluate("document.getElementById('checkout').accessToken = 'over'");
  await inspect(checkout, 'denied', 'access-over');
  await checkout.close();
});

// States that need a dispute, a split or a card are led there by the API's word alone.
const told: PaymentStatus[] = statuses.filter((status) =>
  ['pending', 'partially_released', 'disputed', 'partially_refunded', 'failed'].includes(status),
);
test.each(told)('told by the API: %s', async (status) => {
  const checkout = await stage.open(await payable());
  await checkout.alterAnswers((data) => Object.assign(data, { status, contract: null }));
  await checkout.page.reload();
  await inspect(checkout, status === 'pending' ? 'preparing' : (status as StateName));
  await checkout.close();
});

test('dark, and on a small phone with text twice as large', async () => {
  const wallet = await ScriptedWallet.open(stack, { name: 'Blue Wallet' });
  const checkout = await stage.open(await payable(), [wallet], { theme: 'dark' });
  await checkout.page.emulateMedia({ colorScheme: 'dark' });
  await checkout.connect(wallet);
  await checkout.picture('review-dark');
  await checkout.page.setViewportSize({ width: 320, height: 800 });
  await checkout.page.emulateMedia({ colorScheme: 'light' });
  await checkout.page.evaluate("document.getElementById('checkout').theme = 'light'");
  await checkout.picture('review-phone');
  await checkout.page.evaluate("document.documentElement.style.fontSize = '200%'");
  expect(await checkout.overflow()).toBeLessThanOrEqual(0);
  await checkout.close();
});

test('no state of the table was left out', () => {
  // Those of payments on rails are in rails.test.ts.
  const elsewhere: StateName[] = ['card_due', 'at_provider', 'transfer_due', 'underpaid', 'in_review'];
  const here = (Object.keys(transitions) as StateName[]).filter((state) => !elsewhere.includes(state));
  expect(here.filter((state) => !seen.has(state))).toEqual([]);
});
