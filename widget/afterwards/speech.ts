// Owns how a deal and a deed are said: which text of the language file each state, option and refusal takes. No markup.
import { type Address, isAddressEqual, zeroAddress } from 'viem';
import type { DealNow, Refusal, Token } from './calls.ts';
import { boundsOf, type Deed, type Desk } from './desk.ts';
import type english from './languages/en.json';
import { heldUnits, isOver, type Option, optionsOf, type Role, rolesOf, undecidedFrom } from './options.ts';

/** The name of a text. */
export type AfterKey = keyof typeof english;

/** What speaks a language. */
export type Speaker<Key extends string = AfterKey> = {
  say(key: Key, values?: Readonly<Record<string, string | number>>): string;
  /** Base units as a decimal number. */
  decimal(units: bigint, decimals: number): string;
  /** The same with the currency. */
  price(units: bigint, decimals: number, currency: string): string;
  moment(time: Date): string;
};

/** An amount with its token. */
export function amountOf(
  words: Speaker,
  { symbol, decimals }: Pick<Token, 'symbol' | 'decimals'>,
  units: bigint,
): string {
  return words.price(units, decimals, symbol);
}

/** A point in time from Unix seconds. */
export function timeOf(words: Speaker, seconds: bigint): string {
  return words.moment(new Date(Number(seconds) * 1_000));
}

/** How the deal stands, in one sentence. */
export function standingOf(words: Speaker, deal: DealNow): string {
  const held = amountOf(words, deal.token, heldUnits(deal));
  switch (deal.status) {
    case 'Disputed':
      return words.say(`status.Disputed.${deal.disputedBy ?? 'payer'}`, { held });
    case 'Settled':
      if (deal.refunded === 0n) return words.say('status.Settled.released');
      return words.say(deal.refunded === deal.terms.amount ? 'status.Settled.refunded' : 'status.Settled.both');
    case 'Cancelled':
      return words.say('status.Cancelled');
    default:
      return words.say('status.Funded', { held });
  }
}

/** The deal's terms and amounts, as pairs of a term and its words. */
export function factsOf(words: Speaker, deal: DealNow): [string, string][] {
  const { terms, token, released, refunded, id } = deal;
  const facts: [string, string][] = [
    [words.say('deal.buyer'), terms.payer],
    [words.say('deal.seller'), terms.payee],
  ];
  if (released > 0n) facts.push([words.say('deal.released'), amountOf(words, token, released)]);
  if (refunded > 0n) facts.push([words.say('deal.refunded'), amountOf(words, token, refunded)]);
  if (terms.fee > 0n) facts.push([words.say('deal.fee'), amountOf(words, token, terms.fee)]);
  if (heldUnits(deal) > 0n) {
    const outcome = terms.defaultOutcome === 1 ? 'release' : 'refund';
    const arbiter = isAddressEqual(terms.arbiter, zeroAddress)
      ? words.say('deal.arbiter.none')
      : words.say('deal.arbiter.until', { arbiter: terms.arbiter, time: timeOf(words, terms.resolutionDeadline) });
    const time = timeOf(words, undecidedFrom(deal));
    facts.push([words.say('deal.default'), words.say(`deal.default.${outcome}`, { time })]);
    facts.push([words.say('deal.arbiter'), arbiter]);
  }
  facts.push([words.say('deal.id'), id]);
  return facts;
}

/** Who the account is in the deal. */
export function youOf(words: Speaker, { terms }: DealNow, account: Address): string {
  return words.say(`deal.you.${rolesOf(terms, account)[0] ?? 'anyone'}`);
}

/** When an option is open: always, until, from. */
export function whenOf(words: Speaker, option: Option, now: bigint): string {
  const { from, until } = option;
  if (until !== null)
    return words.say(isOver(option, now) ? 'when.over' : 'when.until', { time: timeOf(words, until) });
  return from === null ? words.say('when.always') : words.say('when.from', { time: timeOf(words, from) });
}

/** Everything that somebody may do with the deal, now or later, verb by verb with who and when. */
export function possibilities(words: Speaker, deal: DealNow, now: bigint): { name: string; who: string[] }[] {
  const byVerb = Map.groupBy(optionsOf(deal), ({ verb }) => verb);
  return [...byVerb].map(([verb, options]) => ({
    name: words.say(`${verb}.name`),
    who: options.map((option) => `${words.say(`role.${option.by}`)}: ${whenOf(words, option, now)}`),
  }));
}

/** The deed's name. */
export function nameOf(words: Speaker, { wish }: Deed): string {
  switch (wish.kind) {
    case 'verb':
      return words.say(`${wish.verb}.name`);
    case 'propose':
      return words.say('settle.name');
    case 'accept':
      return words.say('accept.name');
    case 'withdraw':
      return words.say('withdraw.name', { amount: amountOf(words, wish.token, wish.units) });
  }
}

/** What will happen, in one or two sentences. */
export function willOf(words: Speaker, { wish, deadline }: Deed): string {
  switch (wish.kind) {
    case 'verb':
      return words.say(`${wish.verb}.will`);
    case 'propose':
      return words.say('settle.will', { time: timeOf(words, deadline ?? 0n) });
    case 'accept':
      return words.say('accept.will');
    case 'withdraw':
      return words.say('withdraw.will', {
        amount: amountOf(words, wish.token, wish.units),
        account: wish.account,
      });
  }
}

/** What will move, as pairs of a receiver and an amount. */
export function movementsOf(words: Speaker, { wish, movement }: Deed): [string, string][] {
  if (wish.kind === 'withdraw' || !movement) return [];
  const { token } = wish.deal;
  const { toPayee, fee, toPayer, left } = movement;
  const rows = [
    ['will.toPayee', toPayee],
    ['will.fee', fee],
    ['will.toPayer', toPayer],
    ['will.left', left],
  ] as const;
  return rows.flatMap(([key, units]): [string, string][] =>
    units > 0n ? [[words.say(key), amountOf(words, token, units)]] : [],
  );
}

/** What the wallet will ask for. */
export function askingOf(words: Speaker, { wish, steps }: Deed, wallet: string): string {
  if (steps.includes('sign')) return words.say('will.signature', { wallet });
  if (steps.length === 1 || wish.kind !== 'verb') return words.say('will.step', { wallet });
  const amount = amountOf(words, wish.deal.token, wish.units ?? 0n);
  return words.say('will.steps', { wallet, count: steps.length, amount });
}

/** The question for an amount, and what is wrong with what was typed. */
export function amountWords(words: Speaker, { wish, fault }: Deed): { label: string; fault: string | null } | null {
  if (wish.kind !== 'verb' && wish.kind !== 'propose') return null;
  const verb = wish.kind === 'propose' ? 'settle' : wish.verb;
  if (!takesAmount(verb)) return null;
  const { token } = wish.deal;
  const most = amountOf(words, token, boundsOf(wish).most);
  const example = words.decimal(1_050_000n, 6);
  const values = { most, example, token: token.symbol, decimals: token.decimals };
  return { label: words.say(`amount.label.${verb}`, values), fault: fault && words.say(`amount.${fault}`, values) };
}

const withAmount = ['releasePart', 'refundPart', 'resolve', 'settle', 'returnPayment'] as const;

function takesAmount(verb: string): verb is (typeof withAmount)[number] {
  return withAmount.some((known) => known === verb);
}

/** Why it stopped, and what to do. */
export function stopOf(words: Speaker, desk: Desk): string {
  const { deed, account, chain, now } = desk;
  if (!deed?.stop) return '';
  if (deed.refusal) return refusalWords(words, deed, deed.refusal);
  const values = { wallet: desk.wallet?.name ?? '', chain: chain.name, chainId: chain.id, account: account ?? '' };
  switch (deed.stop) {
    case 'not_yours':
      return words.say('stop.not_yours', { ...values, who: whoMay(words, deed).join(', ') });
    case 'not_now': {
      const roles = deed.wish.kind === 'withdraw' ? [] : rolesOf(deed.wish.deal.terms, account);
      const option = optionsFor(deed).find(({ by }) => roles.includes(by));
      return words.say('stop.not_now', { ...values, when: option ? whenOf(words, option, now) : '' });
    }
    case 'rejected':
    case 'wallet_busy':
    case 'wallet_moved':
    case 'unknown_chain':
    case 'network_down':
    case 'reverted':
    case 'replaced':
    case 'dropped':
    case 'signature_failed':
    case 'deal_moved':
    case 'nodes_disagree':
    case 'balance_short':
    case 'proposal_over':
    case 'keeping_failed':
    case 'other_tab':
      return words.say(`stop.${deed.stop}`, values);
    default:
      // What only a deposit can meet.
      return words.say(deed.hash ? 'stop.reverted' : 'stop.wallet_failed', values);
  }
}

function optionsFor({ wish }: Deed): Option[] {
  if (wish.kind === 'withdraw') return [];
  const verb = wish.kind === 'verb' ? wish.verb : 'settle';
  return optionsOf(wish.deal).filter((option) => option.verb === verb);
}

function whoMay(words: Speaker, deed: Deed): string[] {
  if (deed.wish.kind === 'withdraw') return [];
  const { terms } = deed.wish.deal;
  const addresses: Record<Role, string> = { ...terms, anyone: '' };
  const roles = new Set(optionsFor(deed).map(({ by }) => by));
  // Who has signed a split already cannot agree to it as well.
  if (deed.wish.kind === 'accept') roles.delete(deed.wish.proposal.signedBy);
  return [...roles].map((role) => `${words.say(`role.${role}`)} ${addresses[role]}`);
}

/** The contract's own error in words. */
function refusalWords(words: Speaker, { wish }: Deed, { name, args }: Refusal): string {
  const seconds = (value: unknown) => (typeof value === 'bigint' ? timeOf(words, value) : '');
  switch (name) {
    case 'NotAllowed':
      return words.say('refusal.NotAllowed', { one: String(args[1]) });
    case 'AfterDeadline':
    case 'BeforeDeadline':
      return words.say(`refusal.${name}`, { time: seconds(args[1]) });
    case 'AmountOutOfRange': {
      const most = typeof args[1] === 'bigint' ? args[1] : 0n;
      return words.say('refusal.AmountOutOfRange', {
        most: amountOf(words, wish.kind === 'withdraw' ? wish.token : wish.deal.token, most),
      });
    }
    case 'SignatureInvalid':
      return words.say('refusal.SignatureInvalid', { signer: String(args[0]) });
    case 'WrongStatus':
    case 'WrongOutcome':
    case 'NoArbiter':
    case 'TransferFailed':
    case 'NothingToWithdraw':
      return words.say(`refusal.${name}`);
    default:
      return words.say('refusal.other', { name });
  }
}
