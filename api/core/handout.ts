// Owns handing out call data: a payment's access token opens it, and only while a deposit is possible. That it was handed out
// is recorded first: from then on a cancellation has to close the offer on chain.
import { lockPayment } from './actions.ts';
import { type Sql, transact } from './db.ts';
import { CoreError } from './errors.ts';
import { loadPayment, type PaymentRecord } from './payments.ts';
import type { DealRow } from './schema.ts';
import { legStatus } from './status.ts';

/** What a widget shows; `payable` are the legs that wait for their deposit. */
export type WidgetRecord = PaymentRecord & { payable: DealRow[] };

/**
 * The payment behind a verified access token.
 * @throws not_found · unauthenticated when the token was rotated away.
 */
export async function openWidget(
  sql: Sql,
  { paymentId, version }: { paymentId: string; version: number },
): Promise<WidgetRecord> {
  const [row] = await sql<{ nodeId: string; accessTokenVersion: number }[]>`
    select node_id, access_token_version from payment where id = ${paymentId}`;
  if (!row) throw new CoreError('not_found', 'The payment does not exist.');
  if (row.accessTokenVersion !== version) throw new CoreError('unauthenticated', 'The access token was replaced.');
  const key = { nodeId: row.nodeId, paymentId };
  const record = await loadPayment(sql, key);
  if (record.deals.filter(isPayable).every((deal) => deal.handedOutAt)) return withPayable(record);
  await transact(sql, async (tx) => {
    const { deals } = await lockPayment(tx, key);
    const ids = deals.filter(isPayable).map((deal) => deal.id);
    if (ids.length === 0) return;
    await tx`
      update deal set handed_out_at = coalesce(handed_out_at, now())
      where node_id = ${key.nodeId} and id in ${tx(ids)}`;
  });
  return withPayable(await loadPayment(sql, key));
}

function withPayable(record: PaymentRecord): WidgetRecord {
  return { ...record, payable: record.deals.filter((deal) => isPayable(deal) && deal.handedOutAt) };
}

function isPayable(deal: DealRow): boolean {
  return legStatus(deal) === 'awaiting_deposit' && deal.depositDeadline * 1000n > BigInt(Date.now());
}
