// Owns the settle step: what the mirror says of deals, confirmed, moves payments. It compares states and keeps no cursor, so
// it may run twice, at once, or after any outage. Only a deal under the hash of our frozen terms moves a payment.
import { type Hex, zeroAddress } from 'viem';
import { dealId as hashOf } from '../../../contracts/terms.ts';
import type { Chain } from '../chain/chain.ts';
import {
  type DealFacts,
  finalizedBlock,
  isMirrored,
  mirroredBlock,
  readEvents,
  readFacts,
  readStrays,
  type SafeBlock,
  type StrayFacts,
} from '../chain/mirror.ts';
import { columns, type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { postDealEvents } from '../ledger.ts';
import { writeLog } from '../log.ts';
import type { ChainFact, DealRow, Finality, NetworkRow, PaymentRow } from '../schema.ts';
import { closeOffer, lockPayment, restate } from './actions.ts';
import { answerAwaiting, expireAwaiting } from './awaited.ts';
import { termsOf } from './deals.ts';
import { settleWithdrawals } from './fees.ts';
import { latestOperation } from './operations.ts';
import { refundStray } from './strays.ts';

// Status.None and Status.Cancelled in IEscrow.sol: the slot was never opened, or closed before any deposit.
const UNDEPOSITED: readonly number[] = [0, 3];

/** How a pass ended: how many legs and stray deals it dealt with, and the block up to which it looked; null without a mirror. */
export type Pass = { dealtWith: number; settledTo: bigint | null };

/**
 * One pass over what something touched from the block `since` on; 0: over everything.
 * @throws upstream_unavailable
 */
export async function settleNetwork(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  { since }: { since: bigint },
): Promise<Pass> {
  const mirrored = await mirroredBlock(sql, network);
  if (mirrored === null) return { dealtWith: 0, settledTo: null };
  const safe = await chain.safeBlock(network, mirrored);
  await noteHead(sql, network, { head: safe.head, mirrored });
  const changed = await readFacts(sql, network, safe, { since });
  const strays = await readStrays(sql, network, safe, { since });
  let dealtWith = 0;
  let doubted: CoreError | undefined;
  for (const leg of changed) {
    try {
      if (await settleLeg(sql, chain, network, safe, leg)) dealtWith += 1;
    } catch (error) {
      // What is in doubt about one leg holds up no other.
      if (!(error instanceof CoreError) || error.code !== 'upstream_unavailable') throw error;
      doubted ??= error;
    }
  }
  await recordUnmatched(
    sql,
    network,
    strays.filter(({ paymentId }) => paymentId === null),
  );
  for (const stray of strays) if (stray.paymentId !== null) await recordStray(sql, network, safe, stray);
  // Only when every event up to here was applied may a deadline say that nothing answered.
  if (changed.length === 0) {
    await expireAwaiting(sql, network, safe);
    await settleWithdrawals(sql, chain, network, safe, { since });
  }
  if (doubted && dealtWith + strays.length === 0) throw doubted;
  return { dealtWith: dealtWith + strays.length, settledTo: safe.number };
}

type Safe = SafeBlock & { head: bigint };

/** Notes how far the network was seen, for who shows confirmations and who watches lag. */
async function noteHead(
  sql: Sql,
  network: NetworkRow,
  { head, mirrored }: { head: bigint; mirrored: bigint },
): Promise<void> {
  await sql`
    insert into network_head ${sql(columns({ networkId: network.id, head, mirrored }))}
    on conflict (network_id) do update set head = excluded.head, mirrored = excluded.mirrored, seen_at = now()
    where (network_head.head, network_head.mirrored) is distinct from (excluded.head, excluded.mirrored)`;
}

/** Brings one leg's row, its ledger entries and the payment's status to what the mirror says now, in one transaction. */
async function settleLeg(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  safe: Safe,
  { nodeId, paymentId, legId }: Pick<DealFacts, 'nodeId' | 'paymentId' | 'legId'>,
): Promise<boolean> {
  const key = { nodeId, paymentId };
  return await transact(sql, async (tx) => {
    const { payment, deals } = await lockPayment(tx, key);
    const deal = deals.find((candidate) => candidate.id === legId);
    const [facts] = await readFacts(tx, network, safe, { nodeId, legId });
    if (!deal || !facts || !differs(deal, facts)) return false;
    if (deal.dealId && !facts.dealId && (await stillOpen(chain, network, deal.dealId))) return false;
    await requireTrue(chain, network, deal, facts);
    const takenBack = await isTakenBack(tx, network, safe, deal, facts);
    await writeFacts(tx, payment, deal, facts);
    const events = facts.dealId ? await readEvents(tx, network, safe, facts.dealId) : [];
    await postDealEvents(
      tx,
      {
        ...key,
        legId,
        currencyId: payment.currencyId,
        payer: facts.payer ?? deal.payer ?? zeroAddress,
        payee: deal.payee,
        feeRecipient: deal.feeRecipient,
      },
      deal,
      events,
    );
    await answerAwaiting(tx, network, { ...deal, ...factColumns(facts) }, events);
    if (deal.cancelRequestedAt && facts.dealId) await forgetOvertakenCancel(tx, deal);
    await restate(tx, key, {
      message: describe(facts),
      actor: { type: 'chain' },
      chainFact: chainFact(network, safe, deal, facts),
      finality: await finalityOf(tx, network, facts),
      takenBack,
      replaced: deal.factTransaction,
    });
    const isGone = deal.dealId !== null && facts.dealId === null;
    if (isGone && deal.cancelRequestedAt) await closeOffer(tx, { ...deal, ...factColumns(facts) });
    return true;
  });
}

async function writeFacts(tx: Transaction, payment: PaymentRow, deal: DealRow, facts: DealFacts): Promise<void> {
  await tx`
    update deal set ${tx(columns({ ...factColumns(facts), seenTransaction: null }))}
    where node_id = ${deal.nodeId} and id = ${deal.id}`;
  // The deposit that a payment shows is its first leg's; one signature usually funds them all.
  if (deal.leg !== 0) return;
  await tx`
    update payment set transaction_hash = ${facts.depositTransaction}, updated_at = now()
    where node_id = ${payment.nodeId} and id = ${payment.id}`;
}

function factColumns(facts: DealFacts) {
  const { chainStatus, dealId, payer, releasedUnits, refundedUnits } = facts;
  const { blockNumber: factBlock, transactionHash: factTransaction, logIndex: factLogIndex } = facts;
  return { chainStatus, factBlock, factTransaction, factLogIndex, dealId, payer, releasedUnits, refundedUnits };
}

function differs(deal: DealRow, facts: DealFacts): boolean {
  return (
    deal.chainStatus !== facts.chainStatus ||
    deal.dealId !== facts.dealId ||
    deal.payer !== facts.payer ||
    deal.releasedUnits !== facts.releasedUnits ||
    deal.refundedUnits !== facts.refundedUnits ||
    deal.factBlock !== facts.blockNumber ||
    deal.factTransaction !== facts.transactionHash ||
    deal.factLogIndex !== facts.logIndex
  );
}

/**
 * The mirror follows one node at a time and may have been told anything: the deal must bear the hash of our terms, and what
 * moved it must be on chain as a quorum has it. @throws upstream_unavailable
 */
async function requireTrue(chain: Chain, network: NetworkRow, deal: DealRow, facts: DealFacts): Promise<void> {
  const { dealId, payer, eventName, blockNumber, transactionHash, logIndex } = facts;
  const refuse = (what: string) =>
    new CoreError('upstream_unavailable', `Network ${network.name}: the mirror has ${what}; nothing was moved.`);
  if (
    dealId &&
    hashOf(termsOf(deal, payer ?? zeroAddress), Number(network.eip155Id), network.diamondAddress) !== dealId
  ) {
    throw refuse(`deal ${dealId} for an offer that it is not of`);
  }
  const subject = dealId ?? deal.offerId;
  // What is only confirming moves nothing; what vanished has no event.
  if (facts.chainStatus === 'confirming' || !eventName || blockNumber === null || !transactionHash || !subject) return;
  const { releasedUnits, refundedUnits } = facts;
  const moved = { eventName, dealId: subject, releasedUnits, refundedUnits, blockNumber, transactionHash };
  if (!(await chain.isWitnessed(network, { ...moved, logIndex: logIndex ?? 0 }))) {
    throw refuse(
      `${eventName} of deal ${subject} in transaction ${transactionHash}, which the network's nodes do not have`,
    );
  }
}

/** Whether a reorganisation took back what the leg's present state rests on: the mirror has it no more, or not as deep. */
async function isTakenBack(
  tx: Transaction,
  network: NetworkRow,
  safe: Safe,
  deal: DealRow,
  facts: DealFacts,
): Promise<boolean> {
  if (deal.chainStatus === 'expired') return facts.chainStatus === 'none';
  const dealId = deal.dealId ?? deal.offerId;
  if (deal.factTransaction === null || dealId === null) return false;
  const upTo = deal.chainStatus === 'confirming' ? null : safe.number;
  return !(await isMirrored(tx, network, { dealId, transactionHash: deal.factTransaction, upTo }));
}

/** How sure the state is that the facts make. */
async function finalityOf(tx: Transaction, network: NetworkRow, facts: DealFacts): Promise<Finality> {
  // What is not there may be in the next block again.
  if (facts.chainStatus === 'confirming' || facts.chainStatus === 'none') return 'unsafe';
  const isFinal = facts.blockNumber !== null && facts.blockNumber <= (await finalizedBlock(tx, network));
  return isFinal ? 'final' : 'safe';
}

// The mirror drops rows when a node briefly reports an older head (Ponder 0.17); the slot on chain decides.
async function stillOpen(chain: Chain, network: NetworkRow, dealId: Hex): Promise<boolean> {
  return !UNDEPOSITED.includes((await chain.deal(network, dealId)).status);
}

/** A cancellation that closed the offer after a deposit was in has cancelled nothing: the leg goes on. */
async function forgetOvertakenCancel(tx: Transaction, deal: DealRow): Promise<void> {
  const latest = await latestOperation(tx, deal);
  if (latest?.verb !== 'cancelDeal' || latest.dealId !== deal.offerId || latest.status !== 'done') return;
  await tx`update deal set cancel_requested_at = null where node_id = ${deal.nodeId} and id = ${deal.id}`;
}

function describe(facts: DealFacts): string {
  switch (facts.chainStatus) {
    case 'none':
      return 'No deposit is on chain any more.';
    case 'expired':
      return 'The deposit deadline passed without a deposit.';
    case 'closed':
      return 'Closed on chain before any deposit.';
    case 'confirming':
      return `Deposit by ${facts.payer} is mirrored; too few confirmations yet.`;
    default:
      if (facts.eventName === 'Deposited') return 'The deposit is confirmed.';
      return `${facts.eventName} is confirmed; in base units ${facts.releasedUnits} released, ${facts.refundedUnits} refunded.`;
  }
}

function chainFact(network: NetworkRow, safe: Safe, deal: DealRow, facts: DealFacts): ChainFact | undefined {
  const { blockNumber, transactionHash, logIndex } = facts;
  const dealId = facts.dealId ?? deal.offerId;
  if (blockNumber === null || !transactionHash || logIndex === null || !dealId) return undefined;
  return factOf(network, safe, { dealId, blockNumber, transactionHash, logIndex });
}

function factOf(
  network: NetworkRow,
  safe: Safe,
  {
    dealId,
    blockNumber,
    transactionHash,
    logIndex,
  }: Pick<StrayFacts, 'dealId' | 'blockNumber' | 'transactionHash' | 'logIndex'>,
): ChainFact {
  return {
    networkId: network.id,
    chainId: network.eip155Id.toString(),
    diamond: network.diamondAddress,
    dealId,
    blockNumber: blockNumber.toString(),
    transactionHash,
    logIndex,
    confirmations: (safe.head >= blockNumber ? safe.head - blockNumber + 1n : 0n).toString(),
  };
}

/** Records deals of our operator that no payment of the network knows of. */
async function recordUnmatched(sql: Sql, network: NetworkRow, strays: readonly StrayFacts[]): Promise<void> {
  if (strays.length === 0) return;
  const rows = strays.map((stray) => rowOf(network, stray));
  await sql`insert into stray_deal ${sql(rows)} on conflict do nothing`;
}

function rowOf(network: NetworkRow, { dealId, kind, nodeId, paymentId }: StrayFacts) {
  return { networkId: network.id, dealId, kind, nodeId, paymentId };
}

/** Records a payment's deal that does not fund it; a duplicate goes back to its payer at once. */
async function recordStray(sql: Sql, network: NetworkRow, safe: Safe, stray: StrayFacts): Promise<void> {
  await transact(sql, async (tx) => {
    const [recorded] = await tx`
      insert into stray_deal ${tx(rowOf(network, stray))} on conflict do nothing returning 1`;
    if (!recorded || !stray.nodeId || !stray.paymentId) return;
    await writeLog(
      tx,
      { nodeId: stray.nodeId, paymentId: stray.paymentId },
      {
        eventType: `deal.${stray.kind}`,
        message:
          stray.kind === 'duplicate'
            ? `A second deal for this payment was deposited: ${stray.dealId}.`
            : `A deal with this payment's number but other terms was deposited: ${stray.dealId}.`,
        actor: { type: 'chain' },
        chainFact: factOf(network, safe, stray),
        finality: 'safe',
      },
    );
    if (stray.kind === 'duplicate') await refundStray(tx, network, stray.dealId, { type: 'system' });
  });
}
