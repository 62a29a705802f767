// What the buyer does after the payment, in the same checkout and with the same wallet: read from the chain, told first, then sent.
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { hardhatAccount, ROLES } from '../../scripts/dev/accounts.ts';
import { type CheckoutPage, openStage, type Stage } from './checkout.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const stack = inject('stack');
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(async () => {
  await stage.close();
});

const arbiter = hardhatAccount(ROLES.arbiter).address;

/** A checkout whose payment is in escrow, with the panel open below it. */
async function paid(fields: Record<string, unknown> = {}) {
  const wallet = await ScriptedWallet.open(stack);
  const { payment } = await stage.market.payable(fields);
  const checkout = await stage.open(payment, [wallet]);
  await checkout.connect(wallet);
  await checkout.press(/^Pay/);
  await checkout.until('funded');
  const panel = checkout.page.locator('dealkeep-deal');
  await panel.locator('[data-deal]').waitFor({ timeout: 20_000 });
  return { wallet, payment, checkout, panel };
}

/** Reads what will happen, agrees, and answers what was said. */
async function carryOut(checkout: CheckoutPage, verb: string): Promise<string> {
  const deed = checkout.page.locator('dealkeep-deal .deed');
  const stageOf = () => deed.getAttribute('data-stage');
  await checkout.page.locator(`dealkeep-deal [data-verb=${verb}]`).click();
  await expect.poll(stageOf, { timeout: 20_000 }).toBe('review');
  const said = (await deed.textContent())?.replace(/\s+/g, ' ') ?? '';
  await checkout.press(/^(Do it|Sign) with/);
  await expect.poll(stageOf, { timeout: 20_000 }).toBe('done');
  return said;
}

describe('after the payment', () => {
  test('the buyer sees the deal with its proof, confirms receipt, and the seller is paid', async () => {
    const { wallet, payment, checkout, panel } = await paid();
    expect(await panel.locator('section').first().textContent()).toContain('25.50 USDC are held in escrow.');
    await panel.locator('details.happened summary').click();
    await expect.poll(() => panel.locator('[data-event=Deposited]').count()).toBe(1);
    expect(await checkout.violations()).toEqual([]);
    await checkout.picture('afterwards');
    const before = await stage.market.tokenBalance(payment.payment_address);
    wallet.deeds.length = 0;
    const said = await carryOut(checkout, 'release');
    expect(said).toMatch(/This cannot be undone\. To the seller ?25\.2\d+ USDC|This cannot be undone\./);
    expect(wallet.deeds).toHaveLength(1);
    await checkout.until('released');
    expect(await stage.market.tokenBalance(payment.payment_address)).toBeGreaterThan(before);
    await expect.poll(() => panel.locator('[data-event=Released]').count(), { timeout: 20_000 }).toBe(1);
    expect(await panel.locator('section').first().textContent()).toContain('All of it went to the seller.');
    await checkout.close();
  });

  test('opens a dispute where there is an arbiter, and takes it back; the payment says so', async () => {
    const { checkout, panel } = await paid({ deal: { arbiter } });
    await carryOut(checkout, 'openDispute');
    await checkout.until('disputed');
    await panel.locator('[data-do=close]').click();
    await carryOut(checkout, 'withdrawDispute');
    await checkout.until('funded');
    await checkout.close();
  });

  test('signs a split to be handed on to the seller, which moves nothing yet', async () => {
    const { payment, checkout, panel } = await paid();
    await panel.locator('[data-verb=settle]').click();
    await panel.locator('input[name=amount]').fill('20');
    await panel.locator('[data-do=take]').click();
    const deed = panel.locator('.deed');
    await expect.poll(() => deed.getAttribute('data-stage'), { timeout: 20_000 }).toBe('review');
    await checkout.press(/^Sign with/);
    await expect.poll(() => deed.getAttribute('data-stage'), { timeout: 20_000 }).toBe('done');
    expect(JSON.parse(await panel.locator('textarea').inputValue())).toBeTruthy();
    expect((await stage.market.get(`/payments/${payment.id}`)).json.status).toBe('funded');
    await checkout.close();
  });

  test('another account is told that the deal is not its own, and has no buttons of the buyer', async () => {
    const { payment, checkout } = await paid();
    await checkout.close();
    const stranger = await ScriptedWallet.open(stack);
    const other = await stage.open(payment, [stranger]);
    await other.until('funded');
    const panel = other.page.locator('dealkeep-deal');
    await panel.getByRole('button', { name: stranger.name }).click({ timeout: 20_000 });
    await panel.locator('[data-deal]').waitFor({ timeout: 20_000 });
    expect(await panel.locator('section').first().textContent()).toContain(
      'You are neither buyer nor seller of this deal.',
    );
    expect(await panel.locator('[data-verb=release]').count()).toBe(0);
    await other.close();
  });

  test('speaks the language of the checkout, from right to left too', async () => {
    const { checkout, panel } = await paid();
    await checkout.speak('ar');
    await expect.poll(() => panel.locator('section').getAttribute('dir'), { timeout: 20_000 }).toBe('rtl');
    expect(await panel.locator('section').first().textContent()).toContain('المال وأنت');
    await checkout.close();
  });
});
