// What a checkout makes of a payment by card or transfer: which event a reading is, and the words of each state in each language.
import { describe, expect, test } from 'vitest';
import type { LanguageCode } from '../../widget/languages.ts';
import type { Rail, RailPayment } from '../../widget/payment.ts';
import { loadRailWords } from '../../widget/rails/languages.ts';
import { eventOf } from '../../widget/rails/provider.ts';
import { excessOf, railScreen, reasonOf, transferDetails } from '../../widget/rails/screens.ts';
import { empty } from '../../widget/snapshot.ts';
import { next, type StateName } from '../../widget/states.ts';

const transfer = { iban: 'DE02100100109307118603', bic: 'SANDDEFFXXX', holder: 'A bank', reference: 'DK-1' };

function paymentOf(rail: Partial<Rail> = {}, fields: Partial<RailPayment> = {}): RailPayment {
  return {
    external_id: 'order-1',
    payment_method: 'credit_card',
    network_id: null,
    price_units: '2550',
    price_decimals: 2,
    currency: 'EUR',
    status: 'awaiting_deposit',
    transaction_hash: null,
    reported_hash: null,
    relays: false,
    relay: null,
    signatures: { domain: null, permit: false, authorization: { standard: false, bytes: false }, permit2: null },
    expires_at: '2027-01-01T00:00:00Z',
    offer_hash: null,
    deal_hash: null,
    confirmations: 0,
    fiat_estimate: null,
    contract: null,
    rail: {
      provider: 'sandbox',
      attempt: 1,
      status: 'open',
      reason: null,
      page_url: 'https://provider.example/pay',
      transfer: null,
      returns: false,
      can_retry: true,
      received_units: '0',
      missing_units: '0',
      excess_units: '0',
      excess_refunded_units: '0',
      ...rail,
    },
    ...fields,
  };
}

describe('a reading', () => {
  const event = (rail: Partial<Rail>, fields: Partial<RailPayment> = {}) => eventOf(paymentOf(rail, fields), {})[0];

  test('is the event that the provider’s word is', () => {
    expect(event({ page_url: null }, { status: 'pending' })).toBe('prepare');
    expect(event({})).toBe('await_card');
    expect(event({ page_url: null, transfer })).toBe('await_transfer');
    expect(event({ status: 'held' }, { status: 'confirming' })).toBe('review');
    expect(event({ missing_units: '1' }, { status: 'confirming' })).toBe('underpay');
    expect(event({ status: 'authorized' }, { status: 'confirming' })).toBe('confirming');
    expect(event({ status: 'declined' }, { status: 'failed' })).toBe('failed');
  });

  test.each([
    [{ page_url: 'javascript:alert(1)' }],
    [{ page_url: ' https://x' }],
    [{ transfer: { iban: 1 } }],
    [{ received_units: '-1' }],
    [{ excess_units: 1.5 }],
    [{ attempt: '1' }],
    [{ provider: null }],
  ])('that is not to be believed is refused: %j', (rail) => {
    expect(event(rail as unknown as Partial<Rail>)).toBe('refuse');
  });

  test('is refused when it is not what the page expects', () => {
    const refused = (expected: Parameters<typeof eventOf>[1]) => eventOf(paymentOf(), expected)[1].mismatch;
    expect(refused({ currency: 'EUR', amountUnits: '2550' })).toBeUndefined();
    expect(refused({ amountUnits: 2551n })).toBe('amount');
    expect(refused({ currency: 'USD' })).toBe('currency');
    expect(refused({ chainId: 1 })).toBe('method');
  });

  test('leads from whatever was shown before', () => {
    expect(next('at_provider', 'await_card')).toBeNull();
    expect(next('failed', 'await_card')).toBe('card_due');
    expect(next('card_due', 'again')).toBeNull();
    expect(next('underpaid', 'funded')).toBe('funded');
  });
});

const states: StateName[] = [
  ...(['preparing', 'card_due', 'at_provider', 'transfer_due', 'underpaid', 'in_review', 'confirming'] as const),
  ...(['funded', 'partially_released', 'released', 'refunded', 'partially_refunded', 'cancel_requested'] as const),
  ...(['cancelled', 'expired', 'failed'] as const),
];

describe.each(['en', 'de', 'fr', 'es', 'tr', 'ar'] satisfies LanguageCode[])('in %s', (code) => {
  const words = () => loadRailWords({ code, tag: code });

  test('each state has a title and a text of its own, with every placeholder filled', async () => {
    const texts = await words();
    const titles = states.map((name) => {
      const { title, text } = railScreen({ ...empty, name }, paymentOf(), texts);
      expect(`${title}${text}`, name).not.toMatch(/[{}]|undefined|null|NaN/);
      expect(text, name).not.toBe('');
      return title;
    });
    expect(new Set(titles).size).toBe(states.length);
  });

  test('differences are said to the last unit', async () => {
    const texts = await words();
    const plain = (text = '') => text.replace(/[\u2068\u2069]/g, '');
    const short = paymentOf({ received_units: '2549', missing_units: '1', transfer });
    expect(plain(railScreen({ ...empty, name: 'underpaid' }, short, texts).title)).toMatch(/0[.,]01 EUR/);
    expect(transferDetails(short, texts).find(({ key }) => key === 'transfer.amount')?.copied).toMatch(/^0[.,]01$/);
    const over = paymentOf({ excess_units: '1', excess_refunded_units: '2' });
    expect(excessOf(over, texts).map(plain).join()).toMatch(/0[.,]01 EUR.*0[.,]02 EUR/);
  });
});

describe('a failed payment', () => {
  const failed = { ...empty, name: 'failed' as const };
  const screenOf = async (rail: Partial<Rail>, fields: Partial<RailPayment> = {}) =>
    railScreen(failed, paymentOf(rail, fields), await loadRailWords({ code: 'en', tag: 'en' }));

  test('offers another card or transfer while there may be one', async () => {
    expect((await screenOf({ status: 'declined' })).actions).toEqual([{ action: 'again', label: 'Try another card' }]);
    const bounced = await screenOf({ status: 'bounced' }, { payment_method: 'bank_transfer' });
    expect([bounced.title, bounced.actions[0]?.label]).toEqual(['The transfer came back', 'Try another transfer']);
    const over = await screenOf({ status: 'declined', can_retry: false });
    expect([over.actions, over.text.includes('The shop can offer you another way')]).toEqual([[], true]);
  });

  test('says what the provider said, as text', async () => {
    const texts = await loadRailWords({ code: 'en', tag: 'en' });
    expect(reasonOf(failed, paymentOf({ reason: '<b>{price}</b>' }), texts)).toBe('Sandbox says: <b>{price}</b>');
    expect(reasonOf(failed, paymentOf(), texts)).toBeNull();
  });
});
