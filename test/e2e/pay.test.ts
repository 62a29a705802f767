// Buyers pay in a real Chromium, against the real API, worker, chain and indexer; only the wallet's owner is played.
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { usdcAbi } from '../../contracts/abi.ts';
import { mineBlocks } from '../support/wallet.ts';
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

const AMOUNT_UNITS = 25_500_000n;
const FEE_UNITS = 255_000n;

/** A payment whose terms are frozen, for a payee of its own. */
async function payable(fields: Record<string, unknown> = {}) {
  const { address } = await ScriptedWallet.open(stack, { tokenUnits: 1n });
  const { payment } = await stage.market.payable({ payment_address: address, ...fields });
  return { payment, payee: address };
}

async function balance(token: 'USDC' | 'USDT', account: `0x${string}`): Promise<bigint> {
  const { wallet } = reader;
  return await wallet.client.readContract({
    address: stack.tokens[token],
    abi: usdcAbi,
    functionName: 'balanceOf',
    args: [account],
  });
}
let reader: ScriptedWallet;
beforeAll(async () => {
  reader = await ScriptedWallet.open(stack);
});

describe('paying', () => {
  test('a cart of three sellers: one approval of the sum, one deposit, every leg funded', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const legs = await Promise.all(
      [12, 8, 5.5].map(async (share) => ({
        payment_address: (await ScriptedWallet.open(stack, { tokenUnits: 1n })).address,
        paid_price: share,
      })),
    );
    const { payment } = await payable({ legs });
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    await checkout.press('Pay 25.50 USDC');
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    expect(await balance('USDC', wallet.address)).toBe(1_000_000_000n - AMOUNT_UNITS);
    const paid = await stage.market.untilStatus(payment.id, 'funded');
    expect(paid.legs.map((leg: { status: string }) => leg.status)).toEqual(['funded', 'funded', 'funded']);
    await checkout.close();
  });

  for (const token of ['USDC', 'USDT'] as const) {
    test(`${token}: connect, approve, pay, funded; released: the payee has the amount less the fee`, async () => {
      const wallet = await ScriptedWallet.open(stack);
      const { payment, payee } = await payable({ currency_id: stage.market.currencies[token] });
      const checkout = await stage.open(payment, [wallet]);
      await checkout.connect(wallet);
      await checkout.says(`twice: to approve exactly 25.50 ${token}, then to pay it into escrow`);
      await checkout.press(`Pay 25.50 ${token}`);
      await checkout.until('funded');
      expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
      expect(await balance(token, wallet.address)).toBe(1_000_000_000n - AMOUNT_UNITS);

      const paid = await stage.market.untilStatus(payment.id, 'funded');
      expect(paid.deal.payer).toBe(wallet.address.toLowerCase());
      await stage.market.ask(payment.id, 'release');
      await checkout.until('released');
      expect(await balance(token, payee)).toBe(1n + AMOUNT_UNITS - FEE_UNITS);
      await checkout.close();
    });
  }

  test('cancelled after funding: the widget says refunded and the buyer has everything back', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    await stage.market.ask(payment.id, 'cancel');
    await checkout.until('refunded');
    expect(await balance('USDC', wallet.address)).toBe(1_000_000_000n);
    await checkout.close();
  });

  test.each([
    ['exact', 0n],
    ['larger', 1n],
  ])('an allowance that is there already, %s, is used: one signature', async (_, more) => {
    const wallet = await ScriptedWallet.open(stack);
    await allow(wallet, 'USDC', AMOUNT_UNITS + more);
    wallet.way = 'allowance';
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'deposit']);
    expect(await allowance(wallet, 'USDC')).toBe(more);
    await checkout.close();
  });

  test('USDT with a left-over allowance: reset, approve, pay', async () => {
    const wallet = await ScriptedWallet.open(stack);
    await allow(wallet, 'USDT', 7n);
    const { payment } = await payable({ currency_id: stage.market.currencies.USDT });
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    await checkout.says('three times: to clear an old approval');
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'reset', 'approve', 'deposit']);
    await checkout.close();
  });

  test('USDC with a left-over allowance needs no reset, and the allowance is used up', async () => {
    const wallet = await ScriptedWallet.open(stack);
    await allow(wallet, 'USDC', 7n);
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    expect(await allowance(wallet, 'USDC')).toBe(0n);
    await checkout.close();
  });
});

describe('the wallet', () => {
  test('on another chain: it is asked to switch, and the payment goes on', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.chains = [1, stack.chainId];
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.until('ready');
    await checkout.press(wallet.name);
    await checkout.until('wrong_chain');
    await checkout.press('Change to Local test chain');
    await checkout.until('review');
    expect(wallet.deeds).toEqual(['connect', 'switch']);
    await checkout.close();
  });

  test('that does not know the chain: it is asked to add it', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.chains = [1];
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet], { rpc: stack.rpcUrl });
    await checkout.until('ready');
    await checkout.press(wallet.name);
    await checkout.until('wrong_chain');
    await checkout.press(/^Change to/);
    await checkout.until('review');
    expect(wallet.deeds).toEqual(['connect', 'add']);
    await checkout.close();
  });

  test('declines to connect, to switch, to approve, to pay: each time it can go on', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.chains = [1, stack.chainId];
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    const declined = async (
      deed: 'connect' | 'switch' | 'approve' | 'deposit',
      words: string,
      press: () => Promise<void>,
    ) => {
      wallet.decline(deed);
      await press();
      await checkout.until('stopped');
      await checkout.says(words);
      wallet.agree(deed);
      await checkout.press('Try again');
    };
    await checkout.until('ready');
    await declined('connect', 'Not connected', () => checkout.press(wallet.name));
    await checkout.until('wrong_chain');
    await declined('switch', 'Network not changed', () => checkout.press(/^Change to/));
    await checkout.until('review');
    await checkout.takeWay('approve');
    wallet.decline('deposit');
    await declined('approve', 'Not approved', () => checkout.press(/^Pay/));
    await checkout.until('stopped');
    await checkout.says('Not paid');
    expect(await balance('USDC', wallet.address)).toBe(1_000_000_000n);
    wallet.agree('deposit');
    await checkout.press('Try again');
    await checkout.until('funded');
    // What was signed before a refusal is not signed again.
    expect(wallet.deeds.filter((deed) => deed === 'approve')).toHaveLength(2);
    expect(wallet.deeds.filter((deed) => deed === 'deposit')).toHaveLength(2);
    await checkout.close();
  });

  test('changes its account while it is looked at: the new one is checked', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const poor = await ScriptedWallet.open(stack, { tokenUnits: 1n });
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    await wallet.useAccount(poor.address);
    await checkout.until('short_of_token');
    await wallet.useAccount(wallet.address);
    await checkout.until('review');
    await checkout.close();
  });

  test('that declines to add the chain is asked again', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.chains = [1];
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet], { rpc: stack.rpcUrl });
    await checkout.until('ready');
    await checkout.press(wallet.name);
    wallet.decline('add');
    await checkout.press(/^Change to/);
    await checkout.says('Network not changed');
    wallet.agree('add');
    await checkout.press('Try again');
    await checkout.until('review');
    await checkout.close();
  });

  test('that never answers whether to change its chain: the buyer looks again, or takes another', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.chains = [1, stack.chainId];
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.until('ready');
    await checkout.press(wallet.name);
    wallet.hold('switch');
    await checkout.press(/^Change to/);
    await checkout.until('switching');
    await checkout.press('Check again');
    await checkout.until('wrong_chain');
    await checkout.press(/^Change to/);
    await checkout.until('switching');
    // It changes without a word: its chain decides.
    await wallet.moveTo(stack.chainId);
    await checkout.until('review');
    await checkout.close();
  });

  test('changes its account between approval and deposit: nothing is paid from the other', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const other = await ScriptedWallet.open(stack);
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    const answer = wallet.hold('approve');
    await checkout.press(/^Pay/);
    await wallet.asked('approve');
    await wallet.useAccount(other.address);
    answer();
    await checkout.until('stopped');
    await checkout.says('The wallet changed');
    expect(wallet.deeds).not.toContain('deposit');
    await wallet.useAccount(wallet.address);
    await checkout.until('review');
    await checkout.takeWay('allowance');
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(wallet.deeds.filter((deed) => deed === 'approve')).toHaveLength(1);
    await checkout.close();
  });

  test('changes its chain between approval and deposit: nothing is signed there', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.chains = [stack.chainId, 1];
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    const answer = wallet.hold('approve');
    await checkout.press(/^Pay/);
    await wallet.asked('approve');
    await checkout.says('Step 1 of 2');
    await wallet.moveTo(1);
    answer();
    await checkout.until('stopped');
    await checkout.says('The wallet changed');
    expect(wallet.deeds).not.toContain('deposit');
    await checkout.press('Check again');
    await checkout.until('wrong_chain');
    await checkout.close();
  });

  test('of two wallets either can be chosen, and left for the other', async () => {
    const first = await ScriptedWallet.open(stack, { name: 'First Wallet' });
    const second = await ScriptedWallet.open(stack, { name: 'Second Wallet' });
    const { payment } = await payable();
    const checkout = await stage.open(payment, [first, second]);
    await checkout.connect(first);
    await checkout.press('Change wallet');
    await checkout.connect(second);
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(first.deeds).toEqual(['connect']);
    expect(second.deeds).toEqual(['connect', 'approve', 'deposit']);
    await checkout.close();
  });
});

describe('a reload', () => {
  test('between deposit and confirmation: it goes on by the stored hash, and nothing is signed again', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    // As long as the API has not heard of the deposit, only the page knows of it.
    await checkout.alterAnswers((answer) => Object.assign(answer, unheard));
    const unheard = { status: 'awaiting_deposit', transaction_hash: null, deal_hash: null };
    const before = (await stage.market.get(`/widget/payments/${payment.id}`, payment.access_token)).json;
    Object.assign(unheard, { contract: before.contract });
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.until('submitted', 'mined');
    await checkout.page.reload();
    await checkout.until('submitted', 'mined');
    await checkout.page.reload();
    await checkout.until('submitted', 'mined');
    await checkout.reconnect();
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    await checkout.close();
  });

  test('while a wallet is connected: it is taken up again without asking', async () => {
    const wallet = await ScriptedWallet.open(stack);
    const { payment } = await payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    await checkout.page.reload();
    await checkout.until('review');
    expect(wallet.deeds).toEqual(['connect']);
    await checkout.close();
  });

  test('while the payment waits for confirmations: it still does, until it is funded', async () => {
    const slow = await openStage({ confirmations: 40 });
    const wallet = await ScriptedWallet.open(stack);
    const { payment } = await slow.market.payable();
    const checkout = await slow.open(payment, [wallet]);
    await checkout.connect(wallet);
    await checkout.press(/^Pay/);
    await checkout.until('confirming');
    await checkout.says('Waiting for 40 confirmations');
    await checkout.page.reload();
    await checkout.until('confirming');
    await mineBlocks(stack, 40);
    await checkout.until('funded');
    await checkout.close();
    await slow.close();
  });
});

async function allow(wallet: ScriptedWallet, token: 'USDC' | 'USDT', units: bigint): Promise<void> {
  const { client, mined } = wallet.wallet;
  const call = { address: stack.tokens[token], abi: usdcAbi, functionName: 'approve' } as const;
  await mined(await client.writeContract({ ...call, args: [stack.diamond, units] }));
}

async function allowance(wallet: ScriptedWallet, token: 'USDC' | 'USDT'): Promise<bigint> {
  const call = { address: stack.tokens[token], abi: usdcAbi, functionName: 'allowance' } as const;
  return await wallet.wallet.client.readContract({ ...call, args: [wallet.address, stack.diamond] });
}
