/**
 * Owns what each state of a payment on a rail says, and which ways on it offers, as pure functions of the snapshot. A provider
 * takes and holds this money, so no word of wallets, chains or escrow is true here.
 */
import type { RailPayment } from '../payment.ts';
import type { Screen } from '../screens.ts';
import type { Snapshot } from '../snapshot.ts';
import type { Values, Words } from '../words.ts';
import type { RailKey } from './languages.ts';

/** A state in words; `link` leads to the provider's page, in a new window unless that page leads back. */
export type RailScreen = Screen & {
  link: { url: string; label: string; isMain: boolean; isNewWindow: boolean } | null;
};

/** An amount of the payment, with its currency. */
export function money(words: Words<RailKey>, payment: RailPayment, units: string): string {
  return words.price(BigInt(units), payment.price_decimals, payment.currency);
}

/** The provider as a buyer reads it. */
export function providerName({ rail }: RailPayment): string {
  return rail.provider.charAt(0).toUpperCase() + rail.provider.slice(1);
}

/** The state in words. */
export function railScreen({ name }: Snapshot, payment: RailPayment, words: Words<RailKey>): RailScreen {
  const { rail, payment_method: method } = payment;
  const common: Values = {
    provider: providerName(payment),
    price: money(words, payment, payment.price_units),
    received: money(words, payment, rail.received_units),
    missing: money(words, payment, rail.missing_units),
  };
  const say = (key: RailKey) => words.say(key, common);
  const shown = (tone: Screen['tone'], title: string, text: string): RailScreen => {
    return { tone, title, text, actions: [], link: null };
  };
  const link = (label: RailKey, isMain: boolean): RailScreen['link'] => {
    return rail.page_url === null
      ? null
      : { url: rail.page_url, label: say(label), isMain, isNewWindow: !rail.returns };
  };
  switch (name) {
    case 'card_due':
      return {
        ...shown('calm', say('card_due.title'), say(rail.returns ? 'card_due.returns' : 'card_due.window')),
        link: link('action.page', true),
      };
    case 'at_provider':
      return {
        ...shown('busy', say('at_provider.title'), say('at_provider.text')),
        link: link('action.page_again', false),
      };
    case 'transfer_due':
      return shown('calm', say('transfer_due.title'), say('transfer_due.text'));
    case 'underpaid':
      return shown('warn', say('underpaid.title'), say('underpaid.text'));
    case 'in_review':
    case 'confirming':
    case 'cancel_requested':
      return shown('busy', say(`${name}.title`), say(`${name}.text`));
    case 'funded':
    case 'partially_released':
    case 'released':
    case 'refunded':
    case 'partially_refunded':
      return shown('good', say(`${name}.title`), say(`${name}.text`));
    case 'cancelled':
    case 'expired':
      return shown('ended', say(`${name}.title`), say(`${name}.text`));
    case 'failed': {
      const how = rail.status === 'declined' || rail.status === 'bounced' ? rail.status : 'refused';
      const screen = shown('warn', say(`${how}.title`), say(`${how}.text`));
      if (!rail.can_retry) return { ...screen, text: `${screen.text} ${say('failed.over')}` };
      return { ...screen, actions: [{ action: 'again', label: say(`action.again.${method}`) }] };
    }
    default:
      return shown('busy', say('preparing.title'), say('preparing.text'));
  }
}

/** What the provider said about an attempt that came to nothing; null where it said nothing, or nothing came to nothing. */
export function reasonOf({ name }: Snapshot, payment: RailPayment, words: Words<RailKey>): string | null {
  const { reason } = payment.rail;
  if (name !== 'failed' || reason === null) return null;
  return words.say('label.reason', { provider: providerName(payment), reason });
}

/** What was too much, to the last digit, and what becomes of it. */
export function excessOf(payment: RailPayment, words: Words<RailKey>): string[] {
  const { excess_units: excess, excess_refunded_units: returned } = payment.rail;
  return [
    ...(excess === '0' ? [] : [words.say('excess.held', { excess: money(words, payment, excess) })]),
    ...(returned === '0' ? [] : [words.say('excess.returned', { excess: money(words, payment, returned) })]),
  ];
}

/** One detail of a transfer: what a buyer reads, and what goes into the bank's form. */
export type TransferDetail = { key: RailKey; shown: string; copied: string };

/** What a buyer's bank asks for; while a part is missing, that part. */
export function transferDetails(payment: RailPayment, words: Words<RailKey>): TransferDetail[] {
  const { transfer, missing_units: missing } = payment.rail;
  if (!transfer) return [];
  const units = missing === '0' ? payment.price_units : missing;
  const same = (key: RailKey, text: string): TransferDetail => ({ key, shown: text, copied: text });
  return [
    same('transfer.holder', transfer.holder),
    { key: 'transfer.iban', shown: transfer.iban.replace(/(.{4})(?=.)/g, '$1 '), copied: transfer.iban },
    same('transfer.bic', transfer.bic),
    {
      key: 'transfer.amount',
      shown: money(words, payment, units),
      copied: words.decimal(BigInt(units), payment.price_decimals),
    },
    same('transfer.reference', transfer.reference),
  ];
}
