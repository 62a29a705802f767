// Owns creating payments: everything their deals will say, decided from the request and what stands on the platform, and written
// with log, queued work and kept answer in one transaction. Requests that arrive together share that transaction, not their fate.
import postgres from 'postgres';
import { v7 as uuidv7 } from 'uuid';
import { systemClock } from '../clock.ts';
import { insertRows, isUniqueViolation, type Sql, type Transaction, transact } from '../database/db.ts';
import { enqueue, enqueueNew } from '../database/queue.ts';
import { claimKeys, type KeyedRequest, keepAnswers } from '../database/replay.ts';
import { Together } from '../database/together.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import { writeLogs } from '../log.ts';
import { findMembers, type SealedMember, upsertMember } from '../people/members.ts';
import {
  findCurrencies,
  findNetworks,
  findNodes,
  findWallets,
  type Integration,
  type NodeStanding,
  type WalletRow,
} from '../platform/platform.ts';
import { addFirstCharges } from '../rails/attempts.ts';
import type { Provider, Providers } from '../rails/provider.ts';
import type { CurrencyRow, DealRow, NetworkRow, PaymentRow } from '../schema.ts';
import type { Vault } from '../vault.ts';
import { draftDeals } from './deals.ts';
import type { PaymentKey, PaymentRecord } from './payments.ts';
import { amountOf, checkFee, checkItems, checkRail, checkReferences, legsOf, type PaymentRequest } from './request.ts';

/** A request by an integration, and its Idempotency-Key with the answer to keep under it. */
export type Creation = {
  integration: Integration;
  request: PaymentRequest;
  keyed?: (KeyedRequest & { answerOf: (record: PaymentRecord) => Uint8Array }) | undefined;
};

/** A payment that was created now, or the sealed answer to the request that created it before under the same key. */
export type Created = { record: PaymentRecord } | { answered: Buffer };

/**
 * Creates payments: each with its deals' terms, a log row and the work for the create-payment consumer, in one transaction.
 * Those that are asked for at once are written at once.
 * @throws not_found when node, network or currency do not exist or belong to somebody else; invalid_request with every
 * wrong field; conflict when the external id is taken in the node; in_flight · idempotency_mismatch for its key.
 */
export function paymentCreator(sql: Sql, vault: Vault, providers: Providers): (creation: Creation) => Promise<Created> {
  const together = new Together<Creation, Created>((creations) => createTogether(sql, vault, providers, creations), {
    atOnce: TRANSACTIONS_AT_ONCE,
  });
  // A member's data changes with its payment or not at all, so that a refusal has to undo its own transaction.
  return (creation) =>
    creation.request.member ? createPayment(sql, vault, providers, creation) : together.add(creation);
}

// The next one is filled while this one commits. At 1,400 payments a second, in turn on a machine with nothing else to do: one at a
// time 6 ms (median) and 34 ms (99th percentile), two 8 and 40; the most a second is the same, 2,900.
const TRANSACTIONS_AT_ONCE = 1;

async function createTogether(
  sql: Sql,
  vault: Vault,
  providers: Providers,
  creations: Creation[],
): Promise<(Created | Error)[]> {
  try {
    return await transact(sql, (tx) => createAll(tx, vault, providers, creations));
  } catch (error) {
    // Nothing was written: somebody else was first with a name, or one request is more than the database takes. Alone, each
    // learns its own fate.
    if (!(error instanceof postgres.PostgresError)) throw error;
    return await Promise.all(
      creations.map((creation) => createPayment(sql, vault, providers, creation).catch((reason: Error) => reason)),
    );
  }
}

/** Creates one payment, in the caller's transaction where there is one. @throws as {@link paymentCreator} */
export async function createPayment(
  sql: Sql | Transaction,
  vault: Vault,
  providers: Providers,
  creation: Creation,
): Promise<Created> {
  try {
    return await transact(sql, async (tx) => {
      const [created] = await createAll(tx, vault, providers, [creation]);
      if (!created || created instanceof CoreError) throw created;
      return created;
    });
  } catch (error) {
    if (isUniqueViolation(error, 'payment_node_id_external_id_key')) throw externalIdTaken();
    throw error;
  }
}

/** What becomes of each request: refused, answered before, or a payment that is written with all others. */
async function createAll(
  tx: Transaction,
  vault: Vault,
  providers: Providers,
  creations: readonly Creation[],
): Promise<(Created | CoreError)[]> {
  const [claims, platform] = await Promise.all([
    claimKeys(
      tx,
      creations.map(({ keyed }) => keyed),
    ),
    lookUp(tx, creations),
  ]);
  const written: Drafted[] = [];
  const outcomes: (Created | CoreError)[] = [];
  for (const [index, creation] of creations.entries()) {
    const claim = claims[index];
    if (claim) {
      outcomes.push(claim instanceof CoreError ? claim : { answered: claim });
      continue;
    }
    try {
      const drafted = await draftPayment(tx, vault, creation, { ...platform, providers });
      written.push({ creation, ...drafted });
      outcomes.push({ record: drafted.record });
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      outcomes.push(error);
    }
  }
  await write(tx, written);
  return outcomes;
}

/** What requests refer to, as it stands in the transaction that creates their payments. */
type Platform = {
  now: Date;
  nodes: Map<string, NodeStanding>;
  networks: Map<string, NetworkRow>;
  currencies: Map<string, CurrencyRow>;
  wallets: Map<string, WalletRow>;
  members: Map<string, SealedMember>;
  /** External ids that payments have, or that requests before in the same transaction took; see {@link takenName}. */
  taken: Set<string>;
};

/** Nothing is remembered from earlier: what was archived or disabled a moment ago is found so. */
async function lookUp(tx: Transaction, creations: readonly Creation[]): Promise<Platform> {
  const requests = creations.map(({ request }) => request);
  const nodeIds = requests.map(({ nodeId }) => nodeId);
  const [clock, nodes, networks, currencies, wallets, members, taken] = await Promise.all([
    tx<{ now: Date }[]>`select now() as now`,
    findNodes(tx, nodeIds),
    findNetworks(
      tx,
      requests.flatMap(({ networkId }) => networkId ?? []),
      { keep: true },
    ),
    findCurrencies(
      tx,
      requests.map(({ currencyId }) => currencyId),
      { keep: true },
    ),
    findWallets(
      tx,
      requests.flatMap(({ walletId }) => walletId ?? []),
    ),
    findMembers(
      tx,
      nodeIds,
      requests.flatMap(({ memberId }) => memberId ?? []),
    ),
    // One by one: a plan that was made while the table was small would read all of it.
    tx<{ nodeId: string; externalId: string }[]>`
      select taken.*
      from unnest(${nodeIds}::uuid[], ${requests.map(({ externalId }) => externalId)}::text[]) as asked(node_id, external_id),
        lateral (
          select node_id, external_id from payment p
          where (p.node_id, p.external_id) = (asked.node_id, asked.external_id) limit 1
        ) taken`,
  ]);
  return {
    now: clock[0]?.now ?? new Date(),
    nodes: byId(nodes),
    networks: byId(networks),
    currencies: byId(currencies),
    wallets: byId(wallets),
    members: byId(members.filter((member) => !member.erasedAt)),
    taken: new Set(taken.map(takenName)),
  };
}

function byId<Row extends { id: string }>(rows: readonly Row[]): Map<string, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}

function takenName({ nodeId, externalId }: { nodeId: string; externalId: string }): string {
  return `${nodeId} ${externalId}`;
}

function externalIdTaken(): CoreError {
  return new CoreError('conflict', 'The external id is taken in this node.', [
    { pointer: '/external_id', message: 'is taken in this node' },
  ]);
}

/** A payment as it will be written, and who takes its money when it is on a rail. */
type Drafted = { creation: Creation; record: PaymentRecord; provider: Provider | undefined };

/** The payment and its deals, as they will be written. */
async function draftPayment(
  tx: Transaction,
  vault: Vault,
  { integration, request }: Creation,
  platform: Platform & { providers: Providers },
): Promise<Omit<Drafted, 'creation'>> {
  const node = platform.nodes.get(request.nodeId);
  if (!node?.path.includes(integration.nodeId)) throw new CoreError('not_found', 'The node does not exist.');
  const network = request.networkId === undefined ? null : platform.networks.get(request.networkId);
  if (network === undefined) throw new CoreError('not_found', 'The network does not exist.');
  const currency = platform.currencies.get(request.currencyId);
  if (!currency) throw new CoreError('not_found', 'The currency does not exist.');

  const faults = new FieldFaults();
  const priceUnits = amountOf('/price', request.price, currency, faults);
  const paidPriceUnits = amountOf('/paid_price', request.paidPrice, currency, faults);
  checkItems(request, priceUnits, currency, faults);
  checkReferences(request, { node, network, currency, mode: integration.mode }, platform, faults);
  const { mode } = integration;
  const provider = checkRail(request, { network, currency, mode, providers: platform.providers }, faults);
  const policy = { ...node.policy, ...request.deal };
  const context = { network, currency, policy, expiresAt: request.expiresAt, now: systemClock.now() };
  const ownFees = request.legs?.some((leg) => leg.fee !== undefined) ?? false;
  const fee = ownFees ? 0n : checkFee({ priceUnits, paidPriceUnits }, context, faults);
  const legs = legsOf(request, paidPriceUnits, currency, faults);
  const totalFee = legs.reduce((total, leg) => total + (leg.feeUnits ?? 0n), fee);
  const drafts = draftDeals(legs, totalFee, context, faults);
  faults.throwIfAny();
  if (platform.taken.has(takenName(request))) throw externalIdTaken();

  const member = await memberOf(tx, vault, request, platform);
  platform.taken.add(takenName(request));
  const id = uuidv7();
  const payment: PaymentRow = {
    nodeId: request.nodeId,
    id,
    externalId: request.externalId,
    networkId: network?.id ?? null,
    walletId: request.walletId ?? null,
    memberId: member?.id ?? null,
    currencyId: currency.id,
    priceUnits: priceUnits ?? 0n,
    paidPriceUnits: paidPriceUnits ?? 0n,
    paymentMethod: request.paymentMethod,
    paymentGroup: request.paymentGroup,
    paymentAddress: request.paymentAddress ?? null,
    items: request.items ?? null,
    metadata: request.metadata ?? null,
    notifyUrl: request.notifyUrl ?? null,
    returnUrl: request.returnUrl?.replaceAll('{payment_id}', id) ?? null,
    expiresAt: request.expiresAt,
    retry: request.retry,
    retryCount: request.retryCount,
    clientIp: request.clientIp ?? null,
    status: 'pending',
    accessTokenVersion: 1,
    transactionHash: null,
    createdAt: platform.now,
    updatedAt: platform.now,
  };
  const deals = drafts.map(
    (draft): DealRow => ({
      ...draft,
      nodeId: payment.nodeId,
      id: uuidv7(),
      paymentId: payment.id,
      number: null,
      ref: null,
      offerId: null,
      handedOutAt: null,
      cancelRequestedAt: null,
      cancelledAt: null,
      chainStatus: 'none',
      factBlock: null,
      factTransaction: null,
      factLogIndex: null,
      dealId: null,
      payer: null,
      releasedUnits: 0n,
      refundedUnits: 0n,
      seenTransaction: null,
    }),
  );
  return {
    record: { payment, deals, currency, network, head: null, member, attempts: [], refundRequests: [], proposals: [] },
    provider,
  };
}

/** The member that the request names, or that it describes and that is found or added. */
async function memberOf(
  tx: Transaction,
  vault: Vault,
  { nodeId, member, memberId }: PaymentRequest,
  { members }: Platform,
): Promise<SealedMember | null> {
  if (!member) return (memberId !== undefined && members.get(memberId)) || null;
  const [found] = await findMembers(tx, [nodeId], [await upsertMember(tx, vault, nodeId, member)]);
  return found ?? null;
}

/** Writes payments with everything that must exist exactly when they do. */
async function write(tx: Transaction, written: readonly Drafted[]): Promise<void> {
  const payments = written.map(({ record }) => record.payment);
  const onChain = payments.filter(({ paymentMethod }) => paymentMethod === 'web3');
  const charges = written.flatMap(({ record: { payment }, provider }) =>
    provider ? [{ payment, provider: provider.name }] : [],
  );
  // Sent one after the other without waiting: one way to the database and back.
  await Promise.all([
    insertRows(tx, 'payment', payments),
    insertRows(
      tx,
      'deal',
      written.flatMap(({ record }) => record.deals),
    ),
    writeLogs(
      tx,
      written.map(({ creation, record: { payment } }) => ({
        nodeId: payment.nodeId,
        paymentId: payment.id,
        entry: {
          eventType: 'payment.created',
          message: 'Payment created.',
          status: 'pending',
          actor: { type: 'integration', id: creation.integration.id },
        },
      })),
    ),
    enqueueNew(tx, 'create_payment', onChain.map(workOf)),
    addFirstCharges(tx, charges),
    keepAnswers(
      tx,
      written.flatMap(({ creation: { keyed }, record }) =>
        keyed ? [{ ...keyed, answer: keyed.answerOf(record) }] : [],
      ),
    ),
  ]);
}

/** The work for the create-payment consumer: tried once, or `retryCount` times more when `retry` is set. */
function workOf({ nodeId, id, retry, retryCount }: Pick<PaymentRow, 'nodeId' | 'id' | 'retry' | 'retryCount'>) {
  return { payload: { nodeId, paymentId: id }, key: id, maxAttempts: retry ? retryCount + 1 : 1 };
}

/** Hands a pending payment to the create-payment consumer again. */
export async function enqueueCreation(
  tx: Transaction,
  { nodeId, paymentId }: PaymentKey,
  { retry, retryCount }: Pick<PaymentRow, 'retry' | 'retryCount'>,
): Promise<void> {
  const { payload, ...terms } = workOf({ nodeId, id: paymentId, retry, retryCount });
  await enqueue(tx, 'create_payment', payload, terms);
}
