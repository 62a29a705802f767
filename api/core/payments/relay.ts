/**
 * Owns gasless deposits: a buyer signs, our submitter pays the fee. Only terms that we froze and handed out for that very payer
 * are relayed, a signature is tried on the chain before it becomes an operation, and what it may cost us is bounded.
 */
import type { Address } from 'viem';
import { dealId } from '../../../contracts/terms.ts';
import { callData } from '../chain/calls.ts';
import { type Chain, isRevert, reachable, reasonOf } from '../chain/chain.ts';
import { termsToJson } from '../chain/terms.ts';
import { systemClock } from '../clock.ts';
import { type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { relaysPerDay } from '../platform/quotas.ts';
import type { DealRow, NetworkRow, OperationRow, RelayedSignature } from '../schema.ts';
import { lockPayment } from './actions.ts';
import { termsOf } from './deals.ts';
import { isPayable } from './handout.ts';
import { inFlight, latestOperation, requestOperation } from './operations.ts';
import { loadPayment, networkOf, type PaymentKey } from './payments.ts';

// A signature that was right when it was tried can still revert, when its signer moves the money away: that costs us about
// 60,000 gas. Who does so three times in a day pays by their own means.
const MAX_FAILED_PER_PAYER = 3;
const MAX_PER_PAYER = 50;
const MAX_PER_PAYMENT = 5;
// Long enough for a busy chain; an operation ends by itself once its signature is over.
const MAX_VALID_SECONDS = 3_600n + 300n;

const VERBS = { authorization: 'depositWithAuthorization', permit2: 'depositWithPermit2' } as const;

/**
 * Takes a payer's signature over the one leg of a payment and queues its deposit; the same signature again answers with the
 * same operation.
 * @throws illegal_transition: not awaiting a deposit, several legs, or terms that were not handed out for this payer ·
 * invalid_request: valid for too long · in_flight: another signature is under way · rate_limited · chain_reverted with the
 * contract's reason · upstream_unavailable.
 */
export async function relayDeposit(
  sql: Sql,
  chain: Chain,
  key: PaymentKey,
  relay: RelayedSignature,
): Promise<OperationRow> {
  const record = await loadPayment(sql, key);
  const { deals } = record;
  const [deal] = deals;
  if (!deal || deals.length > 1)
    throw new CoreError('illegal_transition', 'A payment to several payees is not relayed.');
  const known = await latestOperation(sql, deal);
  if (known?.relay?.signature === relay.signature && known.status !== 'failed') return known;
  requirePayable(deal);
  const network = networkOf(record);
  requireSoon(relay);
  await requireHandedOut(sql, deal, relay.payer);
  await requireQuota(sql, network, key, relay.payer);
  const terms = termsOf(deal, relay.payer);
  const call = { verb: VERBS[relay.form], terms: termsToJson(terms), amountUnits: null, arguments: null, relay };
  await trySending(chain, network, callData(call));
  return await transact(sql, async (tx) => {
    const locked = (await lockPayment(tx, key)).deals.find(({ id }) => id === deal.id);
    if (!locked) throw new Error('The leg has gone.');
    const latest = await latestOperation(tx, locked);
    if (latest && inFlight(latest)) {
      if (latest.relay?.signature === relay.signature) return latest;
      throw new CoreError('in_flight', `${latest.verb} is under way; wait for the chain's answer.`);
    }
    requirePayable(locked);
    return await requestOperation(
      tx,
      {
        ...key,
        legId: deal.id,
        networkId: network.id,
        verb: call.verb,
        terms: call.terms,
        amountUnits: null,
        relay,
        dealId: dealId(terms, Number(network.eip155Id), network.diamondAddress),
        stray: false,
      },
      { type: 'payer' },
    );
  });
}

function requirePayable(deal: DealRow): void {
  if (!isPayable(deal)) throw new CoreError('illegal_transition', 'The payment does not wait for a deposit.');
}

function requireSoon(relay: RelayedSignature): void {
  const [field, until] =
    relay.form === 'permit2' ? ['deadline', BigInt(relay.deadline)] : ['valid_before', BigInt(relay.validBefore)];
  if (until <= BigInt(Math.floor(systemClock.now().getTime() / 1_000)) + MAX_VALID_SECONDS) return;
  throw new CoreError('invalid_request', `Not valid: ${field}.`, [
    { pointer: `/${field}`, message: 'must be within the next hour' },
  ]);
}

async function requireHandedOut(sql: Sql, deal: DealRow, payer: Address): Promise<void> {
  const [form] = await sql`
    select 1 from handed_out_form where node_id = ${deal.nodeId} and leg_id = ${deal.id} and payer = ${payer}`;
  if (!form) throw new CoreError('illegal_transition', 'These terms were not handed out for this payer.');
}

async function requireQuota(
  sql: Sql | Transaction,
  network: NetworkRow,
  { nodeId, paymentId }: PaymentKey,
  payer: Address,
): Promise<void> {
  const [used] = await sql<{ byPayer: number; failedByPayer: number; byPayment: number; byNode: number }[]>`
    select
      (select count(*)::int from operation where relay is not null and network_id = ${network.id}
        and relay ->> 'payer' = ${payer} and created_at > now() - interval '1 day') as by_payer,
      (select count(*)::int from operation where relay is not null and network_id = ${network.id}
        and relay ->> 'payer' = ${payer} and status = 'failed' and created_at > now() - interval '1 day') as failed_by_payer,
      (select count(*)::int from operation where relay is not null and node_id = ${nodeId}
        and payment_id = ${paymentId}) as by_payment,
      (select count(*)::int from operation where relay is not null and node_id = ${nodeId}
        and created_at > now() - interval '1 day') as by_node`;
  if (!used) return;
  const isOver =
    used.byPayer >= MAX_PER_PAYER ||
    used.failedByPayer >= MAX_FAILED_PER_PAYER ||
    used.byPayment >= MAX_PER_PAYMENT ||
    used.byNode >= (await relaysPerDay(sql, nodeId));
  if (isOver)
    throw new CoreError('rate_limited', 'No more deposits are relayed here for now; pay from the wallet itself.');
}

/** Runs the call without sending it: signature, balance, deadlines and the deal's slot are the contracts' own to judge. */
async function trySending(chain: Chain, network: NetworkRow, data: `0x${string}`): Promise<void> {
  const { operatorAddress: account, diamondAddress: to } = network;
  try {
    await chain.client(network).call({ account, to, data });
  } catch (error) {
    if (!isRevert(error)) await reachable(network, () => Promise.reject(error));
    throw new CoreError('chain_reverted', `The deposit would be refused: ${reasonOf(error)}.`);
  }
}
