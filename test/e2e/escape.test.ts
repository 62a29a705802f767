// The page without servers, opened as a saved file beside a bare chain: nothing of ours runs but the contract.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { encodeAbiParameters, encodeEventTopics, toFunctionSelector } from 'viem';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { type Terms, termsParameters } from '../../contracts/terms.ts';
import { type EscrowChain, startEscrowChain } from '../support/escrow-chain.ts';
import { startRpcProxy } from '../support/rpc-proxy.ts';
import { chainOf, offerOf, strangerAddress } from '../support/wallet.ts';
import { launchBrowser } from './browser.ts';
import { EscapePage } from './escape.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const ROOT = join(import.meta.dirname, '../..');
const HOUR = 3_600n;
let chain: EscrowChain & { stop(): Promise<void> };
let browser: Browser;
const endings: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const build = promisify(execFile)(process.execPath, ['scripts/build-widget.ts', '--if-stale'], { cwd: ROOT });
  [chain, browser] = await Promise.all([startEscrowChain(), launchBrowser(), build]);
});
afterEach(async () => {
  for (const end of endings.splice(0)) await end();
});
afterAll(async () => {
  await browser.close();
  await chain.stop();
});

/** A buyer and a seller with a paid deal of 25 USDC, 0.25 of them fee. */
async function paid(overrides: Partial<Terms> = {}) {
  const [buyer, seller] = await Promise.all([
    ScriptedWallet.open(chain, { name: 'Buyer Wallet' }),
    ScriptedWallet.open(chain, { name: 'Seller Wallet' }),
  ]);
  const now = (await chainOf(chain).getBlock()).timestamp;
  const deadlines = {
    depositDeadline: now + HOUR,
    settlementDeadline: now + 4n * HOUR,
    resolutionDeadline: now + 8n * HOUR,
  };
  const deal = await buyer.wallet.deposit(offerOf(chain, { payee: seller.address, ...deadlines, ...overrides }));
  return { buyer, seller, ...deal };
}

/** The page with what the receipt's link says, and the node's URL typed. */
async function open(wallets: ScriptedWallet[], fragment: Record<string, string> = {}, rpcUrl = chain.rpcUrl) {
  const place = { chain: `${chain.chainId}`, diamond: chain.diamond };
  const page = await EscapePage.open(browser, wallets, { ...place, ...fragment }, rpcUrl);
  endings.push(() => page.close());
  return page;
}

/** The page with the deals of a wallet's account found, and the wallet connected. */
async function openDeals(wallet: ScriptedWallet, rpcUrl?: string) {
  const page = await open([wallet], {}, rpcUrl);
  await page.press(`Take it from ${wallet.name}`);
  await expect.poll(() => page.page.getByLabel('Address of the buyer or the seller').inputValue()).toBe(wallet.address);
  await page.find();
  return page;
}

/** Reads what will happen, agrees, and waits for its end. */
async function carryOut(page: EscapePage): Promise<string> {
  const said = await page.until('review');
  await page.press(/^(Do it|Sign) with/);
  await page.until('done');
  return said;
}

async function passTo(seconds: bigint): Promise<void> {
  await chainOf(chain).setNextBlockTimestamp({ timestamp: seconds });
  await chainOf(chain).mine({ blocks: 1 });
}

const proxied = async () => {
  const proxy = await startRpcProxy(chain.rpcUrl);
  endings.push(() => proxy.stop());
  return proxy;
};

describe('the buyer, without servers', () => {
  test('finds the deal by the wallet’s address, is told what will happen, and releases; nobody but the node is asked', async () => {
    const { buyer, seller } = await paid();
    const before = await seller.wallet.balance();
    const page = await openDeals(buyer);
    await page.says('25.00 USDC are held in escrow. You are the buyer.');
    expect(await page.violations()).toEqual([]);
    await page.press('Confirm receipt and pay the seller');
    const said = await page.until('review');
    expect(said).toMatch(/goes to the seller\. This cannot be undone\. To the seller ?24\.75 USDC ?Fee ?0\.25 USDC/);
    expect(await page.violations()).toEqual([]);
    expect(buyer.deeds).not.toContain('act');
    await carryOut(page);
    await page.says('All of it went to the seller.');
    expect((await seller.wallet.balance()) - before).toBe(24_750_000n);
    expect(page.urls.filter((url) => !url.startsWith('file:') && !url.startsWith(chain.rpcUrl))).toEqual([]);
    expect(page.console).toEqual([]);
  });

  test('releases by the keyboard alone, and the focus goes along', async () => {
    const { buyer, seller } = await paid();
    const before = await seller.wallet.balance();
    const page = await openDeals(buyer);
    const focused = () =>
      page.page.evaluate<string>(
        "document.querySelector('dealkeep-escape').shadowRoot.activeElement?.textContent.trim() ?? ''",
      );
    expect(await focused()).toMatch(/^One deal of/);
    const press = async (name: string | RegExp) => {
      for (let tabs = 0; tabs < 20 && !new RegExp(name).test(await focused()); tabs += 1)
        await page.page.keyboard.press('Tab');
      await page.page.keyboard.press('Enter');
    };
    await press(/^Confirm receipt/);
    await page.until('review');
    expect(await focused()).toBe('Confirm receipt and pay the seller');
    await press(/^Do it with/);
    await page.until('done');
    await press(/^Close$/);
    expect(await focused()).toMatch(/^One deal of/);
    expect((await seller.wallet.balance()) - before).toBe(24_750_000n);
  });

  test('pays a part, to the unit; what is no amount is named', async () => {
    const { buyer, seller } = await paid();
    const before = await seller.wallet.balance();
    const page = await openDeals(buyer);
    await page.press('Pay the seller a part');
    const wrong = [
      ['', 'Write an amount like'],
      ['1e3', 'Write an amount like'],
      ['-1', 'Write an amount like'],
      ['0', 'That is nothing.'],
      ['0.0000001', 'USDC has 6 decimals; this has more.'],
      ['25.000001', 'That is more than 25.00 USDC.'],
      ['9'.repeat(400), 'Write an amount like'],
    ] as const;
    for (const [text, fault] of wrong) {
      await page.fill('How much goes to the seller', text);
      await page.press('Continue');
      await page.says(fault);
    }
    expect(await page.violations()).toEqual([]);
    await page.fill('How much goes to the seller', '10,000001');
    await page.press('Continue');
    expect(await carryOut(page)).toMatch(
      /To the seller ?9\.900001 USDC ?Fee ?0\.10 USDC ?Stays in escrow ?14\.999999 USDC/,
    );
    await page.says('14.999999 USDC are held in escrow.');
    expect((await seller.wallet.balance()) - before).toBe(9_900_001n);
  });

  test('opens a dispute, which leaves the shop out, and takes it back', async () => {
    const { buyer } = await paid();
    const page = await openDeals(buyer);
    await page.press('Open a dispute');
    await carryOut(page);
    await page.press('Close');
    await page.says('25.00 USDC are frozen: the buyer opened a dispute.');
    expect(await page.text()).not.toContain('Shop’s operator:');
    await page.press('Take the dispute back');
    await carryOut(page);
    await page.says('25.00 USDC are held in escrow.');
  });

  test('takes the money back after the deadline, when that was agreed, and not a second earlier', async () => {
    const { buyer, terms } = await paid();
    const before = await buyer.wallet.balance();
    await passTo(terms.settlementDeadline);
    const page = await openDeals(buyer);
    expect(await page.page.getByRole('button', { name: /^Take it back/ }).count()).toBe(0);
    await passTo(terms.settlementDeadline + 1n);
    await page.press('Read again');
    await page.press(/^Take it back/);
    expect(await carryOut(page)).toMatch(/To the buyer ?25\.00 USDC/);
    expect((await buyer.wallet.balance()) - before).toBe(25_000_000n);
  });

  test('finds the deal by its transaction alone, as the receipt’s link names it', async () => {
    const { buyer, receipt, id } = await paid();
    const page = await open([buyer], { tx: receipt.transactionHash });
    await page.find();
    await page.says('Deals of this transaction');
    await page.deal(id).waitFor();
    await page.fill('Transaction of the payment', `0x${'5'.repeat(64)}`);
    await page.find();
    await page.says('The node knows no such transaction');
  });
});

describe('the seller, without servers', () => {
  test('refunds everything', async () => {
    const { buyer, seller } = await paid();
    const before = await buyer.wallet.balance();
    const page = await openDeals(seller);
    await page.press('Refund everything to the buyer');
    expect(await carryOut(page)).toMatch(/To the buyer ?25\.00 USDC/);
    await page.says('All of it went back to the buyer.');
    expect((await buyer.wallet.balance()) - before).toBe(25_000_000n);
  });

  test('claims after the deadline, when that was agreed', async () => {
    const { seller, terms } = await paid({ defaultOutcome: 1 });
    const before = await seller.wallet.balance();
    await passTo(terms.settlementDeadline + 1n);
    const page = await openDeals(seller);
    await page.press(/^Send it to the seller/);
    await carryOut(page);
    expect((await seller.wallet.balance()) - before).toBe(24_750_000n);
  });

  test('gives back what was released: first the approval of exactly that much, an old one of USDT reset before', async () => {
    const { buyer, seller, terms } = await paid({ token: chain.tokens.USDT });
    await buyer.wallet.call('release', terms);
    const approve = { address: chain.tokens.USDT, abi: usdcAbi, functionName: 'approve' } as const;
    const { client } = seller.wallet;
    await seller.wallet.mined(await client.writeContract({ ...approve, args: [chain.diamond, 5n] }));
    const before = await buyer.wallet.balance(chain.tokens.USDT);
    const page = await openDeals(seller);
    await page.press('Give the buyer money back');
    await page.fill('How much do you give back', '7.5');
    await page.press('Continue');
    expect(await carryOut(page)).toMatch(/asks you 3 times: first to let the contract take exactly 7\.50/);
    expect(seller.deeds.filter((deed) => deed !== 'connect')).toEqual(['reset', 'approve', 'act']);
    expect((await buyer.wallet.balance(chain.tokens.USDT)) - before).toBe(7_500_000n);
    await page.says('It was split between seller and buyer.');
  });
});

describe('a contract whose code the page was not built with', () => {
  test('is said to be unknown; what lets it take money waits until its user has compared the address', async () => {
    const { buyer, seller, terms } = await paid();
    await buyer.wallet.call('release', terms);
    const address = chain.diamond;
    const code = await chainOf(chain).getCode({ address });
    const known = await openDeals(seller);
    expect(await known.page.locator('[data-unknown]').count()).toBe(0);
    await chainOf(chain).setCode({ address, bytecode: `${code ?? '0x'}00` });
    try {
      const page = await openDeals(seller);
      await page.says(`does not know the code of the contract at ${address}`);
      expect(await page.page.locator('[data-verb=returnPayment]').count()).toBe(0);
      expect(await page.violations()).toEqual([]);
      await page.page.getByLabel('This address stands on my receipt.').check();
      await page.press('Give the buyer money back');
      await page.page.getByLabel('This address stands on my receipt.').uncheck();
      await page.press('Leave it');
      expect(await page.page.locator('[data-verb=returnPayment]').count()).toBe(0);
    } finally {
      await chainOf(chain).setCode({ address, bytecode: code ?? '0x' });
    }
  });
});

describe('a split by both signatures', () => {
  test('is signed by one, handed on as a text, and carried out by the other', async () => {
    const { buyer, seller } = await paid();
    const before = await Promise.all([buyer.wallet.balance(), seller.wallet.balance()]);
    const text = await proposal(buyer, '15');
    const page = await openDeals(seller);
    await accept(page, text);
    expect(await carryOut(page)).toMatch(/To the seller ?14\.85 USDC ?Fee ?0\.15 USDC ?To the buyer ?10\.00 USDC/);
    const after = await Promise.all([buyer.wallet.balance(), seller.wallet.balance()]);
    expect([after[0] - before[0], after[1] - before[1]]).toEqual([10_000_000n, 14_850_000n]);
  });

  test('binds its numbers: changed, signed by oneself or overtaken it is refused, and said why', async () => {
    const { buyer, seller, terms } = await paid();
    const text = await proposal(seller, '20');
    const own = await openDeals(seller);
    await accept(own, text);
    expect(await own.until('stopped')).toContain(`This can be done only by: Buyer ${buyer.address}`);
    const page = await openDeals(buyer);
    const changed = text.replace('"toPayee": "20000000"', '"toPayee": "1000000"');
    await accept(page, changed);
    await page.says('This is no signed split: the amount is wrong.');
    await accept(page, changed.replace('"toPayer": "5000000"', '"toPayer": "24000000"'));
    expect(await page.until('stopped')).toContain(`The signature is not by ${seller.address}`);
    await page.press('Leave it');
    for (const bad of [
      '',
      'no JSON',
      '[]',
      '{"dealkeep":"settlement"}',
      'x'.repeat(30_000),
      text.replace('"ref": "', '"ref": "x'),
    ]) {
      await accept(page, bad);
      await page.says('This is no signed split');
    }
    await accept(page, text.replace(`"chainId": ${chain.chainId}`, '"chainId": 1'));
    await page.says('This split is of another contract or network');
    const { client } = buyer.wallet;
    const part = { address: chain.diamond, abi: escrowAbi, functionName: 'releasePart', args: [terms, 1n] } as const;
    await buyer.wallet.mined(await client.writeContract(part));
    await accept(page, text);
    expect(await page.until('stopped')).toContain('This proposal no longer holds');
  });

  async function proposal(wallet: ScriptedWallet, units: string): Promise<string> {
    const page = await openDeals(wallet);
    await page.press('Propose a split');
    await page.fill('How much of 25.00 USDC goes to the seller', units);
    await page.press('Continue');
    expect(await carryOut(page)).toContain('Nothing moves until the other side agrees too');
    expect(wallet.deeds).toContain('settle');
    expect(await page.violations()).toEqual([]);
    return await page.page.getByLabel('Give this text to the other side').inputValue();
  }

  async function accept(page: EscapePage, text: string): Promise<void> {
    const details = page.page.locator('details', { has: page.page.locator('#proposal') });
    await details.evaluate((element) => element.setAttribute('open', ''));
    await page.fill('The text that you were given', text);
    await page.press('Open it');
  }
});

test('what waits in the contract is paid out to its owner by anybody', async () => {
  const { buyer, terms, receipt } = await paid({ feeRecipient: strangerAddress() });
  await buyer.wallet.call('release', terms);
  const page = await open([buyer], { tx: receipt.transactionHash, account: terms.feeRecipient });
  await page.find();
  await page.press('Pay out 0.25 USDC');
  await page.press('Buyer Wallet');
  expect(await carryOut(page)).toContain(`It is paid to that address`);
  const { client } = buyer.wallet;
  const balance = { address: chain.tokens.USDC, abi: usdcAbi, functionName: 'balanceOf' } as const;
  expect(await client.readContract({ ...balance, args: [terms.feeRecipient] })).toBe(250_000n);
});

describe('a wallet', () => {
  test('with another account is told whose deal it is; the right one goes on by itself', async () => {
    const { buyer } = await paid();
    const stranger = await ScriptedWallet.open(chain, { name: 'Stranger Wallet' });
    const page = await open([stranger], { account: buyer.address });
    await page.find();
    await page.press('Confirm receipt and pay the seller');
    await page.press('Stranger Wallet');
    const said = await page.until('stopped');
    expect(said).toContain(
      `The connected wallet has ${stranger.address}. This can be done only by: Buyer ${buyer.address}`,
    );
    expect(await page.violations()).toEqual([]);
  });

  test('on another chain is asked to change, and what it declines is not done', async () => {
    const { buyer } = await paid();
    const page = await openDeals(buyer);
    await buyer.moveTo(1);
    buyer.chains = [1, chain.chainId];
    await page.press('Confirm receipt and pay the seller');
    await page.until('wrong_chain');
    await page.press(/^Change to/);
    await page.until('review');
    buyer.decline('act');
    await page.press(/^Do it with/);
    expect(await page.until('stopped')).toContain('You declined in Buyer Wallet. Nothing was done.');
    buyer.agree('act');
    await page.press('Try again');
    await carryOut(page);
  });

  test('when the deal moves between the words and the wallet, the contract’s reason is told and nothing is sent', async () => {
    const { buyer, seller, terms } = await paid();
    const page = await openDeals(buyer);
    await page.press('Confirm receipt and pay the seller');
    await page.until('review');
    await seller.wallet.call('cancelDeal', terms);
    await page.press(/^Do it with/);
    expect(await page.until('stopped')).toContain('The deal has moved meanwhile');
    expect(buyer.deeds).not.toContain('act');
  });

  test('whose node sees another deal than the typed node: nothing is signed', async () => {
    const { buyer } = await paid();
    const proxy = await proxied();
    const page = await openDeals(buyer, proxy.url);
    const selector = toFunctionSelector('getDeal(bytes32)');
    proxy.treat('eth_call', ({ params }) => {
      const isGetDeal = String(Object(params[0]).data).startsWith(selector);
      const lie = encodeAbiParameters([{ type: 'uint256' }, { type: 'uint256' }, { type: 'uint8' }], [5n, 0n, 1]);
      return isGetDeal ? { say: lie } : undefined;
    });
    await page.press('Confirm receipt and pay the seller');
    expect(await page.until('stopped')).toContain('say different things of this deal. Nothing was signed');
  });
});

describe('a node', () => {
  test('that limits ranges, and is busy now and then, is asked for less, and shows how far it is', async () => {
    const { buyer, id } = await paid();
    const proxy = await proxied();
    let busy = 0;
    proxy.treat('eth_getLogs', ({ params }) => {
      const { fromBlock, toBlock } = Object(params[0]);
      if (Number(toBlock) - Number(fromBlock) > 3) return { fail: { code: -32602, message: 'block range too large' } };
      busy += 1;
      return busy % 5 === 0 ? 'busy' : undefined;
    });
    const page = await openDeals(buyer, proxy.url);
    await page.deal(id).waitFor();
    const spans = proxy.calls
      .filter(({ method }) => method === 'eth_getLogs')
      .map(({ params }) => Number(Object(params[0]).toBlock) - Number(Object(params[0]).fromBlock));
    // Once what it takes is known, it is not asked for more.
    expect(spans.slice(-4).every((span) => span <= 3)).toBe(true);
  });

  test('that is slow can be stopped, and what it has not searched is said', async () => {
    const { buyer } = await paid();
    const proxy = await proxied();
    proxy.treat('eth_getLogs', ({ params }) => {
      const { fromBlock, toBlock } = Object(params[0]);
      if (Number(toBlock) - Number(fromBlock) > 1) return { fail: { code: -32005, message: 'limit exceeded' } };
      return Number(fromBlock) < 3 ? 'never' : undefined;
    });
    const page = await open([buyer], { account: buyer.address, from: '0' }, proxy.url);
    await page.press('Find the deals');
    await page.says(/Searched [\d,]+ of [\d,]+ blocks/);
    expect(await page.violations()).toEqual([]);
    await page.press('Stop');
    await page.says('You stopped the search at block');
  });

  test('that refuses even single blocks: its own words are shown', async () => {
    const proxy = await proxied();
    proxy.treat('eth_getLogs', { fail: { code: -32000, message: 'logs are for paying customers' } });
    const page = await open([], { account: strangerAddress() }, proxy.url);
    await page.find();
    await page.says('The node refuses: logs are for paying customers');
  });

  test('that invents a deal is not believed', async () => {
    const { buyer, terms, id } = await paid();
    const proxy = await proxied();
    const forged = { ...terms, payee: strangerAddress(), payer: buyer.address };
    proxy.treat('eth_getLogs', {
      say: [
        {
          address: chain.diamond,
          topics: encodeEventTopics({
            ...{ abi: escrowAbi, eventName: 'Deposited' },
            args: { id, payer: buyer.address, payee: forged.payee },
          }),
          data: encodeAbiParameters([{ type: 'tuple', components: termsParameters }], [forged]),
          transactionHash: `0x${'8'.repeat(64)}`,
          blockNumber: '0x1',
        },
        { address: 'nonsense' },
        null,
      ],
    });
    const page = await open([], { account: buyer.address }, proxy.url);
    await page.find();
    await page.says(`No deal of ${buyer.address}`);
  });

  test('that is none, is elsewhere or has another contract there: said which', async () => {
    const account = strangerAddress();
    const said = async (fragment: Record<string, string>, rpcUrl = chain.rpcUrl) => {
      const page = await open([], { account, ...fragment }, rpcUrl);
      await page.find();
      return await page.text();
    };
    expect(await said({})).toMatch(`No deal of ${account} in the blocks`);
    expect(await said({ chain: '1' })).toContain(`This node is of chain ${chain.chainId}, and the deal is on chain 1.`);
    expect(await said({ diamond: account })).toContain(
      `There is no contract at this address on chain ${chain.chainId}.`,
    );
    expect(await said({ diamond: chain.tokens.USDC })).toContain('The contract at this address is not this escrow.');
    expect(await said({}, 'http://127.0.0.1:1/')).toContain('There is no answer at this URL.');
    const proxy = await proxied();
    proxy.treat('eth_chainId', { say: 'a web page' });
    expect(await said({}, proxy.url)).toContain('What answers at this URL is no node of a network.');
  });

  test('every field that is wrong is named, and nothing is asked', async () => {
    const page = await open([], { diamond: '0x12', chain: 'one', account: 'me', tx: '0x5', from: 'x' }, 'ftp://node');
    const before = page.urls.length;
    await page.press('Find the deals');
    const text = await page.text();
    for (const fault of [
      'https:// or http://',
      'the network’s number',
      'Write an address',
      'Write a transaction’s hash',
      'Write a block’s number',
    ]) {
      expect(text).toContain(fault);
    }
    expect(await page.page.locator('[aria-invalid=true]').count()).toBe(6);
    expect(page.urls.length).toBe(before);
    expect(await page.violations()).toEqual([]);
  });
});

test('a link never chooses the node, and cannot put markup into the page', async () => {
  const evil = '"><img src=x onerror=alert(1)>';
  const page = await EscapePage.open(
    browser,
    [],
    { rpc: 'http://evil.example', rpc_url: 'http://evil.example', account: evil },
    '',
  );
  endings.push(() => page.close());
  expect(await page.page.getByLabel('RPC URL of a node').inputValue()).toBe('');
  expect(await page.page.getByLabel('Address of the buyer or the seller').inputValue()).toBe(evil);
  expect(await page.page.locator('img').count()).toBe(0);
});
