// Owns deals on chain that fund no payment: duplicates and unmatched ones. They are listed, and go back to their payer.
import type { Hex } from 'viem';
import { getAddress } from 'viem';
import type { Sql, Transaction } from './db.ts';
import { CoreError } from './errors.ts';
import type { Actor } from './log.ts';
import { inFlight, requestOperation } from './operations.ts';
import type { NetworkRow, OperationRow } from './schema.ts';
import type { TermsJson } from './terms.ts';

/** A stray deal as the mirror shows it; amounts in base units. */
export type StrayDeal = {
  networkId: string;
  dealId: Hex;
  kind: 'unmatched' | 'duplicate';
  nodeId: string;
  paymentId: string;
  payer: Hex;
  token: Hex;
  amount: bigint;
  released: bigint;
  refunded: bigint;
  status: string;
  recordedAt: Date;
};

/** The stray deals that bear a number of one of the node's payments, newest first. */
export async function listStrays(sql: Sql, nodeId: string): Promise<StrayDeal[]> {
  return await sql<StrayDeal[]>`
    select s.*, m.payer, m.token, m.amount, m.released, m.refunded, m.status
    from stray_deal s
    join network n on n.id = s.network_id
    join chain c on c.id = n.chain_id
    join chain.deal m on m.chain_id = c.eip155_id and m.diamond = n.diamond_address and m.id = s.deal_id
    where s.node_id = ${nodeId}
    order by s.recorded_at desc`;
}

/** The node whose payment's number a stray deal bears, if any. */
export async function strayNode(sql: Sql, network: NetworkRow, dealId: Hex): Promise<string | null> {
  const [row] = await sql<{ nodeId: string | null }[]>`
    select node_id from stray_deal where network_id = ${network.id} and deal_id = ${dealId}`;
  return row?.nodeId ?? null;
}

/**
 * Sends a stray deal back to its payer; asking again answers with the same operation.
 * @throws not_found · illegal_transition when the deal names another operator, or nothing is held any more.
 */
export async function refundStray(
  tx: Transaction,
  network: NetworkRow,
  dealId: Hex,
  actor: Actor,
): Promise<OperationRow> {
  const [stray] = await tx<{ nodeId: string | null; paymentId: string | null }[]>`
    select node_id, payment_id from stray_deal
    where network_id = ${network.id} and deal_id = ${dealId} for update`;
  const [deal] = await tx<MirroredTerms[]>`
    select * from chain.deal
    where chain_id = ${network.eip155Id} and diamond = ${network.diamondAddress} and id = ${dealId}`;
  if (!stray?.nodeId || !stray.paymentId || !deal) throw new CoreError('not_found', 'There is no such stray deal.');
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
      nodeId: stray.nodeId,
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
