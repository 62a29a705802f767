/**
 * Owns the states of a checkout and how one leads to the next, in one table. It knows neither wallet nor network: what
 * happened is an event, and an event that has no entry changes nothing, so a late answer can do no harm.
 */

/** What the API's status says goes before anything that the page believes; the events bear the status' own names. */
const told = {
  confirming: 'confirming',
  funded: 'funded',
  partially_released: 'partially_released',
  disputed: 'disputed',
  released: 'released',
  refunded: 'refunded',
  partially_refunded: 'partially_refunded',
  cancel_requested: 'cancel_requested',
  cancelled: 'cancelled',
  expired: 'expired',
  failed: 'failed',
  refuse: 'refused',
  deny: 'denied',
} as const;

/** On a rail: where the payment's provider has come to, in the API's words. */
const railed = {
  await_card: 'card_due',
  await_transfer: 'transfer_due',
  underpay: 'underpaid',
  review: 'in_review',
} as const;

/** The buyer may take another wallet, a wallet that moves is looked at again, and another tab may have paid. */
const connected = { ...told, back: 'ready', check: 'checking', resume: 'submitted' } as const;

/** state → event → next state. */
export const transitions = {
  /** Reading the payment for the first time. */
  loading: { ...told, ...railed, prepare: 'preparing', payable: 'ready', resume: 'submitted', lose: 'unreachable' },
  /** The API cannot be reached and nothing is known yet. */
  unreachable: { ...told, ...railed, retry: 'loading', prepare: 'preparing', payable: 'ready', resume: 'submitted' },
  /** The access token does not open the payment (any more). */
  denied: { retry: 'loading' },
  /** The data contradicts itself, the terms' hash or what the page expects: nothing will be signed. */
  refused: { retry: 'loading' },
  /** The API has not frozen the terms yet. */
  preparing: { ...told, ...railed, payable: 'ready' },
  /** A deposit is possible; a wallet is to be chosen. */
  ready: { ...told, connect: 'connecting', check: 'checking', resume: 'submitted' },
  /** The wallet asks whether this page may see its accounts. */
  connecting: { ...connected, stop: 'stopped' },
  /** Reading chain, balance, allowance and fee. */
  checking: {
    ...connected,
    strange: 'wrong_chain',
    short: 'short_of_token',
    dry: 'short_of_gas',
    pass: 'review',
    stop: 'stopped',
    submit: 'submitted',
  },
  /** The wallet is on another chain than the payment. */
  wrong_chain: { ...connected, switch: 'switching' },
  /** The wallet asks whether to change its chain. */
  switching: { ...connected, stop: 'stopped' },
  /** The wallet holds less of the token than the amount. */
  short_of_token: connected,
  /** The wallet holds less of the chain's coin than the fees will take. */
  short_of_gas: { ...connected, pass: 'review' },
  /** Everything is there; the buyer reads what will be signed. */
  review: { ...connected, sign: 'signing', stop: 'stopped' },
  /** The wallet asks for a signature or transaction of `step`; a signature may be followed by the next step at once. */
  signing: {
    ...told,
    back: 'ready',
    check: 'checking',
    sign: 'signing',
    send: 'mining',
    relay: 'relaying',
    submit: 'submitted',
    stop: 'stopped',
  },
  /** A signature is being handed to the payment service, which sends the deposit and pays its fee. */
  relaying: { ...told, check: 'checking', submit: 'submitted', stop: 'stopped' },
  /** A transaction that changes the allowance waits for its block. */
  mining: { ...told, back: 'ready', sign: 'signing', check: 'checking', stop: 'stopped' },
  /** The deposit was sent; its hash is stored. Only the API leads on to `confirming` and `funded`. */
  submitted: { ...told, mine: 'mined', stop: 'stopped', restart: 'ready' },
  /** The wallet's node has it in a block; the API has not heard of it yet. */
  mined: { ...told, restart: 'ready' },
  /** Something was refused or broke at `step`; nothing is under way. */
  stopped: { ...connected, connect: 'connecting', switch: 'switching', sign: 'signing' },
  /** The provider's page waits for the buyer's card. */
  card_due: { ...told, ...railed, prepare: 'preparing', leave: 'at_provider' },
  /** The buyer has gone to that page; what the provider says of it leads on. */
  at_provider: { ...told, prepare: 'preparing', review: 'in_review' },
  /** A bank transfer is awaited; its details are shown. */
  transfer_due: { ...told, ...railed, prepare: 'preparing' },
  /** Less than the amount has arrived; the rest is awaited. */
  underpaid: { ...told, ...railed },
  /** The provider looks at the payment before it goes through. */
  in_review: { ...told, ...railed },
  confirming: { ...told, ...railed, resume: 'submitted', payable: 'ready' },
  funded: told,
  partially_released: told,
  disputed: told,
  released: told,
  refunded: told,
  partially_refunded: told,
  cancel_requested: told,
  cancelled: told,
  expired: { ...told, payable: 'ready' },
  /** A card was declined, or a transfer bounced. */
  failed: { ...told, ...railed, again: 'preparing', prepare: 'preparing', payable: 'ready' },
} as const satisfies Record<string, Record<string, string>>;

/** A state of the checkout. */
export type StateName = keyof typeof transitions;

/** States of payments on rails alone. */
export type RailState = (typeof railed)[keyof typeof railed] | 'at_provider';

type EventsOf<Row> = Row extends unknown ? keyof Row : never;

/** Something that happened. */
export type EventName = EventsOf<(typeof transitions)[StateName]>;

/** The state that the event leads to, or null when it changes nothing. */
export function next(state: StateName, event: EventName): StateName | null {
  const row: Partial<Record<EventName, StateName>> = transitions[state];
  return row[event] ?? null;
}

/** States in which the wallet is at work: what it does by itself meanwhile is looked at afterwards. */
export const inWallet: ReadonlySet<StateName> = new Set(['connecting', 'switching', 'signing', 'mining', 'relaying']);

/** States after which only a reorganisation of the chain brings another. */
export const settled: ReadonlySet<StateName> = new Set(['released', 'refunded', 'partially_refunded', 'cancelled']);
