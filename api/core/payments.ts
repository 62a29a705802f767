// Owns payments: created with everything their deal will say, read back, and found by who may see them.
// What happens to one afterwards is in actions.ts (asked for) and settle.ts (seen on chain).
import { v7 as uuidv7 } from 'uuid';
import type { Address } from 'viem';
import { columns, isUniqueViolation, type Sql, type Transaction, transact } from './db.ts';
import { type DealContext, type DealDraft, draftDeals, feeOf, type LegRequest } from './deals.ts';
import { destinationFault } from './destinations.ts';
import { CoreError, FieldFaults } from './errors.ts';
import { type Actor, writeLog } from './log.ts';
import { findMembers, isMember, type Member, type SealedMember, upsertMember } from './members.ts';
import { AmountError, formatUnits, parseUnits } from './money.ts';
import {
  findCurrency,
  findNetwork,
  type Integration,
  isArchived,
  isLocal,
  mayActOn,
  policyOf,
  walletAddress,
} from './platform.ts';
import { enqueue } from './queue.ts';
import type {
  CurrencyRow,
  DealPolicy,
  DealRow,
  NetworkRow,
  PaymentGroup,
  PaymentItem,
  PaymentMethod,
  PaymentRow,
} from './schema.ts';
import type { Vault } from './vault.ts';

/** A request for money. Decimals are the request's own text; addresses are lowercase. */
export type PaymentRequest = {
  externalId: string;
  nodeId: string;
  chainId?: string | undefined;
  networkId: string;
  walletId?: string | undefined;
  memberId?: string | undefined;
  member?: Member | undefined;
  currencyId: string;
  price: string;
  paidPrice: string;
  paymentMethod: PaymentMethod;
  paymentGroup: PaymentGroup;
  paymentAddress: Address;
  items?: PaymentItem[] | undefined;
  metadata?: string | undefined;
  /** Gets this payment's events, signed with the node's notification key. */
  notifyUrl?: string | undefined;
  expiresAt: Date;
  retry: boolean;
  retryCount: number;
  clientIp?: string | undefined;
  /** Who gets how much; null: the whole amount goes to `paymentAddress`. */
  legs: { externalId: string | null; paymentAddress: Address; paidPrice: string }[] | null;
  /** Overrides single fields of the node's deal policy. */
  deal: Partial<DealPolicy>;
};

/** A payment with what is needed to show it. */
export type PaymentRecord = {
  payment: PaymentRow;
  /** Its legs, at least one. */
  deals: DealRow[];
  currency: CurrencyRow;
  network: NetworkRow;
  /** Still sealed: most who load a payment need not know whom it is for. */
  member: SealedMember | null;
};

/** Who asks, and for which payment. */
export type PaymentKey = { nodeId: string; paymentId: string };

/**
 * Creates a payment: the payment, its deal's terms, a log row and the work for the create-payment consumer, in one transaction.
 * @throws not_found when node, network or currency do not exist or belong to somebody else; invalid_request with every
 * wrong field; conflict when the external id is taken in the node.
 */
export async function createPayment(
  sql: Sql | Transaction,
  vault: Vault,
  integration: Integration,
  request: PaymentRequest,
): Promise<PaymentRecord> {
  if (!(await mayActOn(sql, integration, request.nodeId))) throw new CoreError('not_found', 'The node does not exist.');
  const [network, currency, policy] = await Promise.all([
    findNetwork(sql, request.networkId),
    findCurrency(sql, request.currencyId),
    policyOf(sql, request.nodeId),
  ]);
  const faults = new FieldFaults();
  const priceUnits = amountOf('/price', request.price, currency, faults);
  const paidPriceUnits = amountOf('/paid_price', request.paidPrice, currency, faults);
  checkItems(request, priceUnits, currency, faults);
  await checkReferences(sql, request, { network, currency, mode: integration.mode }, faults);
  const context = { network, currency, policy: { ...policy, ...request.deal }, expiresAt: request.expiresAt };
  const fee = checkFee({ priceUnits, paidPriceUnits }, context, faults);
  const drafts = draftDeals(legsOf(request, paidPriceUnits, currency, faults), fee, context, faults);
  faults.throwIfAny();
  try {
    const key = await transact(sql, (tx) =>
      insertPayment(tx, vault, integration, {
        request,
        drafts,
        priceUnits: priceUnits ?? 0n,
        paidPriceUnits: paidPriceUnits ?? 0n,
      }),
    );
    return await loadPayment(sql, key);
  } catch (error) {
    if (!isUniqueViolation(error, 'payment_node_id_external_id_key')) throw error;
    throw new CoreError('conflict', 'The external id is taken in this node.', [
      { pointer: '/external_id', message: 'is taken in this node' },
    ]);
  }
}

function amountOf(pointer: string, text: string, currency: CurrencyRow, faults: FieldFaults): bigint | null {
  try {
    const units = parseUnits(text, currency.decimals);
    if (pointer === '/price' && units === 0n) faults.add(pointer, 'must be greater than 0');
    return units;
  } catch (error) {
    if (!(error instanceof AmountError)) throw error;
    faults.add(pointer, error.message);
    return null;
  }
}

function checkItems(
  { items }: PaymentRequest,
  priceUnits: bigint | null,
  currency: CurrencyRow,
  faults: FieldFaults,
): void {
  if (!items?.some((item) => item.price !== null)) return;
  const prices = items.map((item, index) =>
    item.price === null ? 0n : amountOf(`/items/${index}/price`, item.price, currency, faults),
  );
  if (priceUnits === null || prices.includes(null)) return;
  const sum = prices.reduce((total: bigint, price) => total + (price ?? 0n), 0n);
  if (sum !== priceUnits) faults.add('/items', `sum to ${sum} base units, but price is ${priceUnits}`);
}

/** The fee of the whole payment. Borne by the payer, it is computed on the price, and paid_price must be both together. */
function checkFee(
  { priceUnits, paidPriceUnits }: { priceUnits: bigint | null; paidPriceUnits: bigint | null },
  { policy, currency }: DealContext,
  faults: FieldFaults,
): bigint {
  if (priceUnits === null || paidPriceUnits === null) return 0n;
  if (policy.feeBearer === 'payer') {
    const fee = feeOf(priceUnits, policy, currency, faults);
    if (paidPriceUnits !== priceUnits + fee) {
      const expected = formatUnits(priceUnits + fee, currency.decimals);
      faults.add('/paid_price', `must be ${expected}: the price plus the fee, which the payer bears`);
    }
    return fee;
  }
  const fee = feeOf(paidPriceUnits, policy, currency, faults);
  if (fee > paidPriceUnits) faults.add('/paid_price', 'is less than the fee');
  return fee;
}

/** The legs that a request names, or the one that it implies; their amounts must sum to what is paid. */
function legsOf(
  request: PaymentRequest,
  paidPriceUnits: bigint | null,
  currency: CurrencyRow,
  faults: FieldFaults,
): LegRequest[] {
  // An amount that is not one has its own fault already; one unit keeps the rest of the checks meaningful.
  if (!request.legs) {
    const [payeePointer, amountPointer] = ['/payment_address', '/paid_price'];
    const amountUnits = paidPriceUnits ?? 1n;
    return [{ externalId: null, payee: request.paymentAddress, payeePointer, amountUnits, amountPointer }];
  }
  const legs = request.legs.map((leg, index) => {
    const amountPointer = `/legs/${index}/paid_price`;
    return {
      externalId: leg.externalId,
      payee: leg.paymentAddress,
      payeePointer: `/legs/${index}/payment_address`,
      amountUnits: amountOf(amountPointer, leg.paidPrice, currency, faults) ?? 1n,
      amountPointer,
    };
  });
  const sum = legs.reduce((total, leg) => total + leg.amountUnits, 0n);
  if (paidPriceUnits !== null && sum !== paidPriceUnits) {
    faults.add('/legs', `sum to ${sum} base units, but paid_price is ${paidPriceUnits}`);
  }
  return legs;
}

async function checkReferences(
  sql: Sql | Transaction,
  request: PaymentRequest,
  { network, currency, mode }: { network: NetworkRow; currency: CurrencyRow; mode: Integration['mode'] },
  faults: FieldFaults,
): Promise<void> {
  if (await isArchived(sql, request.nodeId)) faults.add('/node_id', 'is archived');
  if (network.archivedAt) faults.add('/network_id', 'is archived');
  if (network.mode !== mode) faults.add('/network_id', `is a ${network.mode} network, but the integration is ${mode}`);
  if (currency.archivedAt) faults.add('/currency_id', 'is archived');
  if (currency.networkId !== network.id) faults.add('/currency_id', 'is not a currency of the network');
  if (request.chainId !== undefined && request.chainId !== network.chainId) {
    faults.add('/chain_id', "is not the network's chain");
  }
  if (request.paymentMethod !== 'web3') {
    faults.add('/payment_method', `${request.paymentMethod} has no provider on this installation`);
  }
  if (request.notifyUrl !== undefined) {
    const fault = destinationFault(request.notifyUrl, { local: await isLocal(sql, request.nodeId) });
    if (fault) faults.add('/notify_url', fault);
  }
  if (request.memberId !== undefined && request.member !== undefined) {
    faults.add('/member', 'must be left out when member_id is given');
  }
  if (request.memberId !== undefined && !(await isMember(sql, request.nodeId, request.memberId))) {
    faults.add('/member_id', 'is not a member of the node');
  }
  if (request.walletId !== undefined) {
    const address = await walletAddress(sql, { nodeId: request.nodeId, networkId: network.id, id: request.walletId });
    if (!address) faults.add('/wallet_id', 'is not a wallet of the node on this network');
    else if (address !== request.paymentAddress) faults.add('/payment_address', 'is not the address of wallet_id');
  }
}

async function insertPayment(
  tx: Transaction,
  vault: Vault,
  integration: Integration,
  created: { request: PaymentRequest; drafts: DealDraft[]; priceUnits: bigint; paidPriceUnits: bigint },
): Promise<PaymentKey> {
  const { request, drafts, priceUnits, paidPriceUnits } = created;
  const { nodeId } = request;
  const id = uuidv7();
  const memberId = request.member ? await upsertMember(tx, vault, nodeId, request.member) : request.memberId;
  const row = {
    nodeId,
    id,
    externalId: request.externalId,
    networkId: request.networkId,
    walletId: request.walletId ?? null,
    memberId: memberId ?? null,
    currencyId: request.currencyId,
    priceUnits,
    paidPriceUnits,
    paymentMethod: request.paymentMethod,
    paymentGroup: request.paymentGroup,
    paymentAddress: request.paymentAddress,
    items: request.items ? tx.json(request.items) : null,
    metadata: request.metadata ?? null,
    notifyUrl: request.notifyUrl ?? null,
    expiresAt: request.expiresAt,
    retry: request.retry,
    retryCount: request.retryCount,
    clientIp: request.clientIp ?? null,
    status: 'pending',
  };
  await tx`insert into payment ${tx(columns(row))}`;
  for (const draft of drafts) {
    await tx`insert into deal ${tx(columns({ nodeId, id: uuidv7(), paymentId: id, ...draft }))}`;
  }
  const actor: Actor = { type: 'integration', id: integration.id };
  await writeLog(tx, { nodeId, paymentId: id }, { eventType: 'payment.created', message: 'Payment created.', actor });
  await enqueueCreation(tx, { nodeId, paymentId: id }, row);
  return { nodeId, paymentId: id };
}

/** Hands a pending payment to the create-payment consumer: tried once, or `retryCount` times more when `retry` is set. */
export async function enqueueCreation(
  tx: Transaction,
  key: PaymentKey,
  { retry, retryCount }: Pick<PaymentRow, 'retry' | 'retryCount'>,
): Promise<void> {
  await enqueue(tx, 'create_payment', key, { key: key.paymentId, maxAttempts: retry ? retryCount + 1 : 1 });
}

/** A payment that is known to exist, with its deal, currency, network and member. */
export async function loadPayment(sql: Sql | Transaction, { nodeId, paymentId }: PaymentKey): Promise<PaymentRecord> {
  const [record] = await loadRecords(
    sql,
    await sql<PaymentRow[]>`select * from payment where node_id = ${nodeId} and id = ${paymentId}`,
  );
  if (!record) throw new CoreError('not_found', 'The payment does not exist.');
  return record;
}

async function loadRecords(sql: Sql | Transaction, payments: PaymentRow[]): Promise<PaymentRecord[]> {
  if (payments.length === 0) return [];
  const nodeIds = [...new Set(payments.map((payment) => payment.nodeId))];
  const ids = payments.map((payment) => payment.id);
  const memberIds = payments.flatMap((payment) => payment.memberId ?? []);
  const [deals, currencies, networks, members] = await Promise.all([
    sql<DealRow[]>`select * from deal where node_id in ${sql(nodeIds)} and payment_id in ${sql(ids)} order by leg`,
    sql<CurrencyRow[]>`select * from currency where id in ${sql(unique(payments, 'currencyId'))}`,
    sql<NetworkRow[]>`
      select n.*, c.eip155_id from network n join chain c on c.id = n.chain_id
      where n.id in ${sql(unique(payments, 'networkId'))}`,
    findMembers(sql, nodeIds, memberIds),
  ]);
  return payments.map((payment) => ({
    payment,
    deals: deals.filter((deal) => deal.paymentId === payment.id),
    currency: found(currencies, (currency) => currency.id === payment.currencyId),
    network: found(networks, (network) => network.id === payment.networkId),
    member: members.find((member) => member.id === payment.memberId) ?? null,
  }));
}

function unique<Row, Field extends keyof Row>(rows: Row[], field: Field): Row[Field][] {
  return [...new Set(rows.map((row) => row[field]))];
}

function found<Row>(rows: Row[], matches: (row: Row) => boolean): Row {
  const row = rows.find(matches);
  if (!row) throw new Error('A payment refers to a row that is missing.');
  return row;
}

/**
 * The key of a payment that the integration may act on.
 * @throws not_found, or `foreign` (by default not_found too) when the payment belongs to a node that is not below its own.
 */
export async function authorizePayment(
  sql: Sql | Transaction,
  integration: Integration,
  paymentId: string,
  { foreign = 'not_found' }: { foreign?: 'not_found' | 'forbidden' } = {},
): Promise<PaymentKey> {
  const [row] = await sql<{ nodeId: string }[]>`select node_id from payment where id = ${paymentId}`;
  if (!row) throw new CoreError('not_found', 'The payment does not exist.');
  if (!(await mayActOn(sql, integration, row.nodeId))) {
    if (foreign === 'not_found') throw new CoreError('not_found', 'The payment does not exist.');
    throw new CoreError('forbidden', "The integration has no rights on the payment's node.");
  }
  return { nodeId: row.nodeId, paymentId };
}

/** Which payments of a node to list. */
export type PaymentFilter = {
  nodeId: string;
  walletId?: string | undefined;
  networkId?: string | undefined;
  paymentGroup?: PaymentGroup | undefined;
};

/** A page of a node's payments, newest first, and how many there are. @throws not_found when the node is not the caller's. */
export async function listPayments(
  sql: Sql | Transaction,
  integration: Integration,
  filter: PaymentFilter,
  { page, perPage }: { page: number; perPage: number },
): Promise<{ records: PaymentRecord[]; total: number }> {
  if (!(await mayActOn(sql, integration, filter.nodeId))) throw new CoreError('not_found', 'The node does not exist.');
  const where = sql`
    node_id = ${filter.nodeId}
    ${filter.walletId ? sql`and wallet_id = ${filter.walletId}` : sql``}
    ${filter.networkId ? sql`and network_id = ${filter.networkId}` : sql``}
    ${filter.paymentGroup ? sql`and payment_group = ${filter.paymentGroup}` : sql``}`;
  const [payments, [count]] = await Promise.all([
    sql<PaymentRow[]>`
      select * from payment where ${where}
      order by created_at desc, id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from payment where ${where}`,
  ]);
  return { records: await loadRecords(sql, payments), total: count?.total ?? 0 };
}
