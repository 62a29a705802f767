// Owns how payouts are carried out: once its time has come, each part becomes one operation, a release of its leg or a withdrawal of a
// credit. A leg in motion is waited for, because how much to release depends on what was released before. May run twice, or stop anywhere.
import { type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { balancesOf } from '../ledger.ts';
import type { Actor } from '../log.ts';
import { lockPayment, releaseLeg } from '../payments/actions.ts';
import { requestWithdrawal } from '../payments/operations.ts';
import { findCurrency, findNetworks } from '../platform/platform.ts';
import type { DealRow, OperationRow, PaymentRow } from '../schema.ts';
import { grossFor, netOf, unsettled } from './payable.ts';

// One pass takes this many parts at most; those that wait for their leg would hold up the others otherwise.
const PARTS_AT_ONCE = 200;

type WaitingPart = {
  nodeId: string;
  payoutId: string;
  position: number;
  legId: string | null;
  recipient: string | null;
  netUnits: bigint;
  paymentId: string | null;
  currencyId: string;
  actorId: string | null;
};

/** Begins what is due at `now` and can be begun, oldest first; answers how many parts that were. */
export async function stepPayouts(
  sql: Sql,
  now: Date,
  onError: (payout: { nodeId: string; payoutId: string }, error: unknown) => void,
): Promise<number> {
  const due = await sql<WaitingPart[]>`
    select pp.*, d.payment_id, po.currency_id, po.actor_id
    from payout_part pp
    join payout po on po.node_id = pp.node_id and po.id = pp.payout_id
    left join deal d on d.node_id = pp.node_id and d.id = pp.leg_id
    where pp.operation_id is null and pp.failure is null and po.execute_at <= ${now}
    order by po.execute_at, po.id, pp.position limit ${PARTS_AT_ONCE}`;
  let begun = 0;
  for (const part of due) {
    try {
      if (await beginPart(sql, part)) begun += 1;
    } catch (error) {
      onError({ nodeId: part.nodeId, payoutId: part.payoutId }, error);
    }
  }
  return begun;
}

/** Asks for one part, or gives it up; answers false while its leg or credit is in motion. */
async function beginPart(sql: Sql, part: WaitingPart): Promise<boolean> {
  return await transact(sql, async (tx) => {
    // Whoever moves a leg holds its payment's row first.
    const { nodeId, paymentId } = part;
    const held = paymentId === null ? undefined : await lockPayment(tx, { nodeId, paymentId });
    if (!(await isStillWaiting(tx, part))) return false;
    const actor: Actor = part.actorId ? { type: 'integration', id: part.actorId } : { type: 'system' };
    try {
      const deal = held?.deals.find(({ id }) => id === part.legId);
      const operation =
        held && deal
          ? await releaseFor(tx, { payment: held.payment, deal }, part, actor)
          : await withdrawFor(tx, part, actor);
      if (operation) await updatePart(tx, part, { operationId: operation.id, failure: null });
      return operation !== undefined;
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      await updatePart(tx, part, { operationId: null, failure: error.message });
      return true;
    }
  });
}

/** Locks the part, so that it is begun or taken back once; another worker may have it. */
async function isStillWaiting(tx: Transaction, { nodeId, payoutId, position }: WaitingPart): Promise<boolean> {
  const [payout] = await tx`
    select 1 from payout where node_id = ${nodeId} and id = ${payoutId} and deleted_at is null for update`;
  const [part] = await tx`
    select 1 from payout_part where node_id = ${nodeId} and payout_id = ${payoutId} and position = ${position}
      and operation_id is null and failure is null`;
  return payout !== undefined && part !== undefined;
}

async function updatePart(
  tx: Transaction,
  { nodeId, payoutId, position }: WaitingPart,
  { operationId, failure }: { operationId: string | null; failure: string | null },
): Promise<void> {
  await tx`
    update payout_part set operation_id = ${operationId}, failure = ${failure}
    where node_id = ${nodeId} and payout_id = ${payoutId} and position = ${position}`;
}

/** Releases what makes the part arrive; less when less is held by now. @throws illegal_transition when nothing can be */
async function releaseFor(
  tx: Transaction,
  { payment, deal }: { payment: PaymentRow; deal: DealRow },
  { netUnits }: WaitingPart,
  actor: Actor,
): Promise<OperationRow | undefined> {
  const moving = await tx`
    select 1 from deal d where d.node_id = ${deal.nodeId} and d.id = ${deal.id} and exists (${unsettled(tx)})`;
  if (moving.length > 0) return undefined;
  const heldUnits = balancesOf(deal).escrow;
  const most = netOf(deal, heldUnits);
  const amountUnits = netUnits >= most ? null : grossFor(deal, netUnits);
  return await releaseLeg(tx, payment, deal, amountUnits, actor);
}

/** Withdraws a recipient's whole credit, unless somebody is at it. */
async function withdrawFor(
  tx: Transaction,
  { nodeId, recipient, currencyId }: WaitingPart,
  actor: Actor,
): Promise<OperationRow | undefined> {
  const currency = await findCurrency(tx, currencyId);
  const [network] = await findNetworks(tx, [currency.networkId ?? '']);
  if (!network || !currency.tokenAddress || !recipient) throw new Error(`Currency ${currencyId} has no token.`);
  const [token, account] = [currency.tokenAddress, recipient as `0x${string}`];
  await tx`select pg_advisory_xact_lock(hashtextextended(${`withdraw ${network.id} ${token} ${account}`}, 0))`;
  const busy = await tx`
    select 1 from operation where network_id = ${network.id} and verb = 'withdraw' and status in ('queued', 'submitted')
      and arguments ->> 'token' = ${token} and arguments ->> 'account' = ${account}`;
  if (busy.length > 0) return undefined;
  return await requestWithdrawal(tx, { nodeId, network, token, account }, actor);
}
