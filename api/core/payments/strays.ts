// Owns deals on chain that fund no payment: duplicates and unmatched ones. They are listed, and go back to their payer.
import type { Address, Hex } from 'viem';
import { getAddress } from 'viem';
import type { TermsJson } from '../chain/terms.ts';
import type { Sql, Transaction } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import type { Actor } from '../log.ts';
import type { SeenEvent } from '../proof.ts';
import type { NetworkRow, OperationRow } from '../schema.ts';
import { inFlight, requestOperation } from './operations.ts';

/** A stray deal as the mirror shows it; amounts in base units. */
export type StrayDeal = {
  networkId: string;
  dealId: Hex;
  kind: 'unmatched' | 'duplicate';
  /** Both null when no payment has the deal's number. */
  nodeId: string | null;
  paymentId: string | null;
  payer: Address;
  payee: Address;
  token: Address;
  amount: bigint;
  fee: bigint;
  released: bigint;
  refunded: bigint;
  status: string;
  recordedAt: Date;
  /** The deal's last event, which the amounts and the status follow from. */
  event: SeenEvent;
};

/** A page of stray deals, newest first, and how many there are: a node's, or with null those that bear no number of ours. */
export async function listStrays(
  sql: Sql,
  nodeId: string | null,
  { page, perPage }: { page: number; perPage: number },
): Promise<{ rows: StrayDeal[]; total: number }> {
  const where = sql`s.node_id is not distinct from ${nodeId}::uuid`;
  const [rows, [count]] = await Promise.all([
    sql<StrayRow[]>`
      ${selectStrays(sql)} where ${where}
      order by s.recorded_at desc, s.deal_id limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from (${selectStrays(sql)} where ${where}) s`,
  ]);
  return { rows: rows.map(withEvent), total: count?.total ?? 0 };
}

/** One stray deal, if there is it. */
export async function findStray(
  sql: Sql | Transaction,
  network: Pick<NetworkRow, 'id'>,
  dealId: Hex,
): Promise<StrayDeal | undefined> {
  const [row] = await sql<StrayRow[]>`
    ${selectStrays(sql)} where s.network_id = ${network.id} and s.deal_id = ${dealId}`;
  return row && withEvent(row);
}

type StrayRow = Omit<StrayDeal, 'event'> & Omit<SeenEvent, 'deal'>;

function withEvent({ chainId, diamond, block, transaction, logIndex, head, ...row }: StrayRow): StrayDeal {
  return { ...row, event: { chainId, diamond, deal: row.dealId, block, transaction, logIndex, head } };
}

// What a reorg took away is no row of the mirror any more.
function selectStrays(sql: Sql | Transaction) {
  return sql`
    select s.*, m.payer, m.payee, m.token, m.amount, m.fee, m.released, m.refunded, m.status,
      m.chain_id, m.diamond, m.last_block as block, m.last_transaction as transaction, m.last_log_index as log_index, h.head
    from stray_deal s
    join network n on n.id = s.network_id
    join chain c on c.id = n.chain_id
    join chain.deal m on m.chain_id = c.eip155_id and m.diamond = n.diamond_address and m.id = s.deal_id
    left join network_head h on h.network_id = s.network_id`;
}

/**
 * Sends a stray deal back to its payer; asking again answers with the same operation. One that is no node's is refunded in the
 * name of `unownedBy`.
 * @throws not_found · illegal_transition when the deal names another operator, or nothing is held any more.
 */
export async function refundStray(
  tx: Transaction,
  network: NetworkRow,
  dealId: Hex,
  actor: Actor,
  unownedBy: string | null = null,
): Promise<OperationRow> {
  const [stray] = await tx<{ nodeId: string | null; paymentId: string | null }[]>`
    select node_id, payment_id from stray_deal
    where network_id = ${network.id} and deal_id = ${dealId} for update`;
  const [deal] = await tx<MirroredTerms[]>`
    select * from chain.deal
    where chain_id = ${network.eip155Id} and diamond = ${network.diamondAddress} and id = ${dealId}`;
  const nodeId = stray?.nodeId ?? unownedBy;
  if (!stray || !nodeId || !deal) throw new CoreError('not_found', 'There is no such stray deal.');
  const [latest] = await tx<OperationRow[]>`
    select * from operation where network_id = ${network.id} and deal_id = ${dealId} and stray order by id desc limit 1`;
  if (latest && (inFlight(latest) || latest.status === 'done')) return latest;
  if (deal.operator !== network.operatorAddress) {
    throw new CoreError('illegal_transition', 'The deal names another operator; only its payee can refund it.');
  }
  if (deal.status !== 'funded') throw new CoreError('illegal_transition', `The deal is ${deal.status}.`);
  return await requestOperation(
    tx,
    {
      nodeId,
      paymentId: stray.paymentId,
      legId: null,
      networkId: network.id,
      verb: 'cancelDeal',
      amountUnits: null,
      dealId,
      terms: mirroredTerms(deal),
      stray: true,
    },
    actor,
  );
}

type MirroredTerms = {
  ref: bigint;
  operator: Hex;
  payee: Hex;
  payer: Hex;
  token: Hex;
  amount: bigint;
  fee: bigint;
  feeRecipient: Hex;
  arbiter: Hex;
  depositDeadline: bigint;
  settlementDeadline: bigint;
  resolutionDeadline: bigint;
  defaultOutcome: number;
  status: string;
};

function mirroredTerms(deal: MirroredTerms): TermsJson {
  return {
    ref: deal.ref.toString(),
    operator: getAddress(deal.operator),
    payee: getAddress(deal.payee),
    payer: getAddress(deal.payer),
    token: getAddress(deal.token),
    amount: deal.amount.toString(),
    fee: deal.fee.toString(),
    feeRecipient: getAddress(deal.feeRecipient),
    arbiter: getAddress(deal.arbiter),
    depositDeadline: deal.depositDeadline.toString(),
    settlementDeadline: deal.settlementDeadline.toString(),
    resolutionDeadline: deal.resolutionDeadline.toString(),
    defaultOutcome: deal.defaultOutcome,
  };
}
