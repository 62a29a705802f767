/**
 * Owns splits that one party has signed and the other is to see: kept when the contract would take the signature, shown while it
 * holds. It moves nothing; who agrees settles by the own wallet, or both signatures are relayed (disputes.ts).
 */
import type { Address } from 'viem';
import { callData } from '../chain/calls.ts';
import { type Chain, isRevert, reachable, revertData } from '../chain/chain.ts';
import { explainRevert } from '../chain/refusals.ts';
import { termsToJson } from '../chain/terms.ts';
import { systemClock } from '../clock.ts';
import { columns, type Sql, transact } from '../database/db.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import { writeLog } from '../log.ts';
import type { DealRow, NetworkRow, SplitProposalRow } from '../schema.ts';
import { legStatus } from '../status.ts';
import { heldUnits, type LegChoice, lockPayment } from './actions.ts';
import { termsOf } from './deals.ts';
import { loadPayment, type PaymentKey } from './payments.ts';

/** A signed split; amounts in base units, the deadline in Unix seconds. */
export type SplitProposal = LegChoice &
  Pick<SplitProposalRow, 'signedBy' | 'releasedUnits' | 'refundedUnits' | 'toPayeeUnits' | 'deadline' | 'signature'>;

// Each is an event to the integration's receivers.
const MAX_PER_PARTY = 20;
const MAX_VALID_SECONDS = 90n * 86_400n;

/**
 * Keeps a split in place of the party's earlier one; the same again answers the same.
 * @throws illegal_transition: nothing is held, or the chain has moved on · invalid_request, naming the signature where the contract
 * does not take it · rate_limited · not_found: no such leg · chain_reverted · upstream_unavailable
 */
export async function proposeSplit(
  sql: Sql,
  chain: Chain,
  key: PaymentKey,
  proposal: SplitProposal,
): Promise<SplitProposalRow> {
  const { deals, network } = await loadPayment(sql, key);
  const deal = legOf(deals, proposal);
  if (!network || !deal.payer)
    throw new CoreError('illegal_transition', 'Only what the escrow on chain holds is split.');
  requireHeld(deal);
  checkNumbers(deal, proposal);
  await tryOnChain(chain, network, deal, deal.payer, proposal);
  return await transact(sql, async (tx) => {
    const locked = (await lockPayment(tx, key)).deals.find(({ id }) => id === deal.id);
    if (!locked) throw new Error('The leg has gone.');
    requireHeld(locked);
    const { leg: _leg, ...signed } = proposal;
    const [before] = await tx<SplitProposalRow[]>`
      select * from split_proposal
      where node_id = ${key.nodeId} and leg_id = ${deal.id} and signed_by = ${signed.signedBy}`;
    if (before?.signature === signed.signature) return before;
    if ((before?.made ?? 0) >= MAX_PER_PARTY) {
      throw new CoreError('rate_limited', `${MAX_PER_PARTY} splits were proposed; talk to the other side.`);
    }
    const toPayerUnits = heldUnits(locked) - signed.toPayeeUnits;
    const made = (before?.made ?? 0) + 1;
    const row = { ...key, legId: deal.id, ...signed, toPayerUnits, made, createdAt: systemClock.now() };
    const [kept] = await tx<SplitProposalRow[]>`
      insert into split_proposal ${tx(columns(row))}
      on conflict (node_id, leg_id, signed_by) do update set ${tx(columns(row))} returning *`;
    if (!kept) throw new Error('The split was not kept.');
    await tx`update payment set updated_at = now() where node_id = ${key.nodeId} and id = ${key.paymentId}`;
    const who = signed.signedBy === 'payer' ? 'buyer' : 'seller';
    await writeLog(tx, key, {
      eventType: 'payment.split_proposed',
      message: `The ${who} signed a split of leg ${deal.leg}: in base units ${signed.toPayeeUnits} to the seller, ${toPayerUnits} to the buyer.`,
      actor: { type: signed.signedBy },
    });
    return kept;
  });
}

/** Whether a signed split can still be carried out: it is of what the leg holds now, and in time. */
export function isCurrent(proposal: SplitProposalRow, deal: DealRow): boolean {
  return (
    ['funded', 'disputed'].includes(deal.chainStatus) &&
    proposal.releasedUnits === deal.releasedUnits &&
    proposal.refundedUnits === deal.refundedUnits &&
    proposal.deadline >= nowSeconds()
  );
}

function legOf(deals: readonly DealRow[], { leg }: LegChoice): DealRow {
  const deal = leg === undefined && deals.length === 1 ? deals[0] : deals.find((candidate) => candidate.leg === leg);
  if (deal) return deal;
  if (leg !== undefined) throw new CoreError('not_found', `The payment has no leg ${leg}.`);
  const faults = new FieldFaults();
  faults.add('/leg', 'is required: the payment has several');
  faults.throwIfAny();
  throw new Error('A payment has no leg.');
}

function requireHeld(deal: DealRow): void {
  const status = legStatus(deal);
  if (status === 'funded' || status === 'partially_released' || status === 'disputed') return;
  throw new CoreError('illegal_transition', `A payment that is ${status} cannot be split.`);
}

function checkNumbers(deal: DealRow, { releasedUnits, refundedUnits, toPayeeUnits, deadline }: SplitProposal): void {
  if (releasedUnits !== deal.releasedUnits || refundedUnits !== deal.refundedUnits) {
    throw new CoreError(
      'illegal_transition',
      'The deal has moved since this was signed, or its move is not confirmed yet.',
    );
  }
  const faults = new FieldFaults();
  const held = heldUnits(deal);
  if (toPayeeUnits > held) faults.add('/to_payee_units', `is more than the ${held} base units that are held`);
  const now = nowSeconds();
  if (deadline < now) faults.add('/deadline', 'is over');
  if (deadline > now + MAX_VALID_SECONDS) faults.add('/deadline', 'must be within 90 days');
  faults.throwIfAny();
}

/** Lets the contract judge the signature, of a key or of an account with code: the other party's call would carry the split out. */
async function tryOnChain(
  chain: Chain,
  network: NetworkRow,
  deal: DealRow,
  payer: Address,
  { signedBy, toPayeeUnits, deadline, signature }: SplitProposal,
): Promise<void> {
  const terms = termsOf(deal, payer);
  const account = signedBy === 'payer' ? deal.payee : payer;
  const signatures = signedBy === 'payer' ? { payerSignature: signature } : { payeeSignature: signature };
  const data = callData({
    ...{ verb: 'settle', terms: termsToJson(terms), amountUnits: toPayeeUnits, relay: null },
    arguments: { deadline: deadline.toString(), ...signatures },
  });
  try {
    await chain.client(network).call({ account, to: network.diamondAddress, data });
  } catch (error) {
    if (!isRevert(error)) await reachable(network, () => Promise.reject(error));
    const refusal = explainRevert(revertData(error) ?? '0x');
    if (refusal?.name === 'SignatureInvalid') {
      throw new CoreError('invalid_request', 'Not valid: signature.', [
        { pointer: '/signature', message: refusal.message },
      ]);
    }
    throw new CoreError('chain_reverted', `The split would be refused: ${refusal?.message ?? 'no reason was given'}`);
  }
}

function nowSeconds(): bigint {
  return BigInt(Math.floor(systemClock.now().getTime() / 1_000));
}
