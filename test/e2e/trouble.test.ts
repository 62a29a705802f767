// What can go wrong before the money moves: each trouble has its own words, and a way on where there is one.
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { usdcAbi } from '../../contracts/abi.ts';
import type { Json } from '../api/marketplace.ts';
import { chainOf, strangerAddress } from '../support/wallet.ts';
import { openStage, type Stage, shortly } from './checkout.ts';
import { ScriptedWallet, WalletError } from './scripted-wallet.ts';

const stack = inject('stack');
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
});

const payable = async (fields: Record<string, unknown> = {}) => (await stage.market.payable(fields)).payment;

describe('the payment', () => {
  test('cancelled before a deposit: the widget says so, without a reload', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const payment = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    await stage.market.ask(payment.id, 'cancel');
    await checkout.until('cancelled');
    await checkout.says('This payment was cancelled');
    expect(wallet.deeds).toEqual(['connect']);
    await checkout.close();
  });

  test('cancelled while the wallet asks: the deposit is not sent', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const payment = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    const answer = wallet.hold('approve');
    await checkout.press(/^Pay/);
    await wallet.asked('approve');
    await stage.market.ask(payment.id, 'cancel');
    await checkout.until('cancelled');
    answer();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(wallet.deeds).toEqual(['connect', 'approve']);
    await checkout.close();
  });

  test('expires while it is looked at: the widget says so', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const { expiresAt, pass } = await shortly(stack);
    const checkout = await stage.open(await payable({ expires_at: expiresAt }), [wallet]);
    await checkout.until('ready');
    await pass();
    await checkout.until('expired');
    await checkout.says('The time to pay is over');
    await checkout.close();
  });

  test('paid from elsewhere: this page sees it too', async () => {
    const payment = await payable();
    const [one, other] = [await ScriptedWallet.open(stack), await ScriptedWallet.open(stack)];
    const here = await stage.open(payment, [one]);
    const there = await stage.open(payment, [other]);
    await here.connect(one);
    await there.connect(other);
    await there.press(/^Pay/);
    await here.until('funded');
    await Promise.all([here.close(), there.close()]);
  });
});

describe('the wallet', () => {
  test('is missing: the widget says what to do', async () => {
    const checkout = await stage.open(await payable());
    await checkout.says('No wallet found in this browser');
    await checkout.close();
  });

  test('has too little of the token: what is missing; topped up it goes on', async () => {
    const wallet = await ScriptedWallet.open(stack, { tokenUnits: 3_000_000n });
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.until('ready');
    await checkout.press(wallet.name);
    await checkout.until('short_of_token');
    await checkout.says('holds 3.00 USDC; 22.50 USDC are missing');
    const { client, mined } = wallet.wallet;
    const mint = { address: stack.tokens.USDC, abi: usdcAbi, functionName: 'mint' } as const;
    await mined(await client.writeContract({ ...mint, args: [wallet.address, 22_500_000n] }));
    await checkout.press('Check again');
    await checkout.until('review');
    await checkout.close();
  });

  test('has too little for fees: how much it takes; topped up it goes on', async () => {
    const wallet = await ScriptedWallet.open(stack);
    await chainOf(stack).setBalance({ address: wallet.address, value: 1n });
    const checkout = await stage.open(await payable({ currency_id: stage.market.currencies.USDT }), [wallet]);
    await checkout.until('ready');
    await checkout.press(wallet.name);
    await checkout.until('short_of_gas');
    await checkout.says(/takes up to 0\.0\d+ ETH in fees/);
    await chainOf(stack).setBalance({ address: wallet.address, value: 10n ** 18n });
    await checkout.press('Check again');
    await checkout.until('review');
    await checkout.close();
  });

  test('has lost its network: said so, and gone on when it is back', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.online = false;
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.until('ready');
    await checkout.press(wallet.name);
    await checkout.until('stopped');
    await checkout.says('Local test chain does not answer');
    wallet.online = true;
    await checkout.press('Check again');
    await checkout.until('review');
    await checkout.close();
  });

  test('still asks from before, or fails: its own words', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.fail('connect', new WalletError(-32002, 'Already processing.'));
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.until('ready');
    await checkout.press(wallet.name);
    await checkout.says('Scripted Wallet is still asking');
    wallet.agree('connect');
    await checkout.press('Try again');
    await checkout.until('review');
    await checkout.takeWay('approve');
    wallet.fail('approve', new WalletError(-32603, 'Internal error.'));
    await checkout.press(/^Pay/);
    await checkout.says('Scripted Wallet could not do it');
    await checkout.close();
  });

  test('does not know a chain that has no RPC URL: said so, not taken for a refusal', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.chains = [1];
    wallet.fail('add', new WalletError(-32602, 'Invalid RPC URL.'));
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.until('ready');
    await checkout.press(wallet.name);
    await checkout.press(/^Change to/);
    await checkout.says('does not know Local test chain');
    await checkout.close();
  });

  test('lets its owner approve less than asked: noticed before the deposit', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.approveUnits = 1_000_000n;
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.until('stopped');
    await checkout.says('Less was approved than needed');
    expect(wallet.deeds).not.toContain('deposit');
    wallet.approveUnits = null;
    await checkout.press('Check again');
    await checkout.until('review');
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    await checkout.close();
  });
});

describe('the payment service', () => {
  test('does not answer at first: the widget says so and goes on by itself', async () => {
    const payment = await payable();
    const checkout = await stage.open(payment);
    await checkout.cutOff();
    await checkout.page.reload();
    await checkout.until('unreachable');
    await checkout.says('The payment service does not answer');
    await checkout.page.unrouteAll();
    await checkout.press('Try again');
    await checkout.until('ready');
    await checkout.close();
  });

  test('falls silent before a signature: nothing is signed; back again, it goes on', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    await checkout.cutOff();
    await checkout.press(/^Pay/);
    await checkout.until('stopped');
    await checkout.says('Nothing is ever paid twice');
    expect(wallet.deeds).toEqual(['connect']);
    await checkout.page.unrouteAll();
    await checkout.press('Try again');
    await checkout.until('funded');
    await checkout.close();
  });

  test('falls silent after the deposit: what was sent stays on the screen, with a note', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    const answer = wallet.hold('deposit');
    await checkout.press(/^Pay/);
    await wallet.asked('deposit');
    await checkout.cutOff();
    answer();
    await checkout.until('submitted', 'mined');
    await checkout.says('The connection to the payment service is lost');
    await checkout.page.unrouteAll();
    await checkout.until('funded');
    expect(await checkout.text()).not.toContain('is lost');
    await checkout.close();
  });

  test('is asked with a token whose time is over: said so; a provider brings one that is not', async () => {
    const payment = await payable();
    const { ver: version } = JSON.parse(`${Buffer.from(payment.access_token.split('.')[1], 'base64url')}`);
    const over = stage.market.tokensOf.accessToken({
      ...{ paymentId: payment.id, version, issuedAt: new Date(0) },
      lastDeadline: 0n,
    });
    const checkout = await stage.open(payment);
    await checkout.until('ready');
    const provide = (code: string) =>
      checkout.page.evaluate(`document.getElementById('checkout').accessToken = ${code}`);
    await provide(JSON.stringify(over));
    await checkout.until('denied');
    await checkout.says('Its access has ended or was replaced');
    const tokens = JSON.stringify([over, payment.access_token]);
    await provide(`((tokens) => () => tokens.length > 1 ? tokens.shift() : tokens[0])(${tokens})`);
    await checkout.until('ready');
    await checkout.close();
  });

  test('revokes the access token: a provider brings the new one, a wrong token is said to be over', async () => {
    const payment = await payable();
    const checkout = await stage.open(payment);
    await checkout.until('ready');
    await stage.market.post(`/payments/${payment.id}/access-token/rotate`);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await checkout.until('ready');
    await checkout.page.evaluate("document.getElementById('checkout').accessToken = 'not-a-token'");
    await checkout.until('denied');
    await checkout.says('cannot be opened any more');
    await checkout.close();
  });
});

describe('trust', () => {
  const alterations: [string, (payment: Json) => void][] = [
    ['the amount', (payment) => Object.assign(payment.contract.arguments[0], { amount: '25500001' })],
    ['the payee', (payment) => Object.assign(payment.contract.arguments[0], { payee: strangerAddress() })],
    ['the payee shown', (payment) => Object.assign(payment, { payment_address: strangerAddress() })],
    ['the price shown', (payment) => Object.assign(payment, { price_units: '1' })],
    ['the token', (payment) => Object.assign(payment.contract.arguments[0], { token: strangerAddress() })],
    ['the operator', (payment) => Object.assign(payment.contract.arguments[0], { operator: strangerAddress() })],
    ['a deadline', (payment) => Object.assign(payment.contract.arguments[0], { settlementDeadline: '9999999999' })],
    ['the diamond', (payment) => Object.assign(payment, { diamond_address: strangerAddress() })],
    ['the chain', (payment) => Object.assign(payment, { network_id: 1 })],
    ['the hash', (payment) => Object.assign(payment, { offer_hash: `0x${'ab'.repeat(32)}` })],
    ['the function', (payment) => Object.assign(payment.contract, { function_name: 'approve' })],
  ];
  test.each(alterations)('altered at first sight: %s → refused, no wallet is asked', async (_, alter) => {
    const wallet = await ScriptedWallet.open(stack, { tokenUnits: 1n });
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.alterAnswers((payment) => payment.contract && alter(payment));
    await checkout.page.reload();
    await checkout.until('refused');
    await checkout.says('We stopped this payment for your safety');
    expect(wallet.deeds).toEqual([]);
    await checkout.close();
  });

  test('other decimals than the token has: refused as soon as the chain is asked', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.alterAnswers((payment) => Object.assign(payment, { price_decimals: 8 }));
    await checkout.page.reload();
    await checkout.until('ready');
    await checkout.press(wallet.name);
    await checkout.until('refused');
    await checkout.says('Something is not what it should be: the amount');
    expect(wallet.deeds).toEqual(['connect']);
    await checkout.close();
  });

  const others: [string, () => Record<string, unknown>][] = [
    ['payee', () => ({ payment_address: strangerAddress() })],
    ['price', () => ({ price: 30, paid_price: 30 })],
    ['token', () => ({ currency_id: stage.market.currencies.USDT })],
  ];
  test.each(others)('another %s, right by itself, just before the signature → refused', async (_, fields) => {
    const wallet = await ScriptedWallet.open(stack);
    const payment = await payable();
    const other = await stage.market.payable(fields());
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    await checkout.alterAnswers((answer) => Object.assign(answer, other.widget));
    await checkout.press(/^Pay/).catch(() => undefined);
    await checkout.until('refused');
    expect(wallet.deeds).toEqual(['connect']);
    await checkout.close();
  });

  test('what the page expects differs → refused; agrees → it goes on', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.until('ready');
    const expecting = (expected: object) =>
      checkout.page.evaluate(`document.getElementById('checkout').expected = ${JSON.stringify(expected)}`);
    const right = { chainId: stack.chainId, diamond: stack.diamond, token: stack.tokens.USDC, amountUnits: '25500000' };
    await expecting({ ...right, amountUnits: '25000000' });
    await checkout.until('refused');
    await expecting({ ...right, payee: stage.market.payee });
    await checkout.until('ready');
    await checkout.close();
  });

  test('the access token is in no URL, no storage, no log, no event and nowhere in the document', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const payment = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.page.evaluate(
      `document.getElementById('checkout').setAttribute('access-token', ${JSON.stringify(payment.access_token)})`,
    );
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    const seen = await checkout.page.evaluate<string>(`(() => {
      const element = document.getElementById('checkout');
      const texts = [document.documentElement.outerHTML, element.shadowRoot.innerHTML];
      return [...texts, JSON.stringify({ ...localStorage, ...sessionStorage }), JSON.stringify(window.changes)].join(' ');
    })()`);
    const haystack = [seen, ...checkout.urls, ...checkout.console].join(' ');
    expect(haystack).toContain(payment.id);
    expect(haystack).not.toContain(payment.access_token);
    expect(haystack).not.toContain(payment.access_token.split('.')[2]);
    await checkout.close();
  });
});
