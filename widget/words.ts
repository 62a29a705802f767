/**
 * Owns every word of the checkout and which ways on a state offers. Translators start here; nothing else holds text that a
 * buyer reads, which is why it is one long file.
 */
import { formatUnits } from 'viem';
import { type ChainInfo, chainInfo } from './chains.ts';
import type { RouteName } from './routes.ts';
import type { Snapshot, Step } from './snapshot.ts';

/** What a button does. */
export type Action = 'retry' | 'connect' | 'switch' | 'check' | 'pay' | 'proceed' | 'another' | 'restart';

/** A state in words. */
export type Screen = {
  tone: 'calm' | 'busy' | 'ended' | 'good' | 'warn' | 'bad';
  title: string;
  text: string;
  /** The first is the way that most will take. */
  actions: readonly { action: Action; label: string }[];
};

const another = { action: 'another', label: 'Use another wallet' } as const;
const checkAgain = { action: 'check', label: 'Check again' } as const;

/** An amount of the payment's token with its symbol: `25.50 USDC`. */
export function amount({ payment }: Snapshot, units?: bigint): string {
  if (!payment) return '';
  return `${decimal(units ?? BigInt(payment.price_units), payment.price_decimals)} ${payment.currency}`;
}

/** The name of the wallet, or a word for it. */
export function walletName({ wallet }: Snapshot): string {
  return wallet?.name ?? 'your wallet';
}

/** `0x1234…abcd`. */
export function shortHex(hex: string): string {
  return `${hex.slice(0, 6)}…${hex.slice(-4)}`;
}

/** A point in time in the buyer's own language and zone. */
export function moment(time: Date): string {
  return time.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

/** The state in words. */
export function screen(snapshot: Snapshot, { rpcUrl = null }: { rpcUrl?: string | null } = {}): Screen {
  const { payment, name } = snapshot;
  const chain = chainInfo(payment?.network_id ?? 0, rpcUrl);
  const wallet = walletName(snapshot);
  const price = amount(snapshot);
  const token = payment?.currency ?? '';
  switch (name) {
    case 'loading':
      return busy('Opening the payment', 'One moment, please.');
    case 'unreachable':
      return {
        tone: 'warn',
        title: 'The payment service does not answer',
        text: 'Nothing was paid. Check your connection to the internet; this page also tries again by itself.',
        actions: [{ action: 'retry', label: 'Try again' }],
      };
    case 'denied':
      return {
        tone: 'warn',
        title: 'This payment cannot be opened any more',
        text: 'Its access has ended or was replaced. Go back to the shop and open the payment from there.',
        actions: [{ action: 'retry', label: 'Try again' }],
      };
    case 'refused':
      return {
        tone: 'bad',
        title: 'We stopped this payment for your safety',
        text: `Something is not what it should be: ${snapshot.mismatch ?? 'the data'}. Nothing was signed and nothing was paid. Please tell the shop.`,
        actions: [{ action: 'retry', label: 'Look again' }],
      };
    case 'preparing':
      return busy('The payment is being prepared', 'This takes a few seconds. You can stay on this page.');
    case 'ready':
      return snapshot.wallets.length > 0
        ? calm('Choose a wallet', `Pay ${price} from a wallet on ${chain.name}.`)
        : {
            tone: 'warn',
            title: 'No wallet found in this browser',
            text: 'Install a wallet extension, or open this page in the browser of your wallet app. A wallet that appears is shown here at once.',
            actions: [],
          };
    case 'connecting':
      return busy(
        `Confirm in ${wallet}`,
        'It asks whether this page may see your address. This is not a payment yet.',
        [another],
      );
    case 'checking':
      return busy('Looking at your wallet', `Reading balance and fees on ${chain.name}.`, [another]);
    case 'wrong_chain':
      return {
        tone: 'calm',
        title: `Change to ${chain.name}`,
        text: `This payment is on ${chain.name}; ${wallet} is on another network at the moment.`,
        actions: [{ action: 'switch', label: `Change to ${chain.name}` }, another],
      };
    case 'switching':
      return busy(`Confirm the change in ${wallet}`, `It asks whether to change to ${chain.name}.`, [
        checkAgain,
        another,
      ]);
    case 'short_of_token': {
      const have = snapshot.balanceUnits ?? 0n;
      const missing = BigInt(payment?.price_units ?? 0) - have;
      return {
        tone: 'warn',
        title: `Not enough ${token}`,
        text: `This wallet holds ${amount(snapshot, have)}; ${amount(snapshot, missing)} are missing. Add ${token} on ${chain.name} to it, or use another wallet.`,
        actions: [checkAgain, another],
      };
    }
    case 'short_of_gas':
      return {
        tone: 'warn',
        title: `Not enough ${chain.coin} for network fees`,
        text: `The network takes up to ${coin(snapshot.fee?.needUnits, chain)} in fees; this wallet holds ${coin(snapshot.fee?.haveUnits, chain)}. Add some ${chain.coin} on ${chain.name}, or use another wallet.`,
        actions: [checkAgain, another, { action: 'proceed', label: 'My wallet pays fees otherwise' }],
      };
    case 'review':
      return {
        tone: 'calm',
        title: 'Ready to pay',
        text: `${capital(wallet)} will ask you ${plan(snapshot)}`,
        actions: [{ action: 'pay', label: `Pay ${price}` }],
      };
    case 'signing':
      return busy(`${counted(snapshot)}Confirm in ${wallet}`, signing(snapshot, price), [
        { action: 'check', label: 'Nothing happens? Start over' },
      ]);
    case 'mining':
      return busy(
        `${counted(snapshot)}Waiting for ${chain.name}`,
        'Your approval is on its way. The payment itself comes next.',
      );
    case 'relaying':
      return busy('Handing in your signature', 'The shop sends the payment for you and pays the network fee.');
    case 'mined':
      return busy('Payment is on the network', 'The payment service looks at it now. You may leave this page.');
    case 'submitted':
      return busy(
        'Payment sent',
        `${chain.name} is working on it. You may leave this page; the payment goes on without it.`,
      );
    case 'confirming': {
      const blocks = payment?.confirmations === 1 ? 'one confirmation' : `${payment?.confirmations ?? 0} confirmations`;
      return busy('Payment found', `Waiting for ${blocks} by ${chain.name}. You may leave this page.`);
    }
    case 'funded':
      return good('Paid', `${price} are held safely until your order is accepted. You have nothing else to do.`);
    case 'partially_released':
      return good('Paid in part to the seller', 'The rest is held until your order is accepted.');
    case 'disputed':
      return {
        tone: 'warn',
        title: 'In dispute',
        text: 'The money stays where it is until the arbiter decides.',
        actions: [],
      };
    case 'released':
      return good('Completed', `The seller was paid. Thank you for your purchase.`);
    case 'refunded':
      return good('Refunded', `${price} went back to the wallet that paid.`);
    case 'partially_refunded':
      return good('Settled in parts', 'One part went to the seller, the other back to the wallet that paid.');
    case 'cancel_requested':
      return busy('The payment is being cancelled', 'If you have paid already, the money goes back to your wallet.');
    case 'cancelled':
      return ended(
        'This payment was cancelled',
        'Nothing was taken and nothing can be paid any more. The shop can offer you a new one.',
      );
    case 'expired':
      return ended('The time to pay is over', 'Nothing was taken. The shop can offer you a new payment.');
    case 'failed':
      return {
        tone: 'warn',
        title: 'The payment failed',
        text: 'Nothing was taken. The shop can offer you another way to pay.',
        actions: [],
      };
    case 'stopped':
      return stopped(snapshot, chain);
  }
}

function stopped(snapshot: Snapshot, chain: ChainInfo): Screen {
  const { problem, step } = snapshot;
  const wallet = walletName(snapshot);
  const again = (label = 'Try again'): Screen['actions'] => {
    if (step === 'connect') return [{ action: 'connect', label }, another];
    if (step === 'switch') return [{ action: 'switch', label }, another];
    if (step === 'check') return [checkAgain, another];
    return [{ action: 'pay', label }, another];
  };
  const warn = (title: string, text: string, actions: Screen['actions'] = again()): Screen => {
    return { tone: 'warn', title, text, actions };
  };
  const recheck: Screen['actions'] = [checkAgain, another];
  switch (problem) {
    case 'rejected':
      return {
        ...warn(rejectedTitle(step), `You declined in ${wallet}. Nothing was paid; go on whenever you like.`),
        tone: 'calm',
      };
    case 'wallet_busy':
      return warn(
        `${capital(wallet)} is still asking`,
        'It has an open question from before. Open it, answer there, then try again.',
      );
    case 'wallet_moved':
      return warn(
        'The wallet changed',
        'It has another account or network now than before. Nothing was paid.',
        recheck,
      );
    case 'unknown_chain':
      return warn(
        `${capital(wallet)} does not know ${chain.name}`,
        `Add the network with chain id ${chain.id} in the wallet’s settings, then try again.`,
      );
    case 'network_down':
      return warn(
        `${chain.name} does not answer`,
        `${capital(wallet)} cannot reach its network. Nothing was lost; check your connection and try again.`,
        recheck,
      );
    case 'api_down':
      return warn(
        'The payment service does not answer',
        'Before each signature the payment is read again, and that failed. Nothing was signed; check your connection and try again.',
      );
    case 'no_contract':
      return warn(
        'The contract is not there',
        `On the network that ${wallet} is connected to, there is no escrow contract at the address of this payment. Nothing was paid.`,
        recheck,
      );
    case 'allowance_short':
      return warn(
        'Less was approved than needed',
        `The payment takes exactly ${amount(snapshot)}. Leave the suggested amount as it is when the wallet asks again.`,
        recheck,
      );
    case 'offer_closed':
      return warn('The shop has closed this payment', 'It was cancelled a moment ago. Nothing was paid.', recheck);
    case 'too_late':
      return warn(
        'The time to pay has just ended',
        'The contract accepts no deposit for this payment any more. Nothing was paid.',
        recheck,
      );
    case 'deposits_paused':
      return warn(
        'New payments are paused',
        'The contract takes no new deposits in this token at the moment. Nothing was paid; try again later.',
        recheck,
      );
    case 'token_refused':
      return warn(
        'The token refused the transfer',
        'The transfer to the escrow contract was not allowed by the token. Nothing was paid.',
        recheck,
      );
    case 'reverted':
      return warn(
        'The network refused it',
        'The transaction failed. The amount is still in your wallet; only the network fee was used.',
        recheck,
      );
    case 'replaced':
      return warn(
        'The transaction was cancelled',
        `It was cancelled or replaced in ${wallet}. The amount is still there.`,
        recheck,
      );
    case 'dropped':
      return warn(
        'The transaction got lost',
        `${chain.name} does not know it any more. If ${wallet} still shows it as waiting, cancel it there; nothing is ever taken twice.`,
        recheck,
      );
    case 'signature_failed':
      return warn(
        'Another way to pay is needed',
        `${capital(wallet)} gave no signature that works here. Nothing was paid; the next way asks for something else.`,
        recheck,
      );
    case 'relay_refused':
      return warn(
        'The fee cannot be paid for you now',
        'The payment service does not send this payment for you at the moment. Nothing was paid; pay it from your own wallet.',
        recheck,
      );
    case 'relay_failed':
      return warn(
        'The payment could not be sent for you',
        'The network refused it when it arrived. Nothing was paid; check your balance and try again.',
        recheck,
      );
    case 'other_tab':
      return warn(
        'You are paying in another tab',
        'This payment is being signed in another tab or window. Go on there, or close it and try again here.',
      );
    default:
      return warn(
        `${capital(wallet)} could not do it`,
        'It answered with an error. Nothing was paid; open the wallet, see whether it is unlocked, and try again.',
      );
  }
}

function rejectedTitle(step: Snapshot['step']): string {
  switch (step) {
    case 'connect':
      return 'Not connected';
    case 'switch':
      return 'Network not changed';
    case 'reset':
    case 'approve':
      return 'Not approved';
    case 'permit':
    case 'authorize':
    case 'permit2':
      return 'Not signed';
    default:
      return 'Not paid';
  }
}

/** What will be signed, before the wallet opens. */
function plan(snapshot: Snapshot): string {
  const { steps, route } = snapshot;
  const price = amount(snapshot);
  if (route === 'gasless' || route === 'gasless_permit2') {
    return `for one signature: ${price} go into escrow. The network fee is paid for you.`;
  }
  const phrases: Record<Step, string> = {
    reset: 'to clear an old approval',
    approve: `to approve exactly ${price}`,
    permit: `to sign an approval of exactly ${price}`,
    authorize: `to sign a transfer of ${price} into this escrow`,
    permit2: `to sign a transfer of ${price} into this escrow`,
    deposit: 'to pay it into escrow',
    batch: `to approve exactly ${price} and pay it into escrow, both at once`,
  };
  if (steps.length === 1) return `once: ${steps[0] === 'batch' ? phrases.batch : `to pay ${price} into escrow`}.`;
  const listed = steps.map((step) => phrases[step]);
  return `${steps.length === 2 ? 'twice' : 'three times'}: ${listed.slice(0, -1).join(', ')}, then ${listed.at(-1)}.`;
}

/** A way to pay in words. */
export function wayInWords(
  route: RouteName,
  feeUnits: bigint,
  snapshot: Snapshot,
  { rpcUrl = null }: { rpcUrl?: string | null } = {},
): { title: string; text: string } {
  const titles: Record<RouteName, string> = {
    gasless: 'Sign once, no fee',
    gasless_permit2: 'Sign once with Permit2, no fee',
    allowance: 'Pay with the approval that is there',
    permit: 'Sign an approval, then pay',
    permit2: 'Sign with Permit2, then pay',
    batch: 'Approve and pay in one',
    authorization: 'Sign a transfer, then pay',
    approve: 'Approve, then pay',
    reset: 'Clear the old approval, approve, then pay',
  };
  const chain = chainInfo(snapshot.payment?.network_id ?? 0, rpcUrl);
  return {
    title: titles[route],
    text: feeUnits === 0n ? 'The network fee is paid for you' : `Up to ${coin(feeUnits, chain)} of fees`,
  };
}

function signing({ step }: Snapshot, price: string): string {
  switch (step) {
    case 'reset':
      return 'This sets an old approval to zero. The token wants it before a new one.';
    case 'approve':
      return `This lets the escrow contract take exactly ${price}, and no more. Nothing is paid yet.`;
    case 'permit':
      return `This signature lets the escrow contract take exactly ${price}, within the next hour. Nothing is paid yet.`;
    case 'authorize':
    case 'permit2':
      return `This signature moves ${price} into this payment’s escrow and nowhere else, within the next hour.`;
    case 'batch':
      return `This approves exactly ${price} and pays it into escrow, both or neither.`;
    default:
      return `This pays ${price} into escrow.`;
  }
}

function counted({ steps, step }: Snapshot): string {
  const index = (steps as readonly Snapshot['step'][]).indexOf(step);
  return steps.length > 1 && index >= 0 ? `Step ${index + 1} of ${steps.length}: ` : '';
}

/** Words around the states. */
export const labels = {
  checkout: 'Checkout',
  close: 'Close',
  toPay: 'To pay',
  amount: 'Amount',
  order: 'Order',
  payBefore: 'Pay before',
  stale: 'The connection to the payment service is lost. What was sent goes on; this page keeps trying.',
  transaction: 'Transaction',
  details: 'What you agree to',
  changeWallet: 'Change wallet',
  ways: 'Other ways to pay',
  phone: 'Pay on another device',
  phoneHow:
    'Scan this with the phone that has your wallet, or open the link in its browser. It works once, for ten minutes.',
  phoneFailed: 'The code cannot be made at the moment.',
  phoneLink: 'The link',
  qr: 'QR code that opens this payment',
  handoffOver: 'This link was used already, or its time is over',
  handoffAgain: 'A link works once. Go back to where you got it and open the payment again.',
  lost: 'Did the transaction fail or vanish in your wallet?',
  restart: 'Start again',
  back: 'Back to the shop',
  progress: 'Progress',
  stages: ['Wallet', 'Approve', 'Pay', 'Confirmation'],
  held: 'In escrow the money can only go to this seller, or back to you.',
} as const;

/** What a deposit agrees to, as pairs of a term and its words. */
export function agreement(snapshot: Snapshot): [string, string][] {
  const { deal, payment } = snapshot;
  if (!deal || !payment) return [];
  // What is not about one payee is the same in every leg: the API gives a payment one policy.
  const [{ terms }] = deal.legs;
  const feeUnits = deal.legs.reduce((sum, leg) => sum + leg.terms.fee, 0n);
  const sellers = deal.legs.map((leg): [string, string] => [
    'Seller',
    deal.legs.length === 1 ? leg.terms.payee : `${leg.terms.payee}: ${amount(snapshot, leg.terms.amount)}`,
  ]);
  const time = (seconds: bigint) => moment(new Date(Number(seconds) * 1_000));
  const fee = feeUnits > 0n ? `${amount(snapshot, feeUnits)}, taken from the seller’s share` : 'none';
  return [
    ...sellers,
    ['Held by the contract', deal.diamond],
    ['Paid to the seller by', `you, or the shop’s operator ${shortHex(terms.operator)}`],
    ['Paid back to you by', `the seller, or the operator until ${time(terms.settlementDeadline)}`],
    [
      'If nobody decides',
      `after ${time(terms.settlementDeadline)} it ${terms.defaultOutcome === 1 ? 'goes to the seller' : 'comes back to you'}`,
    ],
    ['Disputes', /^0x0{40}$/.test(terms.arbiter) ? 'no arbiter' : `decided by ${shortHex(terms.arbiter)}`],
    ['Fee', fee],
  ];
}

function decimal(units: bigint, decimals: number): string {
  const [whole = '0', fraction = ''] = formatUnits(units, decimals).split('.');
  // Prices look like prices; what is finer than cents stays as it is.
  return `${whole.replace(/\B(?=(\d{3})+$)/g, ',')}.${fraction.padEnd(2, '0')}`;
}

function coin(wei: bigint | undefined, chain: ChainInfo): string {
  const value = Number(formatUnits(wei ?? 0n, 18));
  return `${value.toLocaleString('en', { maximumSignificantDigits: 2 })} ${chain.coin}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const calm = (title: string, text: string): Screen => ({ tone: 'calm', title, text, actions: [] });
const ended = (title: string, text: string): Screen => ({ tone: 'ended', title, text, actions: [] });
const good = (title: string, text: string): Screen => ({ tone: 'good', title, text, actions: [] });
const busy = (title: string, text: string, actions: Screen['actions'] = []): Screen => {
  return { tone: 'busy', title, text, actions };
};
