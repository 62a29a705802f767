/**
 * Owns what a provider's word means to a checkout: whether it can be read, whether the payment is the one that the page expects,
 * and which event of the table in states.ts it is.
 */
import type { Expected, MismatchField } from '../deposit/deal.ts';
import type { RailPayment } from '../payment.ts';
import type { Snapshot } from '../snapshot.ts';
import type { EventName, StateName } from '../states.ts';

/** The event that a reading of the payment is, with what it shows. */
export function eventOf(payment: RailPayment, expected: Expected): [EventName, Partial<Snapshot>] {
  const mismatch = isReadable(payment) ? differenceFrom(expected, payment) : 'answer';
  return mismatch ? ['refuse', { mismatch }] : [stepOf(payment), {}];
}

function stepOf({ status, rail }: RailPayment): EventName {
  if (status === 'confirming') {
    if (rail.status === 'held') return 'review';
    return rail.missing_units === '0' ? 'confirming' : 'underpay';
  }
  if (status !== 'pending' && status !== 'awaiting_deposit') return status;
  if (rail.transfer) return 'await_transfer';
  return rail.page_url ? 'await_card' : 'prepare';
}

/** What differs from what the page knows; a page that knows of a chain expects no provider. */
function differenceFrom(expected: Expected, payment: RailPayment): MismatchField | null {
  const { chainId, diamond, token, payee, currency, amountUnits } = expected;
  if ((chainId ?? diamond ?? token ?? payee) !== undefined) return 'method';
  if (amountUnits !== undefined && BigInt(amountUnits) !== BigInt(payment.price_units)) return 'amount';
  return currency !== undefined && currency !== payment.currency ? 'currency' : null;
}

/** The payment comes as JSON of which nothing is known yet. */
function isReadable(payment: object): boolean {
  const { payment_method: method, rail } = Object(payment);
  const { provider, attempt, page_url: pageUrl, transfer } = Object(rail);
  const isText = (value: unknown): value is string => typeof value === 'string';
  return (
    (method === 'credit_card' || method === 'bank_transfer') &&
    isText(provider) &&
    Number.isSafeInteger(attempt) &&
    // Whatever else a link may hold, it leads to a page.
    (pageUrl === null || (isText(pageUrl) && /^https?:/.test(pageUrl))) &&
    (transfer === null || ['iban', 'bic', 'holder', 'reference'].every((name) => isText(Object(transfer)[name]))) &&
    ['received', 'missing', 'excess', 'excess_refunded'].every((name) => /^\d+$/.test(String(rail[`${name}_units`])))
  );
}

// What ends a checkout, or keeps it from beginning, is said without the payment.
const withoutPayment: ReadonlySet<StateName> = new Set(['loading', 'unreachable', 'denied', 'refused']);

/** The payment, where it is shown. */
export function paymentIn(snapshot: Snapshot | null): RailPayment | null {
  if (!snapshot?.payment?.rail || withoutPayment.has(snapshot.name)) return null;
  return snapshot.payment;
}
