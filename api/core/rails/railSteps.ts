// Owns the worker's side of rails: asks providers for what is due, one step an attempt, and lets deadlines pass by the clock. Every
// step may run twice; a provider that does not answer is asked again, ever more rarely.

import { systemClock } from '../clock.ts';
import { type Sql, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { lockPayment, refundPayment, releasePayment, restate } from '../payments/actions.ts';
import { loadPayment } from '../payments/payments.ts';
import { findNodes } from '../platform/platform.ts';
import type { AttemptRow } from '../schema.ts';
import { findAttempts, OVER, takeDue, updateAttempt } from './attempts.ts';
import { applyCharge, applyRefund, openCharge, refuseCharge } from './charges.ts';
import { type Asking, type Provider, ProviderError, type Providers } from './provider.ts';
import { closeCharges } from './railLegs.ts';

// One pass asks this many at once; the next follows when they have answered.
const AT_ONCE = 20;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 600_000;

/** One pass over all rails; answers how much it did. `onError` hears of attempts that go on later. */
export async function stepRails(
  sql: Sql,
  providers: Providers,
  onError: (attempt: AttemptRow, error: unknown) => void,
): Promise<number> {
  await closeExpired(sql);
  await settleByDefault(sql);
  const due = await takeDue(sql, AT_ONCE);
  await Promise.all(
    due.map((attempt) =>
      stepAttempt(sql, providers, attempt).catch(async (error) => {
        onError(attempt, error);
        const waitMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt.tries, 20));
        await updateAttempt(sql, attempt, { nextStepAt: new Date(Date.now() + waitMs) });
      }),
    ),
  );
  return due.length;
}

async function stepAttempt(sql: Sql, providers: Providers, attempt: AttemptRow): Promise<void> {
  const provider = providers.named(attempt.provider);
  if (!provider) throw new ProviderError('unavailable', `This worker knows no provider ${attempt.provider}.`);
  const [node] = await findNodes(sql, [attempt.nodeId]);
  const asking = { local: node?.local ?? false };
  try {
    if (attempt.execution === 'refund') await stepRefund(sql, provider, attempt, asking);
    else await stepCharge(sql, provider, attempt, asking);
  } catch (error) {
    if (!(error instanceof ProviderError) || error.code !== 'refused') throw error;
    if (attempt.execution === 'refund') {
      await applyRefund(sql, attempt, { reference: null, state: 'refused', reason: error.message });
    } else await refuseCharge(sql, attempt, error.message);
  }
}

async function stepCharge(sql: Sql, provider: Provider, attempt: AttemptRow, asking: Asking): Promise<void> {
  const reference = attempt.providerReference ?? (await makeKnown(sql, provider, attempt, asking));
  switch (attempt.status) {
    case 'creating':
      await openCharge(sql, attempt, {
        providerReference: reference,
        ...(await provider.authorize(reference, asking)),
      });
      break;
    case 'authorized':
      await applyAnswer(sql, provider, attempt, await provider.capture(reference, asking), 'answer');
      break;
    case 'voiding': {
      // Asked first, so that whatever came in the last second is there before the door closes.
      await applyAnswer(sql, provider, attempt, await provider.status(reference, asking), 'answer');
      const [still] = await sql`
        select 1 from rail_attempt where node_id = ${attempt.nodeId} and id = ${attempt.id} and status = 'voiding'`;
      if (still) await applyAnswer(sql, provider, attempt, await provider.void(reference, asking), 'answer');
      break;
    }
    default:
      await applyAnswer(sql, provider, attempt, await provider.status(reference, asking), 'reconciliation');
  }
}

async function makeKnown(sql: Sql, provider: Provider, attempt: AttemptRow, asking: Asking): Promise<string> {
  const { payment, currency } = await loadPayment(sql, attempt);
  return await provider.create(
    {
      attemptId: attempt.id,
      method: payment.paymentMethod === 'bank_transfer' ? 'bank_transfer' : 'credit_card',
      amountUnits: attempt.amountUnits,
      currency: currency.code,
      decimals: currency.decimals,
      description: payment.externalId,
      returnUrl: payment.returnUrl,
    },
    asking,
  );
}

/** Applies an answer; one that says nothing new only moves the next look further away. */
async function applyAnswer(
  sql: Sql,
  provider: Provider,
  attempt: AttemptRow,
  snapshot: Awaited<ReturnType<Provider['status']>>,
  heard: 'answer' | 'reconciliation',
): Promise<void> {
  if (await applyCharge(sql, provider.name, snapshot, heard)) return;
  const waitMs = Math.min(MAX_RETRY_MS, 15_000 * 2 ** Math.min(attempt.tries, 10));
  const nextStepAt = OVER.includes(attempt.status) ? new Date(Date.now() + 3_600_000) : new Date(Date.now() + waitMs);
  await sql`
    update rail_attempt set next_step_at = ${nextStepAt}
    where node_id = ${attempt.nodeId} and id = ${attempt.id} and sequence = ${snapshot.sequence.toString()}
      and status = ${attempt.status}`;
}

async function stepRefund(sql: Sql, provider: Provider, refund: AttemptRow, asking: Asking): Promise<void> {
  const charges = await findAttempts(sql, refund, 'charge');
  const reference = charges.find(({ id }) => id === refund.chargeId)?.providerReference;
  if (!reference) throw new Error(`Refund ${refund.id} has no charge at ${provider.name}.`);
  const { id: refundId, amountUnits } = refund;
  await applyRefund(sql, refund, await provider.refund({ reference, refundId, amountUnits }, asking));
}

const BATCH_SIZE = 200;

/** Closes the charges of payments whose time is up; one without an open charge has expired. */
async function closeExpired(sql: Sql): Promise<void> {
  const late = await sql<{ nodeId: string; id: string }[]>`
    select p.node_id, p.id from payment p
    where p.payment_method <> 'web3' and p.status in ('pending', 'awaiting_deposit', 'confirming', 'failed')
      and p.expires_at <= ${systemClock.now()}
      and not exists (
        select 1 from rail_attempt a where a.node_id = p.node_id and a.payment_id = p.id and a.execution = 'charge'
          and a.status in ('voiding', 'held', 'authorized'))
    limit ${BATCH_SIZE}`;
  for (const { nodeId, id } of late) {
    await transact(sql, async (tx) => {
      const { payment, deals } = await lockPayment(tx, { nodeId, paymentId: id });
      const charges = await findAttempts(tx, { nodeId, paymentId: id }, 'charge', { lock: true });
      if (charges.some(({ status }) => !OVER.includes(status))) return await closeCharges(tx, payment);
      if (deals.some(({ chainStatus }) => !['none', 'awaiting', 'failed'].includes(chainStatus))) return;
      await tx`update deal set chain_status = 'expired' where node_id = ${nodeId} and payment_id = ${id}`;
      const message = 'The deposit deadline passed and no attempt is open.';
      await restate(tx, { nodeId, paymentId: id }, { message, actor: { type: 'system' } });
    });
  }
}

/** After its settlement deadline a leg goes where its terms say: on chain anybody may call that, here the worker does. */
async function settleByDefault(sql: Sql): Promise<void> {
  const now = BigInt(Math.floor(systemClock.now().getTime() / 1000));
  const due = await sql<{ nodeId: string; paymentId: string; leg: number; defaultOutcome: number }[]>`
    select d.node_id, d.payment_id, d.leg, d.default_outcome from payment p
    join deal d on d.node_id = p.node_id and d.payment_id = p.id
    where p.payment_method <> 'web3' and p.status in ('funded', 'partially_released')
      and d.chain_status = 'funded' and d.cancel_requested_at is null and d.settlement_deadline < ${now.toString()}
      and not exists (
        select 1 from operation o where o.node_id = d.node_id and o.leg_id = d.id and o.status = 'submitted')
    limit ${BATCH_SIZE}`;
  for (const { nodeId, paymentId, leg, defaultOutcome } of due) {
    const settle = defaultOutcome === 1 ? releasePayment : refundPayment;
    await settle(sql, { nodeId, paymentId }, { type: 'system' }, { leg }).catch((error) => {
      // Somebody was faster.
      if (!(error instanceof CoreError) || error.code !== 'illegal_transition') throw error;
    });
  }
}
