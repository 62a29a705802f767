/**
 * Owns a split that one party has signed for the other: what a wallet signs (EIP-712), and the text in which the signature
 * travels, by the payment service, by mail or as a file. Whether a signature is good, only the contract says.
 */
import { type Address, getAddress, type Hex, isHex } from 'viem';
import { dealId, type Terms } from '../../contracts/terms.ts';
import { escrowDomain, settlementTypes } from '../../contracts/typed-data.ts';
import { termsOf } from '../deposit/deal.ts';
import type { Provider } from '../deposit/escrow.ts';
import { sign } from '../deposit/signatures.ts';
import type { DealNow, Place } from './calls.ts';
import { heldUnits } from './options.ts';

/** Who signs first. */
export type Party = 'payer' | 'payee';

/** A signed split; amounts in base units, the deadline in Unix seconds. */
export type Proposal = Place & {
  terms: Terms;
  /** What was settled before: when anything moves in between, the signature is worth nothing. */
  released: bigint;
  refunded: bigint;
  toPayee: bigint;
  toPayer: bigint;
  deadline: bigint;
  signedBy: Party;
  signature: Hex;
};

/** A text is no signed split, or `field` of it is wrong. */
export class BadProposal extends Error {
  override name = 'BadProposal';
  readonly field: string;
  constructor(field: string) {
    super(`not a proposal: ${field}`);
    this.field = field;
  }
}

/** Longer texts are something else. */
const MAX_TEXT = 20_000;

/** Has the split signed. @throws Problem */
export async function signSplit(
  provider: Provider,
  account: Address,
  deal: DealNow,
  { toPayee, deadline, signedBy }: Pick<Proposal, 'toPayee' | 'deadline' | 'signedBy'>,
): Promise<Proposal> {
  const { chainId, diamond, terms, released, refunded } = deal;
  const toPayer = heldUnits(deal) - toPayee;
  const message = { deal: deal.id, released, refunded, toPayee, toPayer, deadline };
  const signature = await sign(provider, account, escrowDomain(chainId, diamond), settlementTypes, message);
  return { chainId, diamond, terms, released, refunded, toPayee, toPayer, deadline, signedBy, signature };
}

/** The split as a text for the other party. */
export function writeProposal(proposal: Proposal): string {
  const { chainId, diamond, terms, signedBy, signature, ...numbers } = proposal;
  const text = (value: unknown) => (typeof value === 'bigint' ? value.toString() : value);
  const fields = (object: object) =>
    Object.fromEntries(Object.entries(object).map(([name, value]) => [name, text(value)]));
  const whole = {
    dealkeep: 'settlement',
    chainId,
    diamond,
    ...fields(numbers),
    signedBy,
    signature,
    terms: fields(terms),
  };
  return JSON.stringify(whole, null, 1);
}

/** The split in a text. @throws BadProposal, Mismatch: of the terms */
export function readProposal(text: string): Proposal {
  const json = objectOf(text);
  const whole = (name: string): bigint => {
    const value = json[name];
    if (typeof value !== 'string' || !/^\d{1,78}$/.test(value)) throw new BadProposal(name);
    return BigInt(value);
  };
  const { dealkeep, chainId, diamond, signedBy, signature, terms: termsJson } = json;
  if (dealkeep !== 'settlement' || typeof termsJson !== 'object' || termsJson === null) {
    throw new BadProposal('settlement');
  }
  if (typeof chainId !== 'number' || !Number.isSafeInteger(chainId)) throw new BadProposal('chainId');
  if (!isHex(diamond) || diamond.length !== 42) throw new BadProposal('diamond');
  if (signedBy !== 'payer' && signedBy !== 'payee') throw new BadProposal('signedBy');
  if (!isHex(signature, { strict: true }) || signature.length < 130) throw new BadProposal('signature');
  const proposal: Proposal = {
    ...{ chainId, diamond: getAddress(diamond), terms: termsOf({ ...termsJson }), signedBy, signature },
    ...{ released: whole('released'), refunded: whole('refunded'), deadline: whole('deadline') },
    ...{ toPayee: whole('toPayee'), toPayer: whole('toPayer') },
  };
  const { released, refunded, toPayee, toPayer, terms } = proposal;
  if (released + refunded + toPayee + toPayer !== terms.amount) throw new BadProposal('the amount');
  return proposal;
}

/** Whether the split is of this deal and still of what it holds; a signature over anything else is worth nothing. */
export function isCurrent(proposal: Proposal, deal: DealNow, now: bigint): boolean {
  const id = dealId(proposal.terms, proposal.chainId, proposal.diamond);
  const { released, refunded, deadline } = proposal;
  return id === deal.id && released === deal.released && refunded === deal.refunded && now <= deadline;
}

function objectOf(text: string): Record<string, unknown> {
  if (text.length > MAX_TEXT) throw new BadProposal('a proposal');
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null) return { ...json };
  } catch {
    // Not even JSON.
  }
  throw new BadProposal('a proposal');
}
