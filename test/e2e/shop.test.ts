// The demo shop with its test wallet, as a newcomer uses it.
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { usdcAbi } from '../../contracts/abi.ts';
import { hardhatAccount, ROLES } from '../../scripts/dev/accounts.ts';
import { elementVariables } from '../../scripts/element-reference.ts';
import { scenes } from '../../widget/playground/scenes.ts';
import { localOnly, type ShopSettings } from '../../widget/shop/settings.ts';
import { createShop } from '../../widget/shop/shop.ts';
import { openWallet } from '../support/wallet.ts';
import { CheckoutPage, listen, openStage, type Stage } from './checkout.ts';

const stack = inject('stack');
let stage: Stage;
let settings: ShopSettings;
let shop: Awaited<ReturnType<typeof listen>>;

beforeAll(async () => {
  stage = await openStage();
  const { market, apiUrl } = stage;
  // The node has unlocked Hardhat's accounts; the test tokens may be minted to anybody.
  const buyer = hardhatAccount(ROLES.secondBuyer).address;
  const funder = await openWallet(stack);
  for (const address of Object.values(stack.tokens)) {
    const mint = { address, abi: usdcAbi, functionName: 'mint', args: [buyer, 100_000_000n] } as const;
    await funder.mined(await funder.client.writeContract(mint));
  }
  settings = {
    apiUrl,
    clientId: market.credentials.client_id,
    clientSecret: market.credentials.client_secret,
    nodeId: market.nodeId,
    networkId: market.networkId,
    walletId: market.walletId,
    payee: market.payee,
    currencies: market.currencies,
    expected: { chainId: stack.chainId, diamond: stack.diamond, tokens: stack.tokens },
    sandboxUrl: null,
    testWallet: { rpcUrl: stack.rpcUrl, account: buyer },
  };
  shop = await listen(createShop(settings));
});
afterAll(async () => {
  await shop.close();
  await stage.close();
});

async function visit(url = shop.url): Promise<CheckoutPage> {
  const context = await stage.browser.newContext({ viewport: { width: 900, height: 570 } });
  const visitor = new CheckoutPage(context, await context.newPage());
  await visitor.page.goto(url);
  return visitor;
}

/** Buys a product up to the funded payment, and answers the visitor's page. */
async function buy(product: string, questions: ('Sign' | 'Sign and send')[]): Promise<CheckoutPage> {
  const visitor = await visit();
  await visitor.press(`Buy ${product}`);
  await visitor.until('ready');
  await visitor.press('Test wallet (play money)');
  await visitor.press('Connect');
  await visitor.until('review');
  await visitor.press(/^Pay/);
  for (const question of questions) await visitor.page.getByRole('button', { name: question, exact: true }).click();
  await visitor.until('funded');
  return visitor;
}

describe('the demo shop', () => {
  test('sells for USDC: paid with the test wallet, released at the desk, with its timeline', async () => {
    const visitor = await buy('Walnut desk lamp', ['Sign']);
    await visitor.windowPicture('shop-order');
    expect(await visitor.violations()).toEqual([]);
    expect(visitor.console).toEqual([]);
    await visitor.press('Release to the seller');
    await visitor.until('released');
    const timeline = visitor.page.locator('#timeline');
    await expect.poll(() => timeline.textContent(), { timeout: 20_000 }).toMatch(/released.*funded.*awaiting deposit/s);
    expect(await visitor.page.getByRole('button', { name: 'Cancel and refund' }).isDisabled()).toBe(true);
    await visitor.close();
  });

  test('sells for USDT: cancelled at the desk, refunded', async () => {
    const visitor = await buy('Two stoneware bowls', ['Sign and send', 'Sign and send']);
    await visitor.press('Cancel and refund');
    await visitor.until('refunded');
    await visitor.close();
  });

  test('lists its products, and says that it is in local mode', async () => {
    const visitor = await visit();
    await visitor.page.getByText('Local mode.').waitFor();
    await visitor.windowPicture('shop');
    expect(await visitor.violations()).toEqual([]);
    await visitor.close();
  });

  test('has no test wallet outside local mode, and refuses one off the local chain', async () => {
    const real = await listen(createShop({ ...settings, testWallet: null }));
    for (const path of ['/test-wallet.js', '/test-wallet/rpc']) {
      expect((await fetch(`${real.url}${path}`, { method: path.endsWith('rpc') ? 'POST' : 'GET' })).status).toBe(404);
    }
    const visitor = await visit(real.url);
    await visitor.press('Buy Walnut desk lamp');
    await visitor.says('No wallet found in this browser');
    await visitor.close();
    await real.close();
    expect(() => localOnly(1, {})).toThrow('A test wallet exists on chain 31337 only.');
  });

  test('unknown orders and products: 404', async () => {
    expect((await fetch(`${shop.url}/orders/${crypto.randomUUID()}`)).status).toBe(404);
    expect((await fetch(`${shop.url}/orders/none`)).status).toBe(404);
    const body = new URLSearchParams({ sku: 'none' });
    expect((await fetch(`${shop.url}/orders`, { method: 'POST', body })).status).toBe(404);
  });
});

describe('the playground', () => {
  const stage = "document.querySelector('.stage')";
  const shown = (scene: string) => `dealkeep-checkout[data-still=${JSON.stringify(scene)}]`;

  test('shows each state, and what is set on it, under the shop’s content policy', async () => {
    const visitor = await visit(`${shop.url}/playground`);
    const { page } = visitor;
    await page.locator(shown('ready')).waitFor({ timeout: 20_000 });
    expect(await page.locator('select[name=scene]').locator('option').allTextContents()).toHaveLength(scenes.size);
    for (const scene of ['review', 'stopped: network_down', 'transfer_due', 'panel: the deal']) {
      await page.locator('select[name=scene]').selectOption(scene);
      await page.locator(shown(scene)).waitFor({ timeout: 20_000 });
    }
    await page.locator('select[name=theme]').selectOption('dark');
    await page.locator('select[name=lang]').selectOption('de');
    await visitor.says('Bezahlt');
    await page.locator('select[name=dir]').selectOption('rtl');
    await page.getByLabel('Room for it').fill('320');
    expect(await page.evaluate(`${stage}.dir + ' ' + ${stage}.getBoundingClientRect().width`)).toBe('rtl 320');
    expect(await page.locator('dealkeep-checkout').getAttribute('theme')).toBe('dark');
    const html = await page.locator('pre[aria-label=HTML]').textContent();
    expect(html).toContain(
      `<dealkeep-checkout api="${settings.apiUrl}" payment-id="{PAYMENT_ID}" theme="dark" lang="de">`,
    );
    await page.reload();
    await page.locator(shown('panel: the deal')).waitFor({ timeout: 20_000 });
    await visitor.says('Bezahlt');
    await page.locator('select[name=form]').selectOption('button');
    await page.getByRole('button', { name: 'Bezahlen' }).click({ timeout: 20_000 });
    await page.getByRole('dialog').waitFor({ timeout: 20_000 });
    expect(await page.locator('pre[aria-label=HTML]').textContent()).toContain(
      "form: 'button', theme: 'dark', lang: 'de'",
    );
    expect(visitor.console.filter((line) => /policy|refused to|error/i.test(line))).toEqual([]);
    await visitor.close();
  });

  test('has a field for each variable of the element, and prints those that were changed', async () => {
    const visitor = await visit(`${shop.url}/playground`);
    const { page } = visitor;
    await page.locator(shown('ready')).waitFor({ timeout: 20_000 });
    const names = elementVariables().map(({ name }) => name);
    expect(names.length).toBeGreaterThan(8);
    for (const name of names) expect(await page.locator(`input[type=text][name=${name}]`).count(), name).toBe(1);
    await page.locator('input[name=--dealkeep-page]').fill('#123456');
    await page.locator('input[name=--dealkeep-radius]').fill('0;} body { display: none');
    const background =
      "getComputedStyle(document.querySelector('dealkeep-checkout').shadowRoot.querySelector('.card')).backgroundColor";
    expect(await page.evaluate(background)).toBe('rgb(18, 52, 86)');
    expect(await page.locator('pre[aria-label=CSS]').textContent()).toBe(
      'dealkeep-checkout,\ndealkeep-modal {\n  --dealkeep-page: #123456;\n  --dealkeep-radius: 0 body  display: none;\n}',
    );
    await page.getByRole('button', { name: 'As they were' }).click();
    expect(await page.evaluate(background)).toBe('rgb(255, 255, 255)');
    expect(await visitor.violations()).toEqual([]);
    await visitor.close();
  });
});
