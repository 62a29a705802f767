/**
 * Owns what each state of a checkout says, and which ways on it offers, as pure functions of the snapshot. The words themselves
 * are in `languages/*.json`.
 */
import { formatUnits } from 'viem';
import { type ChainInfo, chainInfo } from './chains.ts';
import type { RouteName } from './routes.ts';
import type { Snapshot, Step } from './snapshot.ts';
import type { RailState, StateName } from './states.ts';
import { shortHex, type TextKey, type Values, type Words } from './words.ts';

/** What a button does. */
export type Action =
  | 'leave'
  | 'again'
  | 'retry'
  | 'connect'
  | 'switch'
  | 'check'
  | 'pay'
  | 'proceed'
  | 'another'
  | 'restart';

type Button = { action: Action; label: string };

/** A state in words. */
export type Screen = {
  tone: 'calm' | 'busy' | 'ended' | 'good' | 'warn' | 'bad';
  title: string;
  text: string;
  /** The first is the way that most will take. */
  actions: readonly Button[];
};

/** Whose title and text have the state's own name, and nothing to press. */
type PlainState = Exclude<
  StateName,
  | RailState
  | 'unreachable'
  | 'denied'
  | 'refused'
  | 'ready'
  | 'connecting'
  | 'checking'
  | 'wrong_chain'
  | 'switching'
  | OwnWords
>;
type OwnWords = 'short_of_token' | 'short_of_gas' | 'review' | 'signing' | 'mining' | 'stopped';

const tones: Record<PlainState, Screen['tone']> = {
  loading: 'busy',
  preparing: 'busy',
  relaying: 'busy',
  mined: 'busy',
  submitted: 'busy',
  confirming: 'busy',
  funded: 'good',
  partially_released: 'good',
  disputed: 'warn',
  released: 'good',
  refunded: 'good',
  partially_refunded: 'good',
  cancel_requested: 'busy',
  cancelled: 'ended',
  expired: 'ended',
  failed: 'warn',
};

/** An amount of the payment's token with its symbol: `25.50 USDC`. */
export function amount(words: Words, { payment }: Snapshot, units?: bigint): string {
  if (!payment) return '';
  return words.price(units ?? BigInt(payment.price_units), payment.price_decimals, payment.currency);
}

/** The state in words. */
export function screen(snapshot: Snapshot, words: Words, { rpcUrl = null }: { rpcUrl?: string | null } = {}): Screen {
  const { payment, name, step, steps } = snapshot;
  const chain = chainInfo(payment?.network_id ?? 0, rpcUrl);
  const wallet = snapshot.wallet?.name || words.say('wallet.unnamed');
  const price = amount(words, snapshot);
  const common: Values = { chain: chain.name, wallet, price, token: payment?.currency ?? '', coin: chain.coin };
  const say = (key: TextKey, values: Values = {}) => words.capital(words.say(key, { ...common, ...values }));
  const button = (action: Action, key: TextKey): Button => ({ action, label: say(key) });
  const retry = button('retry', 'action.retry');
  const another = button('another', 'action.another');
  const again = button('check', 'action.check');
  const shown = (tone: Screen['tone'], title: string, text: string, actions: readonly Button[] = []): Screen => {
    return { tone, title, text, actions };
  };
  const index = (steps as readonly Snapshot['step'][]).indexOf(step);
  const counted = (title: string) =>
    steps.length > 1 && index >= 0 ? say('step', { number: index + 1, total: steps.length, title }) : title;
  switch (name) {
    case 'card_due':
    case 'at_provider':
    case 'transfer_due':
    case 'underpaid':
    case 'in_review':
      // Said by rails/, once that has come.
      return shown('busy', say('loading.title'), say('loading.text'));
    case 'unreachable':
    case 'denied':
      return shown('warn', say(`${name}.title`), say(`${name}.text`), [retry]);
    case 'refused': {
      const field = words.say(`mismatch.${snapshot.mismatch ?? 'answer'}`);
      return shown('bad', say('refused.title'), say('refused.text', { field }), [button('retry', 'action.look_again')]);
    }
    case 'ready':
      return snapshot.wallets.length > 0
        ? shown('calm', say('ready.title'), say('ready.text'))
        : shown('warn', say('no_wallet.title'), say('no_wallet.text'));
    case 'connecting':
    case 'checking':
      return shown('busy', say(`${name}.title`), say(`${name}.text`), [another]);
    case 'wrong_chain':
      return shown('calm', say('wrong_chain.title'), say('wrong_chain.text'), [
        button('switch', 'action.switch'),
        another,
      ]);
    case 'switching':
      return shown('busy', say('switching.title'), say('switching.text'), [again, another]);
    case 'short_of_token': {
      const units = snapshot.balanceUnits ?? 0n;
      const have = amount(words, snapshot, units);
      const missing = amount(words, snapshot, BigInt(payment?.price_units ?? 0) - units);
      return shown('warn', say('short_of_token.title'), say('short_of_token.text', { have, missing }), [
        again,
        another,
      ]);
    }
    case 'short_of_gas': {
      const fee = coin(words, snapshot.fee?.needUnits, chain);
      const have = coin(words, snapshot.fee?.haveUnits, chain);
      return shown('warn', say('short_of_gas.title'), say('short_of_gas.text', { fee, have }), [
        again,
        another,
        button('proceed', 'action.proceed'),
      ]);
    }
    case 'review':
      return shown('calm', say('review.title'), say(`review.${snapshot.route ?? 'allowance'}`), [
        button('pay', 'action.pay'),
      ]);
    case 'signing':
      return shown('busy', counted(say('signing.title')), say(`signing.${signedStep(step)}`), [
        button('check', 'action.start_over'),
      ]);
    case 'mining':
      return shown('busy', counted(say('mining.title')), say('mining.text'));
    case 'stopped':
      return stopped(snapshot, say);
    default:
      return shown(tones[name], say(`${name}.title`), say(`${name}.text`, { count: payment?.confirmations ?? 0 }));
  }

  function stopped({ problem }: Snapshot, speak: typeof say): Screen {
    const code = problem ?? 'wallet_failed';
    if (code === 'rejected') {
      return shown('calm', speak(`rejected.${refusedThing(step)}`), speak('problem.rejected.text'), wayOn());
    }
    const text = speak(`problem.${code}.text`, { chainId: `${chain.id}` });
    return shown('warn', speak(`problem.${code}.title`), text, repeatable.has(code) ? wayOn() : [again, another]);
  }

  /** To ask the wallet again for what it refused. */
  function wayOn(): readonly Button[] {
    if (step === 'connect' || step === 'switch') return [button(step, 'action.retry'), another];
    return [step === 'check' ? again : button('pay', 'action.retry'), another];
  }
}

/** Problems after which the same question may be asked again; the others are looked at first. */
const repeatable: ReadonlySet<Snapshot['problem']> = new Set([
  'rejected',
  'wallet_busy',
  'wallet_failed',
  'unknown_chain',
  'api_down',
  'other_tab',
]);

function signedStep(step: Snapshot['step']): Step {
  return step === null || step === 'connect' || step === 'switch' || step === 'check' ? 'deposit' : step;
}

function refusedThing(step: Snapshot['step']) {
  switch (step) {
    case 'connect':
    case 'switch':
      return step;
    case 'reset':
    case 'approve':
      return 'approve';
    case 'permit':
    case 'authorize':
    case 'permit2':
      return 'sign';
    default:
      return 'pay';
  }
}

/** A way to pay in words. */
export function wayInWords(
  route: RouteName,
  feeUnits: bigint,
  { payment }: Snapshot,
  words: Words,
): { title: string; text: string } {
  const fee = coin(words, feeUnits, chainInfo(payment?.network_id ?? 0));
  return {
    title: words.say(`way.${route}`),
    text: feeUnits === 0n ? words.say('way.no_fee') : words.say('way.fee', { fee }),
  };
}

/** What a deposit agrees to, as pairs of a term and its words. */
export function agreement(snapshot: Snapshot, words: Words): [string, string][] {
  const { deal, payment } = snapshot;
  if (!deal || !payment) return [];
  // What is not about one payee is the same in every leg: the API gives a payment one policy.
  const [{ terms }] = deal.legs;
  const feeUnits = deal.legs.reduce((sum, leg) => sum + leg.terms.fee, 0n);
  const sellers = deal.legs.map((leg): [string, string] => [
    words.say('agreement.seller'),
    deal.legs.length === 1 ? leg.terms.payee : `${leg.terms.payee}: ${amount(words, snapshot, leg.terms.amount)}`,
  ]);
  const time = words.moment(new Date(Number(terms.settlementDeadline) * 1_000));
  const pair = (term: TextKey, text: TextKey, values: Values = {}): [string, string] => [
    words.say(term),
    words.say(text, values),
  ];
  return [
    ...sellers,
    [words.say('agreement.token'), `${payment.currency} ${deal.token}`],
    [words.say('agreement.contract'), deal.diamond],
    pair('agreement.release', 'agreement.release.text', { operator: shortHex(terms.operator) }),
    pair('agreement.refund', 'agreement.refund.text', { time }),
    pair('agreement.default', `agreement.default.${terms.defaultOutcome === 1 ? 'release' : 'refund'}`, { time }),
    /^0x0{40}$/.test(terms.arbiter)
      ? pair('agreement.disputes', 'agreement.disputes.none')
      : pair('agreement.disputes', 'agreement.disputes.arbiter', { arbiter: shortHex(terms.arbiter) }),
    feeUnits > 0n
      ? pair('agreement.fee', 'agreement.fee.text', { fee: amount(words, snapshot, feeUnits) })
      : pair('agreement.fee', 'agreement.fee.none'),
  ];
}

/** An amount of the chain's coin, rounded to what a buyer can use: `0.00012 ETH`. */
function coin(words: Words, wei: bigint | undefined, chain: ChainInfo): string {
  const value = Number(formatUnits(wei ?? 0n, 18));
  return `${words.number(value, { maximumSignificantDigits: 2 })} ${chain.coin}`;
}
