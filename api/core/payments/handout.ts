// Owns handing out call data: a payment's access token opens it, and only while a deposit is possible. What was handed out is
// recorded first: from then on a cancellation has to close it on chain, the offer and every form with a payer in it.
import { type Address, type Hex, zeroAddress } from 'viem';
import type { Terms } from '../../../contracts/terms.ts';
import { signaturesOf, type TokenSignatures } from '../chain/signatures.ts';
import { systemClock } from '../clock.ts';
import { type Sql, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { relaysPerDay } from '../platform/quotas.ts';
import type { DealRow, OperationRow } from '../schema.ts';
import { legStatus } from '../status.ts';
import { lockPayment } from './actions.ts';
import { termsOf } from './deals.ts';
import { loadPayment, type PaymentKey, type PaymentRecord } from './payments.ts';

/** What a widget shows. */
export type WidgetRecord = PaymentRecord & {
  /** The legs that wait for their deposit, each with the terms to deposit under. */
  payable: { deal: DealRow; terms: Terms }[];
  signatures: TokenSignatures;
  /** The hash that a wallet said it has sent. */
  reportedHash: Hex | null;
  /** Whether the operator sends signed deposits for the payment's node. */
  relays: boolean;
  /** The last signature that was taken for relaying. */
  relay: Pick<OperationRow, 'status' | 'error'> | null;
};

// Each form costs about 25,000 gas more when an unpaid payment is cancelled; a buyer tries a wallet or two.
const MAX_FORMS = 8;

/** The payment that verified claims of an access token open. @throws not_found · unauthenticated: the token was replaced. */
export async function widgetKey(
  sql: Sql,
  { paymentId, version }: { paymentId: string; version: number },
): Promise<PaymentKey> {
  const [row] = await sql<{ nodeId: string; accessTokenVersion: number }[]>`
    select node_id, access_token_version from payment where id = ${paymentId}`;
  if (!row) throw new CoreError('not_found', 'The payment does not exist.');
  if (row.accessTokenVersion !== version) throw new CoreError('unauthenticated', 'The access token was replaced.');
  return { nodeId: row.nodeId, paymentId };
}

/** The payment for the payee of one of its legs: that leg alone, and nothing to deposit. @throws not_found: no such leg */
export async function openForPayee(sql: Sql, key: PaymentKey, leg: number): Promise<WidgetRecord> {
  const record = await loadPayment(sql, key);
  const deals = record.deals.filter((deal) => deal.leg === leg);
  if (deals.length === 0) throw new CoreError('not_found', `The payment has no leg ${leg}.`);
  const signatures = await signaturesOf(sql, record.currency);
  return { ...record, deals, attempts: [], payable: [], signatures, reportedHash: null, relays: false, relay: null };
}

/**
 * The payment for its widget, with the terms as an offer or, given a payer (lowercase), with that payer fixed.
 * @throws conflict when the terms were handed out for too many payers already.
 */
export async function openWidget(sql: Sql, key: PaymentKey, payer: Address | null): Promise<WidgetRecord> {
  let record = await loadPayment(sql, key);
  const open = record.deals.filter(isPayable);
  if (!open.every((deal) => deal.handedOutAt) || (payer && open.length > 0)) {
    await handOut(sql, key, payer);
    record = await loadPayment(sql, key);
  }
  const [signatures, perDay, [reported], [relay]] = await Promise.all([
    signaturesOf(sql, record.currency),
    relaysPerDay(sql, key.nodeId),
    sql<{ transactionHash: Hex }[]>`
      select transaction_hash from reported_transaction
      where node_id = ${key.nodeId} and payment_id = ${key.paymentId}`,
    sql<Pick<OperationRow, 'status' | 'error'>[]>`
      select status, error from operation
      where node_id = ${key.nodeId} and payment_id = ${key.paymentId} and relay is not null order by id desc limit 1`,
  ]);
  const payable = record.deals
    .filter((deal) => isPayable(deal) && deal.handedOutAt)
    .map((deal) => ({ deal, terms: termsOf(deal, payer ?? zeroAddress) }));
  return {
    ...record,
    payable,
    signatures,
    reportedHash: reported?.transactionHash ?? null,
    relays: perDay > 0 && record.deals.length === 1,
    relay: relay ?? null,
  };
}

/** Records that call data leaves the house, before it does. */
async function handOut(sql: Sql, key: PaymentKey, payer: Address | null): Promise<void> {
  await transact(sql, async (tx) => {
    const { deals } = await lockPayment(tx, key);
    const ids = deals.filter(isPayable).map((deal) => deal.id);
    if (ids.length === 0) return;
    await tx`
      update deal set handed_out_at = coalesce(handed_out_at, now())
      where node_id = ${key.nodeId} and id in ${tx(ids)}`;
    if (!payer) return;
    for (const legId of ids) {
      await tx`
        insert into handed_out_form ${tx({ nodeId: key.nodeId, legId, payer })} on conflict do nothing`;
    }
    const [most] = await tx<{ forms: number }[]>`
      select count(*)::int as forms from handed_out_form where node_id = ${key.nodeId} and leg_id in ${tx(ids)}
      group by leg_id order by forms desc limit 1`;
    if ((most?.forms ?? 0) > MAX_FORMS) {
      throw new CoreError(
        'conflict',
        `Terms were handed out for ${MAX_FORMS} payers already; pay by allowance instead.`,
      );
    }
  });
}

/** Whether a leg waits for a deposit that would still be in time. */
export function isPayable(deal: DealRow): boolean {
  const onChain = deal.offerId !== null;
  return (
    legStatus(deal) === 'awaiting_deposit' &&
    onChain &&
    deal.depositDeadline * 1000n > BigInt(systemClock.now().getTime())
  );
}
