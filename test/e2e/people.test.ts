// The checkout for everybody: in the language of page or browser, by keyboard, on a narrow screen, with what is missing and until
// when said, and a receipt at the end.
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { usdcAbi } from '../../contracts/abi.ts';
import { CheckoutPage, listen, openStage, type Stage } from './checkout.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const stack = inject('stack');
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
});

const payable = async (fields: Record<string, unknown> = {}) => (await stage.market.payable(fields)).payment;
const languagesAsked = ({ urls }: CheckoutPage) =>
  [...new Set(urls.flatMap((url) => /language-(\w+)\.js/.exec(url)?.[1] ?? []))].sort();

/** The checkout in a browser that prefers `locale`, on a page that begins with `html`. */
async function visit(html: string, locale: string, script = 'type="module" src="{API}/widget/v1/dealkeep.js"') {
  const payment = await payable();
  const app = new Hono();
  app.get('/', (c) =>
    c.html(`<!doctype html>${html}<meta charset="utf-8"><title>A shop</title><link rel="icon" href="data:,">
      <main><h1>A shop</h1><script ${script.replace('{API}', stage.apiUrl)}></script>
      <dealkeep-checkout id="checkout" api="${stage.apiUrl}" payment-id="${payment.id}"></dealkeep-checkout>
      <script>document.getElementById('checkout').accessToken = '${payment.access_token}';</script></main>`),
  );
  const host = await listen(app);
  const context = await stage.browser.newContext({ viewport: { width: 440, height: 900 }, locale });
  const checkout = new CheckoutPage(context, await context.newPage());
  await checkout.page.goto(host.url);
  const close = async () => {
    await checkout.close();
    await host.close();
  };
  return { checkout, close };
}

describe('the language', () => {
  test('is what the attribute says, alone in its file, right to left where it is; and changes at once', async () => {
    const checkout = await stage.open(await payable(), [], { lang: 'ar' });
    await checkout.says('لم يُعثر على محفظة');
    expect(languagesAsked(checkout)).toEqual(['ar']);
    expect(await checkout.card.getAttribute('dir')).toBe('rtl');
    expect(await checkout.violations()).toEqual([]);
    await checkout.speak('de-CH');
    await checkout.says('Keine Wallet in diesem Browser gefunden');
    expect(await checkout.card.getAttribute('dir')).toBe('ltr');
    expect(languagesAsked(checkout)).toEqual(['ar', 'de']);
    await checkout.close();
  });

  test('without one is the page’s, and without that the browser’s', async () => {
    const expected = [
      ['<html lang="fr-CA">', 'tr-TR', 'Aucun portefeuille', 'fr'],
      ['<html>', 'tr-TR', 'cüzdan bulunamadı', 'tr'],
      ['<html lang="ja">', 'ja-JP', 'No wallet found', 'en'],
    ] as const;
    for (const [html, locale, words, code] of expected) {
      const { checkout, close } = await visit(html, locale);
      await checkout.says(words);
      expect(languagesAsked(checkout)).toEqual([code]);
      await close();
    }
  });

  test('of the one script comes from beside it, and is English where it does not', async () => {
    const { checkout, close } = await visit('<html lang="es">', 'en', 'src="{API}/widget/v1/dealkeep.script.js"');
    await checkout.says('No se ha encontrado ninguna billetera');
    expect(languagesAsked(checkout)).toEqual(['es']);
    await checkout.page.route('**/language-es.js', (route) => route.abort());
    await checkout.page.reload();
    await checkout.says('No wallet found');
    await close();
  });

  test.each(['en', 'de', 'fr', 'es', 'tr', 'ar'])(
    '%s fits a window of 320 pixels, which is one of 1280 at 400 %',
    async (lang) => {
      const wallet = await ScriptedWallet.open(stack, { tokenUnits: 3_000_000n });
      const checkout = await stage.open(await payable(), [wallet], { lang });
      await checkout.until('ready');
      await checkout.press(wallet.name);
      await checkout.until('short_of_token');
      await checkout.page.setViewportSize({ width: 320, height: 800 });
      expect(await checkout.overflow()).toBeLessThanOrEqual(0);
      expect(await checkout.text()).not.toMatch(/\{\w+\}|undefined|NaN/);
      await checkout.close();
    },
  );
});

describe('the time to pay', () => {
  test('is counted down within the last day, and said aloud when five minutes are left', async () => {
    const checkout = await stage.open(await payable({ expires_at: new Date(Date.now() + 7_200_000).toISOString() }));
    await checkout.until('ready');
    const timer = checkout.page.getByRole('timer');
    const text = async () => (await timer.textContent()) ?? '';
    expect(await text()).toMatch(/^(2:00:00|1:5\d:\d\d)$/);
    const before = await text();
    await expect.poll(text, { timeout: 20_000 }).not.toBe(before);
    const notices = checkout.page.locator('dealkeep-checkout p[role=status].hidden');
    expect(await notices.textContent()).toBe('');
    await checkout.page.evaluate('{ const now = Date.now; Date.now = () => now() + 7_200_000 - 290_000; }');
    await expect.poll(() => notices.textContent(), { timeout: 20_000 }).toBe('5 minutes are left to pay.');
    await checkout.close();
  });

  test('is a date where more than a day is left, and gone once paid', async () => {
    const wallet = await ScriptedWallet.open(stack);
    wallet.way = null;
    const expiresAt = new Date(Date.now() + 7 * 86_400_000).toISOString();
    const checkout = await stage.open(await payable({ expires_at: expiresAt }), [wallet]);
    await checkout.connect(wallet);
    await checkout.says('Pay before');
    expect(await checkout.page.getByRole('timer').count()).toBe(0);
    await checkout.press(/^Pay/);
    await checkout.until('funded');
    expect(await checkout.text()).not.toContain('Pay before');
    await checkout.close();
  });
});

test('what is missing is said to the unit, with the address to send it to; then it can be paid', async () => {
  const wallet = await ScriptedWallet.open(stack, { tokenUnits: 3_000_001n });
  const payment = await payable();
  const checkout = await stage.open(payment, [wallet]);
  await checkout.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await checkout.until('ready');
  await checkout.press(wallet.name);
  await checkout.until('short_of_token');
  await checkout.says('To pay25.50 USDC');
  await checkout.says('In this wallet3.000001 USDC');
  await checkout.says('Missing22.499999 USDC');
  await checkout.press('Copy address');
  await checkout.says('The address was copied');
  const copied = await checkout.page.evaluate<string>('navigator.clipboard.readText()');
  const { client, address, mined } = wallet.wallet;
  expect(copied.toLowerCase()).toBe(address.toLowerCase());
  const token = { address: stack.tokens.USDC, abi: usdcAbi } as const;
  await mined(await client.writeContract({ ...token, functionName: 'mint', args: [address, 22_499_999n] }));
  await checkout.press('Check again');
  await checkout.until('review');
  await checkout.says('25.50 USDC');
  await checkout.close();
});

test('a receipt says what proves the payment, and is printed alone', async () => {
  const wallet = await ScriptedWallet.open(stack);
  wallet.way = null;
  const payment = await payable();
  const checkout = await stage.open(payment, [wallet]);
  await checkout.connect(wallet);
  expect(await checkout.page.getByText('Receipt').count()).toBe(0);
  await checkout.press(/^Pay/);
  await checkout.until('funded');
  await checkout.page.getByText('Receipt', { exact: true }).click();
  const { json } = await stage.market.get(`/widget/payments/${payment.id}`, payment.access_token);
  for (const proof of [json.transaction_hash, json.deal_hash, json.diamond_address, json.payment_address]) {
    await checkout.says(proof);
  }
  expect(await checkout.violations()).toEqual([]);
  await checkout.page.evaluate(`document.body.append = (frame) => {
    document.body.appendChild(frame);
    frame.contentWindow.print = () => {
      window.printed = frame.contentDocument.body.innerText;
      frame.contentWindow.dispatchEvent(new Event('afterprint'));
    };
  }`);
  await checkout.press('Print or save as PDF');
  const printed = async () => (await checkout.page.evaluate<string | undefined>('window.printed')) ?? '';
  await expect.poll(printed, { timeout: 20_000 }).toContain(json.deal_hash);
  expect(await printed()).toContain(payment.external_id);
  expect(await printed()).not.toMatch(/A shop|Print or save/);
  expect(await checkout.page.locator('iframe').count()).toBe(0);
  await checkout.close();
});
