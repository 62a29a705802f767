/**
 * Owns the list of everything that a checkout can show: each state of states.ts, each problem, what a state shows folded out, and
 * the panel after the payment. The playground offers them, and the visual and accessibility tests look at each; a test fails when
 * a state or a problem is missing here.
 */

import { qrPath } from '../qr.ts';
import type { ProblemCode, Snapshot, Step, WalletChoice } from '../snapshot.ts';
import { empty } from '../snapshot.ts';
import type { StateName } from '../states.ts';
import {
  BUYER,
  cardPayment,
  cartPayment,
  chainPayment,
  DEPOSIT,
  oneDeal,
  paidPayment,
  transferPayment,
  twoDeals,
} from './samples.ts';

/** What the wallet of the page does in a scene, see still-wallet.ts. */
export type WalletMood = 'agrees' | 'declines' | 'hesitates' | 'mines_never' | 'elsewhere' | 'offline' | 'absent';

/** Something that a checkout shows. */
export type Scene = {
  snapshot: Snapshot;
  /** What is folded out in it, as selectors. */
  unfold: readonly string[];
  /** What is then pressed in the panel after the payment, in order; what follows `=` is typed. */
  presses: readonly string[];
  wallet: WalletMood;
  /** What shows in the panel that all of it has happened; null: nothing more is waited for. */
  until: string | null;
};

const icon = (colour: string) =>
  `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="${colour}"/><circle cx="16" cy="16" r="7" fill="#fff"/></svg>`)}`;
const blue: WalletChoice = { id: 'test.blue', name: 'Blue Wallet', icon: icon('#334db3') };
const plain: WalletChoice = { id: 'test.plain', name: 'Browser wallet', icon: null };

type Parts = Partial<Omit<Scene, 'snapshot'>>;

function scene(name: StateName, snapshot: Partial<Snapshot> = {}, parts: Parts = {}): Scene {
  return {
    snapshot: { ...empty, name, ...snapshot },
    unfold: [],
    presses: [],
    wallet: 'agrees',
    until: null,
    ...parts,
  };
}

/** Before the deposit, with a wallet that was connected. */
const connected: Partial<Snapshot> = {
  payment: chainPayment,
  deal: oneDeal,
  wallets: [blue, plain],
  wallet: blue,
  account: BUYER,
  balanceUnits: 1_000_000_000n,
  fee: { needUnits: 2_100_000_000_000n, haveUnits: 45_000_000_000_000_000n },
  ways: [
    { route: 'gasless', feeUnits: 0n },
    { route: 'permit', feeUnits: 900_000_000_000n },
    { route: 'approve', feeUnits: 1_220_000_000_000n },
  ],
  route: 'gasless',
  steps: ['authorize'],
};
const before = (name: StateName, snapshot: Partial<Snapshot> = {}, parts: Parts = {}) =>
  scene(name, { ...connected, ...snapshot }, parts);

const approving = { route: 'approve', steps: ['approve', 'deposit'] } as const;
const signing = (step: Step, steps: readonly Step[], signed = 0) => before('signing', { step, steps, signed });

/** After the deposit. */
const after = (name: StateName & typeof paidPayment.status, parts: Parts = {}, presses: readonly string[] = []) =>
  scene(name, { payment: { ...paidPayment, status: name }, transactionHash: DEPOSIT }, { ...parts, presses });
const panel = (presses: readonly string[], until: string, wallet: WalletMood = 'agrees') =>
  after('funded', { wallet, until }, presses);
const CONNECT = '.wallet';

const card = (name: StateName, ...of: Parameters<typeof cardPayment>) => scene(name, { payment: cardPayment(...of) });
const transfer = (name: StateName, ...of: Parameters<typeof transferPayment>) =>
  scene(name, { payment: transferPayment(...of) });

const states = {
  loading: scene('loading'),
  unreachable: scene('unreachable'),
  denied: scene('denied'),
  refused: scene('refused', { payment: chainPayment, mismatch: 'amount' }),
  preparing: scene('preparing', { payment: { ...chainPayment, status: 'pending' } }),
  ready: scene('ready', { payment: chainPayment, deal: oneDeal, wallets: [blue, plain] }),
  connecting: before('connecting', { step: 'connect' }),
  checking: before('checking', { step: 'check' }),
  wrong_chain: before('wrong_chain'),
  switching: before('switching', { step: 'switch' }),
  short_of_token: before('short_of_token', { balanceUnits: 3_000_001n }),
  short_of_gas: before('short_of_gas', {
    fee: { needUnits: 1_220_000_000_000n, haveUnits: 90_000_000_000n },
  }),
  review: before('review'),
  signing: signing('authorize', ['authorize']),
  relaying: before('relaying', { step: 'authorize', signed: 1 }),
  mining: before('mining', { ...approving, step: 'approve' }),
  submitted: before('submitted', { transactionHash: DEPOSIT }),
  mined: before('mined', { transactionHash: DEPOSIT }),
  stopped: before('stopped', { ...approving, step: 'deposit', signed: 1, problem: 'rejected' }),
  confirming: before('confirming', {
    payment: { ...chainPayment, status: 'confirming', transaction_hash: DEPOSIT },
    transactionHash: DEPOSIT,
  }),
  funded: after('funded', { wallet: 'absent' }),
  partially_released: after('partially_released', { wallet: 'absent' }),
  disputed: after('disputed', { wallet: 'absent' }),
  released: after('released', { wallet: 'absent' }),
  refunded: after('refunded', { wallet: 'absent' }),
  partially_refunded: after('partially_refunded', { wallet: 'absent' }),
  cancel_requested: scene('cancel_requested', { payment: { ...chainPayment, status: 'cancel_requested' } }),
  cancelled: scene('cancelled', { payment: { ...chainPayment, status: 'cancelled' } }),
  expired: scene('expired', { payment: { ...chainPayment, status: 'expired' } }),
  failed: card('failed', 'failed', { status: 'declined', reason: 'Insufficient funds.', can_retry: true }),
  card_due: card('card_due', 'awaiting_deposit'),
  at_provider: card('at_provider', 'awaiting_deposit'),
  transfer_due: transfer('transfer_due', 'awaiting_deposit'),
  underpaid: transfer('underpaid', 'confirming', { received_units: '2000', missing_units: '550' }),
  in_review: card('in_review', 'confirming', { status: 'held' }),
} satisfies Record<StateName, Scene>;

const more = {
  'ready, no wallet': scene('ready', { payment: chainPayment, deal: oneDeal }),
  'ready, on another device': scene(
    'ready',
    {
      ...{ payment: chainPayment, deal: oneDeal, wallets: [blue] },
      handoff: {
        url: 'https://pay.example.com/checkout/4711#code',
        ...qrPath('https://pay.example.com/checkout/4711#code'),
      },
    },
    { unfold: ['details:has(.phone)'] },
  ),
  'ready, no link for another device': scene(
    'ready',
    { payment: chainPayment, deal: oneDeal, wallets: [blue], handoff: 'failed' },
    { unfold: ['details:has(.phone)'] },
  ),
  'ready, connection lost': scene('ready', { payment: chainPayment, deal: oneDeal, wallets: [blue], stale: true }),
  'review, the agreement': before('review', {}, { unfold: ['details[part=details]'] }),
  'review, two sellers': before(
    'review',
    { payment: cartPayment, deal: twoDeals, ways: [{ route: 'approve', feeUnits: 1_220_000_000_000n }], ...approving },
    { unfold: ['details[part=details]'] },
  ),
  'review, other ways': before('review', {}, { unfold: ['details:has(.ways)'] }),
  'review, second of two steps': before('review', { ...approving, signed: 1 }),
  'signing an approval': signing('approve', ['approve', 'deposit']),
  'signing a reset': signing('reset', ['reset', 'approve', 'deposit']),
  'signing a permit': signing('permit', ['permit', 'deposit']),
  'signing for Permit2': signing('permit2', ['permit2', 'deposit']),
  'signing the deposit': signing('deposit', ['approve', 'deposit'], 1),
  'signing a batch': signing('batch', ['batch']),
  'funded, the receipt': after('funded', { wallet: 'absent', unfold: ['.receipt'] }),
  'released, the receipt': after('released', { wallet: 'absent', unfold: ['.receipt'] }),
  'card: paid': card('funded', 'funded', { status: 'captured', received_units: '2550', missing_units: '0' }),
  'card: declined for good': card('failed', 'failed', { status: 'declined', reason: 'Stolen card.' }),
  'card: refunded in part': card('partially_refunded', 'partially_refunded', {
    received_units: '2550',
    missing_units: '0',
  }),
  'card: expired': card('expired', 'expired', { status: 'voided' }),
  'transfer: paid too much': transfer('funded', 'funded', {
    ...{ status: 'captured', received_units: '3001', missing_units: '0', excess_units: '451' },
  }),
  'transfer: bounced': transfer('failed', 'failed', { status: 'bounced', can_retry: true }),
  'panel: choose a wallet': panel([], '.wallet'),
  'panel: the deal': panel([CONNECT, '.happened > summary'], '.happened[open] li'),
  'panel: who can do what': panel([CONNECT, 'article > details:not(.happened) > summary'], 'article > details[open]'),
  'panel: another network': panel([CONNECT], '.warning', 'elsewhere'),
  'panel: no answer': panel([CONNECT], '.warning', 'offline'),
  'panel: what will happen': panel([CONNECT, '[data-verb=release]'], '[data-stage=review]'),
  'panel: an amount': panel([CONNECT, '[data-verb=settle]', 'input=99', '[data-do=take]'], '[role=alert]'),
  'panel: in the wallet': panel([CONNECT, '[data-verb=release]', '[data-do=go]'], '[data-stage=signing]', 'hesitates'),
  'panel: on its way': panel([CONNECT, '[data-verb=release]', '[data-do=go]'], '[data-stage=mining] a', 'mines_never'),
  'panel: done': panel([CONNECT, '[data-verb=release]', '[data-do=go]'], '[data-status=Settled] [data-stage=done]'),
  'panel: declined': panel([CONNECT, '[data-verb=release]', '[data-do=go]'], '[data-stage=stopped]', 'declines'),
  'panel: a signed split': panel(
    [CONNECT, '[data-verb=settle]', 'input=20', '[data-do=take]', '[data-do=go]'],
    '.deed:not([data-stage=signing]) textarea',
  ),
} satisfies Record<string, Scene>;

const problems: Record<ProblemCode, Partial<Snapshot>> = {
  rejected: { step: 'approve' },
  wallet_busy: { step: 'connect' },
  wallet_failed: { step: 'deposit' },
  wallet_moved: { step: 'check' },
  unknown_chain: { step: 'switch' },
  network_down: { step: 'check' },
  api_down: { step: 'check' },
  no_contract: { step: 'check' },
  allowance_short: { step: 'approve' },
  offer_closed: { step: 'check' },
  too_late: { step: 'deposit' },
  already_paid: { step: 'deposit' },
  deposits_paused: { step: 'deposit' },
  token_refused: { step: 'deposit' },
  reverted: { step: 'deposit' },
  replaced: { step: 'deposit' },
  dropped: { step: 'deposit' },
  signature_failed: { step: 'permit' },
  relay_refused: { step: 'authorize' },
  relay_failed: { step: 'authorize' },
  other_tab: { step: 'deposit' },
};

/** Everything that a checkout can show, by name: states by their own, problems as `stopped: code`. */
export const scenes: ReadonlyMap<string, Scene> = new Map<string, Scene>([
  ...Object.entries(states),
  ...Object.entries(more),
  ...Object.entries(problems).map(([problem, snapshot]): [string, Scene] => [
    `stopped: ${problem}`,
    before('stopped', { ...approving, ...snapshot, problem: problem as ProblemCode }),
  ]),
]);
