// Owns what a buyer's wallet says it has sent. It is a hint and moves nothing. While the mirror has nothing of a leg, its receipt
// is looked at: a deposit under the hash of our frozen terms shows the leg confirming, and nothing more, for as long as it is there.
import type { Hex } from 'viem';
import { dealId as hashOf } from '../../../contracts/terms.ts';
import type { Chain, SeenDeposit } from '../chain/chain.ts';
import { type Sql, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import type { DealRow, NetworkRow } from '../schema.ts';
import { lockPayment, restate } from './actions.ts';
import { termsOf } from './deals.ts';
import type { PaymentKey } from './payments.ts';

// Looks at one report come ever less often: every settle pass at first, after a minute every 8 s, later once a minute.
const LOOKS_AT_ONCE = 50;

/** Keeps the hash of a deposit that was sent, in place of an earlier one. */
export async function reportTransaction(sql: Sql, { nodeId, paymentId }: PaymentKey, hash: Hex): Promise<void> {
  await sql`
    insert into reported_transaction ${sql({ nodeId, paymentId, transactionHash: hash.toLowerCase() })}
    on conflict (node_id, payment_id) do update
    set transaction_hash = excluded.transaction_hash, reported_at = now(), next_look_at = now()`;
}

/** Forgets it: the wallet says that it was dropped or refused. What a receipt has shown, no word of a wallet undoes. */
export async function withdrawReport(sql: Sql, { nodeId, paymentId }: PaymentKey): Promise<void> {
  await sql`
    delete from reported_transaction r where node_id = ${nodeId} and payment_id = ${paymentId} and not exists (
      select 1 from deal d
      where d.node_id = r.node_id and d.payment_id = r.payment_id and d.seen_transaction is not null)`;
}

/** Looks at the receipts of reported transactions of a network that are due. A node that does not answer changes nothing. */
export async function lookAtReports(sql: Sql, chain: Chain, network: NetworkRow): Promise<void> {
  const due = await sql<(PaymentKey & { transactionHash: Hex })[]>`
    update reported_transaction r
    set next_look_at = now() + least(greatest((now() - r.reported_at) / 8, interval '200 ms'), interval '1 minute')
    from (
      select r.node_id, r.payment_id from reported_transaction r
      join payment p on p.node_id = r.node_id and p.id = r.payment_id
      where r.next_look_at <= now() and p.network_id = ${network.id}
      order by r.next_look_at limit ${LOOKS_AT_ONCE} for update of r skip locked
    ) due
    where r.node_id = due.node_id and r.payment_id = due.payment_id
    returning r.node_id, r.payment_id, r.transaction_hash`;
  await Promise.all(
    due.map(async ({ transactionHash, ...key }) => {
      try {
        await look(sql, chain, network, key, transactionHash);
      } catch (error) {
        if (!(error instanceof CoreError) || error.code !== 'upstream_unavailable') throw error;
      }
    }),
  );
}

async function look(sql: Sql, chain: Chain, network: NetworkRow, key: PaymentKey, reported: Hex): Promise<void> {
  const { nodeId, paymentId } = key;
  // Another report in its place does not make a deposit unseen.
  const known = await sql<{ hash: Hex }[]>`
    select distinct seen_transaction as hash from deal
    where node_id = ${nodeId} and payment_id = ${paymentId} and chain_status = 'none' and seen_transaction is not null`;
  const hashes = new Set([reported, ...known.map(({ hash }) => hash)]);
  const deposits: SeenDeposit[] = [];
  for (const hash of hashes) deposits.push(...(await chain.depositsOf(network, hash)));
  await transact(sql, async (tx) => {
    const { deals } = await lockPayment(tx, key);
    const unmirrored = deals.filter((deal) => deal.chainStatus === 'none' && deal.offerId !== null);
    let seen = false;
    let unseen = false;
    for (const deal of unmirrored) {
      const hash = deposits.find((deposit) => isOf(network, deal, deposit))?.transactionHash ?? null;
      if (hash === deal.seenTransaction) continue;
      await tx`update deal set seen_transaction = ${hash} where node_id = ${nodeId} and id = ${deal.id}`;
      if (hash) seen = true;
      else unseen = true;
    }
    if (seen || unseen) {
      await restate(tx, key, {
        message: seen
          ? 'The receipt of the reported transaction shows a deposit; it is not mirrored yet.'
          : 'The deposit of the reported transaction is on chain no more.',
        actor: { type: 'chain' },
        finality: 'unsafe',
        takenBack: unseen && !seen,
      });
    }
    const isShown = unmirrored.some((deal) => deposits.some((deposit) => isOf(network, deal, deposit)));
    await tx`
      update reported_transaction set next_look_at = null
      where node_id = ${nodeId} and payment_id = ${paymentId} and transaction_hash = ${reported}
        and ${unmirrored.length === 0 ? tx`true` : isShown ? tx`false` : tx`reported_at < now() - interval '1 day'`}`;
  });
}

/** Whether a deposit is of a leg's frozen terms, accepted by whoever paid. */
function isOf(network: NetworkRow, deal: DealRow, { id, payer }: SeenDeposit): boolean {
  return hashOf(termsOf(deal, payer), Number(network.eip155Id), network.diamondAddress) === id;
}
