// A reload in every state of the table: the checkout goes on where it was, and asks for nothing twice that was given.
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type PaymentStatus, statuses } from '../../widget/payment.ts';
import { type StateName, transitions } from '../../widget/states.ts';
import { type CheckoutPage, openStage, type Stage } from './checkout.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const stack = inject('stack');
const reloaded = new Set<StateName>();
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
});

const payable = async (fields: Record<string, unknown> = {}) => (await stage.market.payable(fields)).payment;

/** Reloads the page in this state, and waits for what the checkout goes on in: the same, unless another is named. */
async function reload(checkout: CheckoutPage, state: StateName, ...then: StateName[]): Promise<void> {
  await checkout.until(state);
  reloaded.add(state);
  await checkout.page.reload();
  await checkout.until(...(then.length > 0 ? then : [state]));
}

test('from the choice of a wallet to the money in escrow', async () => {
  const wallet = await ScriptedWallet.open(stack);
  wallet.chains = [1, stack.chainId];
  const checkout = await stage.open(await payable(), [wallet]);
  await reload(checkout, 'ready');
  const connect = wallet.hold('connect');
  await checkout.press(wallet.name);
  await reload(checkout, 'connecting', 'ready');
  connect();
  wallet.agree('connect');
  await checkout.press(wallet.name);
  await reload(checkout, 'wrong_chain');
  const change = wallet.hold('switch');
  await checkout.press(/^Change to/);
  await reload(checkout, 'switching', 'wrong_chain');
  wallet.agree('switch');
  change();
  // What its owner agrees to late, the page sees all the same.
  await reload(checkout, 'review');
  await checkout.takeWay('approve');
  wallet.hold('approve');
  await checkout.press(/^Pay/);
  await wallet.asked('approve');
  await reload(checkout, 'signing', 'review');
  wallet.decline('approve');
  await checkout.takeWay('approve');
  await checkout.press(/^Pay/);
  await reload(checkout, 'stopped', 'review');
  wallet.agree('approve');
  wallet.hidesReceipts = true;
  await checkout.takeWay('approve');
  await checkout.press(/^Pay/);
  // The approval that was sent is waited for, so that it is not signed again.
  await reload(checkout, 'mining', 'checking');
  await reload(checkout, 'checking');
  wallet.hidesReceipts = false;
  await checkout.until('review');
  wallet.keeps = 'speed_up';
  await checkout.takeWay('allowance');
  const approved = wallet.deeds.filter((deed) => deed === 'approve').length;
  await checkout.press(/^Pay/);
  await reload(checkout, 'submitted');
  await wallet.replace();
  await reload(checkout, 'funded');
  expect(wallet.deeds.filter((deed) => deed === 'deposit')).toHaveLength(1);
  expect(wallet.deeds.filter((deed) => deed === 'approve')).toHaveLength(approved);
  await checkout.close();
});

test('while the API has not heard of a deposit that is in a block', async () => {
  const wallet = await ScriptedWallet.open(stack);
  const payment = await payable();
  const checkout = await stage.open(payment, [wallet]);
  const unheard = await stage.market.get(`/widget/payments/${payment.id}`, payment.access_token);
  await checkout.alterAnswers((data) => Object.assign(data, unheard.json));
  await checkout.connect(wallet);
  await checkout.press(/^Pay/);
  await reload(checkout, 'mined');
  await checkout.reconnect();
  await checkout.until('funded');
  expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
  await checkout.close();
});

test('while a signature is handed in that does not arrive: signed again, paid once', async () => {
  const wallet = await ScriptedWallet.open(stack);
  wallet.way = null;
  const checkout = await stage.open(await payable(), [wallet]);
  await checkout.page.route('**/relay', () => undefined);
  await checkout.connect(wallet);
  await checkout.press(/^Pay/);
  await reload(checkout, 'relaying', 'review');
  await checkout.page.unrouteAll();
  await checkout.press(/^Pay/);
  await checkout.until('funded');
  expect(wallet.deeds).toEqual(['connect', 'authorize', 'authorize']);
  expect(await wallet.wallet.balance()).toBe(1_000_000_000n - 25_500_000n);
  await checkout.close();
});

test('while too little of the token or of the coin is there', async () => {
  const poor = await ScriptedWallet.open(stack, { tokenUnits: 3_000_000n });
  const first = await stage.open(await payable(), [poor]);
  await first.until('ready');
  await first.press(poor.name);
  await reload(first, 'short_of_token');
  await first.close();

  const dry = await ScriptedWallet.open(stack);
  await dry.spendEther();
  const second = await stage.open(await payable({ currency_id: stage.market.currencies.USDT }), [dry]);
  await second.until('ready');
  await second.press(dry.name);
  await reload(second, 'short_of_gas');
  await second.close();
});

test('while a deposit waits for confirmations, and while it is cancelled', async () => {
  const slow = await openStage({ confirmations: 500 });
  const wallet = await ScriptedWallet.open(stack);
  const { payment } = await slow.market.payable();
  const checkout = await slow.open(payment, [wallet]);
  await checkout.connect(wallet);
  await checkout.press(/^Pay/);
  await reload(checkout, 'confirming');
  await slow.market.ask(payment.id, 'cancel');
  await reload(checkout, 'cancel_requested');
  await checkout.close();
  await slow.close();
});

test('while nothing can be shown: loading, no service, a token that is over, data that contradicts itself', async () => {
  const checkout = await stage.open(await payable());
  await checkout.until('ready');
  await checkout.cutOff(() => undefined);
  await checkout.page.reload();
  await reload(checkout, 'loading');
  await checkout.cutOff();
  await checkout.page.reload();
  await reload(checkout, 'unreachable');
  await checkout.page.unrouteAll();
  await checkout.alterAnswers((data) => Object.assign(data, { price_units: '1' }));
  await checkout.page.reload();
  await reload(checkout, 'refused');
  await checkout.page.unrouteAll();
  await checkout.page.route('**/token/*', (route) => route.fulfill({ body: 'over' }));
  await checkout.page.reload();
  await reload(checkout, 'denied');
  await checkout.page.unrouteAll();
  await checkout.page.reload();
  await checkout.until('ready');
  await checkout.close();
});

// Where these come from is another test's; what a page makes of them after a reload is the API's word alone.
const told = statuses.filter((status) => !['awaiting_deposit', 'confirming', 'funded'].includes(status));
test('while the API says what became of the payment', async () => {
  const checkout = await stage.open(await payable());
  let status: PaymentStatus = 'pending';
  await checkout.alterAnswers((data) => Object.assign(data, { status, contract: null }));
  for (status of told) {
    await checkout.page.reload();
    await reload(checkout, status === 'pending' ? 'preparing' : (status as StateName));
  }
  await checkout.close();
});

test('no state of the table was left out', () => {
  // Those of payments on rails are in rails.test.ts.
  const elsewhere: StateName[] = ['card_due', 'at_provider', 'transfer_due', 'underpaid', 'in_review'];
  const here = (Object.keys(transitions) as StateName[]).filter((state) => !elsewhere.includes(state));
  expect(here.filter((state) => !reloaded.has(state))).toEqual([]);
});
