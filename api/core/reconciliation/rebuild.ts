// Owns the rebuild: what every payment of a network and its ledger entries should be, derived anew from the mirror's events into a
// shadow schema that is rolled back, and how what stands in the database differs; the events themselves are held against the
// chain, as of the same block. Changes nothing.
import { setTimeout as sleep } from 'node:timers/promises';
import { zeroAddress } from 'viem';
import type { Chain } from '../chain/chain.ts';
import { mirroredBlock, readEvents, readFacts, type SafeBlock } from '../chain/mirror.ts';
import { touchedFeeAccounts } from '../chain/withdrawals.ts';
import type { Sql, Transaction } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { postDealEvents } from '../ledger.ts';
import { postMirrored } from '../payments/fees.ts';
import type { DealRow, NetworkRow, PaymentRow } from '../schema.ts';
import { legStatus, paymentStatus } from '../status.ts';
import { compareMirror, type Mirrored, type Mismirrored } from './mirrored.ts';

/**
 * One thing that is not as it should be: `status`, a field of a leg, or an account's part in the payment, in base units. What is
 * withdrawn of fees is of no payment: then `paymentId` is `withdrawals`.
 */
export type Misstated = { nodeId: string; paymentId: string; what: string; stands: string; rebuilt: string };

/** What a rebuild of one network found, as of a block; `events`: how many the chain has up to there. */
export type Rebuild = {
  network: NetworkRow;
  block: bigint;
  payments: number;
  misstated: Misstated[];
  events: number;
  mismirrored: Mismirrored[];
};

/** Payments derived, then blocks read: how far a rebuild is. */
export type RebuildProgress = { payments: number } | { block: bigint; upTo: bigint };

/** How a rebuild is made; `patienceMs`: how long what differs may take to be right, in milliseconds. */
export type RebuildOptions = { patienceMs?: number; onProgress?: (progress: RebuildProgress) => void };

type Derived = Pick<Rebuild, 'network' | 'block' | 'payments' | 'misstated'>;

const PATIENCE_MS = 3_000;
// Only inside a transaction that never commits; two rebuilds at once wait for each other.
const SHADOW = 'dealkeep_shadow';

/**
 * Derives one network anew and compares. What differs while it moves is looked at once more before it counts.
 * @throws upstream_unavailable when the network or its mirror cannot be read
 */
export async function rebuildNetwork(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  { patienceMs = PATIENCE_MS, onProgress = () => {} }: RebuildOptions = {},
): Promise<Rebuild> {
  const derived = await deriveTwice(sql, chain, network, patienceMs, (payments) => onProgress({ payments }));
  const mirrored = await compareTwice(sql, chain, network, derived.block, patienceMs, (block) =>
    onProgress({ block, upTo: derived.block }),
  );
  return { ...derived, events: mirrored.events, mismirrored: mirrored.differences };
}

async function deriveTwice(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  patienceMs: number,
  onProgress: (payments: number) => void,
): Promise<Derived> {
  const first = await derive(sql, chain, network, onProgress);
  if (first.misstated.length === 0) return first;
  await sleep(patienceMs);
  const suspects = new Set(first.misstated.map(subjectOf));
  const second = await derive(sql, chain, network, onProgress);
  return { ...second, misstated: second.misstated.filter((one) => suspects.has(subjectOf(one))) };
}

/** Holds the mirror against the chain up to a block; the blocks of what differs are read once more before it counts. */
async function compareTwice(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  upTo: bigint,
  patienceMs: number,
  onProgress: (block: bigint) => void,
): Promise<Mirrored> {
  // An earlier start than the diamond's only costs time.
  const from = network.startBlock ?? 0n;
  const first = await compareMirror(sql, chain, network, { from, to: upTo }, onProgress);
  if (first.differences.length === 0) return first;
  await sleep(patienceMs);
  await requireMirror(sql, network);
  const blocks = first.differences.map(({ block }) => block).sort((a, b) => (a < b ? -1 : 1));
  const range = { from: blocks[0] ?? from, to: blocks.at(-1) ?? upTo };
  const second = await compareMirror(sql, chain, network, range, onProgress);
  const keyOf = (one: Mismirrored) => [one.what, one.block, one.logIndex, one.dealId, one.field].join(' ');
  const suspects = new Set(first.differences.map(keyOf));
  return { events: first.events, differences: second.differences.filter((one) => suspects.has(keyOf(one))) };
}

function subjectOf({ paymentId, what }: Misstated): string {
  return `${paymentId} ${what}`;
}

/** Carries the result out of a transaction that has to be rolled back. */
class Done extends Error {
  readonly result: Derived;
  constructor(result: Derived) {
    super('rolled back');
    this.result = result;
  }
}

async function derive(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  onProgress: (payments: number) => void,
): Promise<Derived> {
  const safe = await chain.safeBlock(network, await requireMirror(sql, network));
  try {
    // Payments, mirror and ledger are of one moment.
    await sql.begin('isolation level repeatable read', async (tx) => {
      throw new Done(await deriveInShadow(tx, network, safe, onProgress));
    });
  } catch (error) {
    if (error instanceof Done) return error.result;
    throw error;
  }
  throw new Error('A rebuild was committed.');
}

/** The block up to which the mirror is complete. @throws upstream_unavailable while it is not */
async function requireMirror(sql: Sql, network: NetworkRow): Promise<bigint> {
  const mirrored = await mirroredBlock(sql, network);
  if (mirrored !== null) return mirrored;
  throw new CoreError('upstream_unavailable', `Network ${network.name}: the indexer has no complete mirror now.`);
}

async function deriveInShadow(
  tx: Transaction,
  network: NetworkRow,
  safe: SafeBlock,
  onProgress: (payments: number) => void,
): Promise<Derived> {
  await tx`create schema ${tx(SHADOW)}`;
  for (const table of ['ledger_account', 'ledger_entry', 'ledger_posting']) {
    await tx`create table ${tx(`${SHADOW}.${table}`)} (like ${tx(`public.${table}`)} including all)`;
  }
  // The ledger's own code then writes its entries there.
  await tx`select set_config('search_path', ${`${SHADOW}, public`}, true)`;
  const misstated: Misstated[] = [];
  const keys = await tx<Pick<PaymentRow, 'nodeId' | 'id'>[]>`
    select node_id, id from payment where network_id = ${network.id} and payment_method = 'web3' order by node_id, id`;
  for (const [index, key] of keys.entries()) {
    misstated.push(...(await derivePayment(tx, network, safe, key)));
    onProgress(index + 1);
  }
  for (const account of await touchedFeeAccounts(tx, network, safe, 0n)) await postMirrored(tx, network, safe, account);
  misstated.push(...(await compareLedgers(tx, network)));
  return { network, block: safe.number, payments: keys.length, misstated };
}

/** One payment's status and legs as they should be; posts its entries into the shadow. */
async function derivePayment(
  tx: Transaction,
  network: NetworkRow,
  safe: SafeBlock,
  { nodeId, id: paymentId }: Pick<PaymentRow, 'nodeId' | 'id'>,
): Promise<Misstated[]> {
  const misstated: Misstated[] = [];
  const expect = (what: string, stands: unknown, rebuilt: unknown) => {
    if (stands !== rebuilt)
      misstated.push({ nodeId, paymentId, what, stands: String(stands), rebuilt: String(rebuilt) });
  };
  const [payment] = await tx<(PaymentRow & { logged: string | null })[]>`
    select p.*, (
      select l.status from payment_log l
      where l.node_id = p.node_id and l.payment_id = p.id and l.status is not null order by l.seq desc limit 1
    ) as logged
    from payment p where node_id = ${nodeId} and id = ${paymentId}`;
  if (!payment) return [];
  const deals = await tx<DealRow[]>`
    select * from deal where node_id = ${nodeId} and payment_id = ${paymentId} order by leg`;
  const rebuilt: DealRow[] = [];
  for (const deal of deals) {
    const [facts] = deal.offerId ? await readFacts(tx, network, safe, { nodeId, legId: deal.id }) : [];
    // Without a number nothing of it can be on chain; and what is beyond the safe block is looked at another time.
    rebuilt.push(facts ? { ...deal, ...facts, id: deal.id } : deal);
    if (!facts) continue;
    const field = (name: string) => `leg ${deal.leg}: ${name}`;
    expect(field('status on chain'), deal.chainStatus, facts.chainStatus);
    expect(field('deal'), deal.dealId, facts.dealId);
    expect(field('released_units'), deal.releasedUnits, facts.releasedUnits);
    expect(field('refunded_units'), deal.refundedUnits, facts.refundedUnits);
    const events = facts.dealId ? await readEvents(tx, network, safe, facts.dealId) : [];
    const parties = {
      payer: facts.payer ?? deal.payer ?? zeroAddress,
      payee: deal.payee,
      feeRecipient: deal.feeRecipient,
    };
    await postDealEvents(
      tx,
      { nodeId, paymentId, legId: deal.id, currencyId: payment.currencyId, ...parties },
      deal,
      events,
    );
  }
  if (deals.length > 0) expect('status', payment.status, paymentStatus(rebuilt.map(legStatus)));
  if (payment.logged !== null) expect('status in its log', payment.logged, payment.status);
  return misstated;
}

/** Where the live ledger's sums by leg and account are not the shadow's. */
async function compareLedgers(tx: Transaction, network: NetworkRow): Promise<Misstated[]> {
  const sums = (schema: string) => tx`
    select e.node_id, coalesce(e.payment_id::text, 'withdrawals') as payment_id, coalesce(e.leg_id::text, 'withdrawals') as leg_id,
      a.type, a.owner, sum(p.amount_units) as units
    from ${tx(`${schema}.ledger_posting`)} p
    join ${tx(`${schema}.ledger_entry`)} e on e.node_id = p.node_id and e.id = p.entry_id
    join ${tx(`${schema}.ledger_account`)} a on a.node_id = p.node_id and a.id = p.account_id
    where p.currency_id in (select id from currency where network_id = ${network.id})
    group by 1, 2, 3, 4, 5 having sum(p.amount_units) <> 0`;
  const rows = await tx<
    (Pick<Misstated, 'nodeId' | 'paymentId'> & { account: string; live: bigint; derived: bigint })[]
  >`
    select coalesce(l.node_id, s.node_id) as node_id, coalesce(l.payment_id, s.payment_id) as payment_id,
      concat_ws(' ', coalesce(l.type, s.type), 'account of', coalesce(l.owner, s.owner)) as account,
      coalesce(l.units, 0) as live, coalesce(s.units, 0) as derived
    from (${sums('public')}) l
    full join (${sums(SHADOW)}) s using (node_id, payment_id, leg_id, type, owner)
    where coalesce(l.units, 0) <> coalesce(s.units, 0) order by 2, 3`;
  return rows.map(({ nodeId, paymentId, account, live, derived }) => ({
    nodeId,
    paymentId,
    what: account,
    stands: live.toString(),
    rebuilt: derived.toString(),
  }));
}
