// Every way to pay, end to end: what the wallet is asked for, that it costs what it says, and what happens where one fails.
import { getAddress } from 'viem';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import type { RouteName } from '../../widget/routes.ts';
import { chainOf } from '../support/wallet.ts';
import { openStage, type Stage } from './checkout.ts';
import { type Deed, ScriptedWallet, WalletError } from './scripted-wallet.ts';

const stack = inject('stack');
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
});

const AMOUNT_UNITS = 25_500_000n;
const payable = async (fields: Record<string, unknown> = {}) => (await stage.market.payable(fields)).payment;
const usdt = () => ({ currency_id: stage.market.currencies.USDT });

async function permit2(): Promise<`0x${string}`> {
  return getAddress(
    await chainOf(stack).readContract({ address: stack.diamond, abi: escrowAbi, functionName: 'permit2' }),
  );
}

async function allowPermit2(wallet: ScriptedWallet, token: 'USDC' | 'USDT'): Promise<void> {
  const { client, mined } = wallet.wallet;
  const call = { address: stack.tokens[token], abi: usdcAbi, functionName: 'approve' } as const;
  await mined(await client.writeContract({ ...call, args: [await permit2(), AMOUNT_UNITS] }));
}

/** Pays by this way, and answers what the wallet was asked and the coin that it took. */
async function pay(way: RouteName | null, wallet: ScriptedWallet, fields: Record<string, unknown> = {}) {
  const payment = await payable(fields);
  wallet.way = way;
  const before = await wallet.wallet.client.getBalance({ address: wallet.address });
  const checkout = await stage.open(payment, [wallet]);
  await checkout.connect(wallet);
  await checkout.press(/^Pay/);
  await checkout.until('funded');
  const paid = await stage.market.untilStatus(payment.id, 'funded');
  expect(paid.deal.payer).toBe(wallet.address.toLowerCase());
  const spent = before - (await wallet.wallet.client.getBalance({ address: wallet.address }));
  await checkout.close();
  return { deeds: wallet.deeds.filter((deed) => deed !== 'connect'), spent };
}

describe('a way to pay', () => {
  test('gasless is proposed first: one signature, no fee, no coin needed', async () => {
    const wallet = await ScriptedWallet.open(stack);
    await wallet.spendEther();
    const { deeds, spent } = await pay(null, wallet);
    expect(deeds).toEqual(['authorize']);
    expect(spent).toBe(0n);
    expect(await wallet.wallet.balance()).toBe(1_000_000_000n - AMOUNT_UNITS);
  });

  const ways: [RouteName, Deed[]][] = [
    ['permit', ['permit', 'deposit']],
    ['authorization', ['authorize', 'deposit']],
    ['approve', ['approve', 'deposit']],
  ];
  test.each(ways)('%s: the wallet is asked for %j', async (way, asked) => {
    const { deeds, spent } = await pay(way, await ScriptedWallet.open(stack));
    expect(deeds).toEqual(asked);
    expect(spent).toBeGreaterThan(0n);
  });

  test('Permit2, where it may take the token: signed and sent, or signed alone', async () => {
    const wallet = await ScriptedWallet.open(stack);
    await allowPermit2(wallet, 'USDT');
    expect((await pay('permit2', wallet, usdt())).deeds).toEqual(['permit2', 'deposit']);
    const other = await ScriptedWallet.open(stack);
    await allowPermit2(other, 'USDT');
    const { deeds, spent } = await pay(null, other, usdt());
    expect([deeds, spent]).toEqual([['permit2'], 0n]);
  });

  test('a batch, where the wallet sends one: approval and deposit at once, a left-over allowance too', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.batches = true;
    expect((await pay('batch', wallet)).deeds).toEqual(['batch']);
    const other = await ScriptedWallet.open(stack);
    other.batches = true;
    const approve = { address: stack.tokens.USDT, abi: usdcAbi, functionName: 'approve' } as const;
    const { client, mined } = other.wallet;
    await mined(await client.writeContract({ ...approve, args: [stack.diamond, 7n] }));
    expect((await pay(null, other, usdt())).deeds).toEqual(['batch']);
  });

  test('is told before the wallet opens: amount, token, payee, who may release it, and when it comes back', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    const payment = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    const seen = await checkout.page.locator('dealkeep-checkout').evaluate((element) => {
      // What is on the screen, without what is folded away.
      const card: unknown = Reflect.get(Object(element.shadowRoot).querySelector('[data-state]'), 'innerText');
      return String(card).replace(/\s+/g, ' ');
    });
    const { arguments: args } = (await stage.market.get(`/widget/payments/${payment.id}`, payment.access_token)).json
      .contract;
    const { payee, token, operator, settlementDeadline } = args[0];
    const short = (address: string) => `${address.slice(0, 6)}…${address.slice(-4)}`;
    const until = new Date(Number(settlementDeadline) * 1_000).toLocaleDateString('en', { dateStyle: 'medium' });
    for (const told of ['25.50 USDC', getAddress(payee), `USDC ${getAddress(token)}`, short(getAddress(operator))]) {
      expect(seen).toContain(told);
    }
    expect(seen).toMatch(new RegExp(`If nobody decides after ${until}.* it comes back to you`));
    expect(wallet.deeds).toEqual(['connect']);
    await checkout.close();
  });

  test('is chosen by the buyer among those that are there, and said before the wallet opens', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.batches = true;
    wallet.way = null;
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    await checkout.says('for one signature: 25.50 USDC go into escrow. The network fee is paid for you.');
    await checkout.takeWay('permit');
    await checkout.says('twice: to sign an approval of exactly 25.50 USDC, then to pay it into escrow');
    await checkout.takeWay('batch');
    await checkout.says('once: to approve exactly 25.50 USDC and pay it into escrow, both at once.');
    const offered = await checkout.page
      .locator('dealkeep-checkout input[name=way]')
      .evaluateAll((inputs) => inputs.map((input) => input.getAttribute('value')));
    expect(offered).toEqual(['gasless', 'permit', 'batch', 'authorization', 'approve']);
    await checkout.close();
  });

  test('is paid by the buyer where the operator relays nothing', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.alterAnswers((answer) => Object.assign(answer, { relays: false }));
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'permit', 'deposit']);
    await checkout.close();
  });

  test('of a token that signs nothing is by approval', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const { deeds } = await pay(null, wallet, usdt());
    expect(deeds).toEqual(['approve', 'deposit']);
  });
});

describe('a smart account', () => {
  test('signs without a key (ERC-1271): gasless by the form that takes its signature, and no permit is offered', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    wallet.signsLong = true;
    // Answers every isValidSignature with its magic value: mstore(0, 0x1626ba7e << 224), return(0, 32).
    await chainOf(stack).setCode({ address: wallet.address, bytecode: '0x631626ba7e60e01b60005260206000f3' });
    const payment = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    const offered = await checkout.page
      .locator('dealkeep-checkout input[name=way]')
      .evaluateAll((inputs) => inputs.map((input) => input.getAttribute('value')));
    expect(offered).toEqual(['gasless', 'authorization', 'approve']);
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'authorize']);
    await checkout.close();
  });
});

describe('where a way fails', () => {
  test('a wallet that signs no typed data: said so, and the next way goes through', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    wallet.signs = false;
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    for (const _ of ['gasless', 'permit', 'authorization']) {
      await checkout.press(/^Pay/);
      await checkout.says('Another way to pay is needed');
      await checkout.press('Check again');
      await checkout.until('review');
    }
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    await checkout.close();
  });

  test('a declined signature: not signed, and asked again', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    wallet.decline('authorize');
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.says('Not signed');
    wallet.agree('authorize');
    await checkout.press('Try again');
    await checkout.until('funded');
    await checkout.close();
  });

  const refusals: [RouteName, Deed, string, 'USDC' | 'USDT'][] = [
    ['permit', 'permit', 'Not signed', 'USDC'],
    ['permit', 'deposit', 'Not paid', 'USDC'],
    ['authorization', 'authorize', 'Not signed', 'USDC'],
    ['authorization', 'deposit', 'Not paid', 'USDC'],
    ['permit2', 'permit2', 'Not signed', 'USDT'],
    ['gasless_permit2', 'permit2', 'Not signed', 'USDT'],
    ['permit2', 'deposit', 'Not paid', 'USDT'],
    ['reset', 'reset', 'Not approved', 'USDT'],
    ['reset', 'approve', 'Not approved', 'USDT'],
    ['batch', 'batch', 'Not paid', 'USDC'],
  ];
  test.each(refusals)(
    '%s: the %s is declined: “%s”, and goes through when asked again',
    async (way, deed, words, token) => {
      const wallet = await ScriptedWallet.open(stack);
      wallet.way = way;
      wallet.batches = way === 'batch';
      if (/permit2/.test(way)) await allowPermit2(wallet, token);
      if (way === 'reset') {
        const { client, mined } = wallet.wallet;
        const approve = { address: stack.tokens[token], abi: usdcAbi, functionName: 'approve' } as const;
        await mined(await client.writeContract({ ...approve, args: [stack.diamond, 7n] }));
      }
      const checkout = await stage.open(await payable({ currency_id: stage.market.currencies[token] }), [wallet]);
      await checkout.connect(wallet);
      wallet.decline(deed);
      await checkout.press(/^Pay/);
      await checkout.says(words);
      await checkout.says('You declined in Scripted Wallet. Nothing was paid');
      wallet.agree(deed);
      await checkout.press('Try again');
      await checkout.until('funded');
      expect(wallet.deeds.filter((asked) => asked === deed)).toHaveLength(2);
      expect(await wallet.wallet.balance(stack.tokens[token])).toBe(1_000_000_000n - AMOUNT_UNITS);
      await checkout.close();
    },
  );

  test('a deposit that the wallet refuses in other words of the standards: not paid, and asked again', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    let again: RegExp | string = /^Pay/;
    for (const code of [4001, 4100, 5000, 5750]) {
      wallet.fail('deposit', new WalletError(code, 'No.'));
      const asked = wallet.deeds.length;
      await checkout.press(again);
      await expect.poll(() => wallet.deeds.slice(asked), { timeout: 20_000 }).toContain('deposit');
      await checkout.says('Not paid');
      again = 'Try again';
    }
    wallet.agree('deposit');
    await checkout.press(again);
    await checkout.until('funded');
    await checkout.close();
  });

  test('a declined or failing batch: not paid, and approval is another way', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.batches = true;
    wallet.way = 'batch';
    wallet.decline('batch');
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.says('Not paid');
    wallet.fail('batch', new WalletError(5740, 'Bundle too large.'));
    await checkout.press('Try again');
    await checkout.says('could not do it');
    await checkout.close();
  });

  test('the service relays no more: said so, and the buyer pays from the wallet', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.page.route('**/relay', (route) => route.fulfill({ status: 429, json: {} }));
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.says('The fee cannot be paid for you now');
    await checkout.press('Check again');
    await checkout.until('review');
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'authorize', 'permit', 'deposit']);
    await checkout.close();
  });

  test('the money is gone when the signature arrives: refused, nothing lost', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    const checkout = await stage.open(await payable(), [wallet]);
    await checkout.connect(wallet);
    const answer = wallet.hold('authorize');
    await checkout.press(/^Pay/);
    await wallet.asked('authorize');
    const { client, mined } = wallet.wallet;
    const transfer = { address: stack.tokens.USDC, abi: usdcAbi, functionName: 'transfer' } as const;
    await mined(await client.writeContract({ ...transfer, args: [stack.feeRecipient, 999_000_000n] }));
    answer();
    await checkout.says('The fee cannot be paid for you now');
    await checkout.press('Check again');
    await checkout.until('short_of_token');
    await checkout.close();
  });
});
