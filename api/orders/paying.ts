// Owns how a transaction of this dialect becomes verbs of the core: an order's PAYMENT a payment with one leg a split, its REFUND
// refunds of legs. Names what the core refuses in the dialect's own fields.
import { actorOf } from '../callers.ts';
import { systemClock } from '../core/clock.ts';
import type { Transaction } from '../core/database/db.ts';
import { CoreError, FieldFaults } from '../core/errors.ts';
import { formatUnits } from '../core/money.ts';
import { heldUnits, type LockedPayment, refundPayment } from '../core/payments/actions.ts';
import { createPayment } from '../core/payments/creation.ts';
import { payoutAddresses } from '../core/people/parties.ts';
import { findFiat } from '../core/platform/merchants.ts';
import { numbersOf } from '../core/platform/numbers.ts';
import { findCurrency, type Integration } from '../core/platform/platform.ts';
import { Providers } from '../core/rails/provider.ts';
import type { CurrencyRow, DealRow, OperationRow, PaymentMethod } from '../core/schema.ts';
import { legStatus } from '../core/status.ts';
import type { Services } from '../http.ts';
import { refuseFrozen } from './orders.ts';
import { type OrderRow, type SplitRow, splitsOf, type TransactionRow, transactionsOf } from './records.ts';
import { unitsOf } from './shapes.ts';
import { findSeller } from './splits.ts';

/** What a request says of the money; the amount is its own text. */
type Said = {
  merchantTransactionId: string;
  amount: string;
  currencyCode: string;
  paymentMethodName: string;
  sellerId?: number | undefined;
};

/** What a transaction is about in the core. */
type Asked = Pick<TransactionRow, 'paymentId' | 'operationIds' | 'amountUnits'>;

type Request = { order: OrderRow; paying: LockedPayment | null; request: Said };

// A buyer who is sent a link pays within days; until then the terms, and the sellers' prices in them, stand.
const DEPOSIT_PERIOD_MS = 7 * 86_400_000;
// As much patience with a node that restarts as `retry` gives on /api/v1.
const RETRIES = 5;

const METHODS: Readonly<Record<string, PaymentMethod>> = {
  WEB3: 'web3',
  CARD: 'credit_card',
  BANK_TRANSFER: 'bank_transfer',
};

/**
 * Creates the payment of an order.
 * @throws illegal_transition: it has one, is not split or takes none · invalid_request with every wrong field.
 */
export async function requestPayment(
  tx: Transaction,
  { vault, providers = new Providers() }: Services,
  integration: Integration,
  { order, paying, request }: Request,
): Promise<Asked> {
  refuseFrozen(paying, 'What is paid');
  if (order.orderType !== 'PURCHASE') {
    throw new CoreError('illegal_transition', `An order of the type ${order.orderType} takes no payment.`);
  }
  const splits = await splitsOf(tx, [order]);
  if (splits.length === 0) {
    throw new CoreError('illegal_transition', 'The order is not split: POST /order-splits says first who is paid.');
  }
  const orderCurrency = await findCurrency(tx, order.currencyId);
  const faults = new FieldFaults();
  checkCurrency(order, request, faults);
  const amountUnits = unitsOf({ text: request.amount, pointer: '/amount' }, orderCurrency, faults);
  const major = (units: bigint) => formatUnits(units, orderCurrency.decimals);
  if (amountUnits !== order.amountUnits) faults.add('/amount', `must be the order's, ${major(order.amountUnits)}`);
  if (request.sellerId !== undefined) faults.add('/sellerId', 'is for a REFUND');
  const rail = await railOf(tx, request, orderCurrency, faults);
  faults.throwIfAny();
  if (!rail) throw new Error('A rail without a fault is missing.');

  const legs = await legsOf(tx, vault, order, { splits, onChain: rail.method === 'web3', major });
  const created = await inDialect(
    createPayment(tx, vault, providers, {
      integration,
      request: {
        externalId: `orders/${request.merchantTransactionId}`,
        nodeId: order.nodeId,
        networkId: rail.currency.networkId ?? undefined,
        member: { externalId: order.merchantBuyerId, name: null, surname: null, email: null },
        currencyId: rail.currency.id,
        price: major(amountUnits),
        paidPrice: major(amountUnits),
        paymentMethod: rail.method,
        paymentGroup: 'product',
        paymentAddress: legs[0]?.paymentAddress,
        items: order.items?.map((item) => ({ name: item.label, price: null, externalId: item.gtin })),
        expiresAt: new Date(systemClock.now().getTime() + DEPOSIT_PERIOD_MS),
        retry: true,
        retryCount: RETRIES,
        legs,
        deal: {},
      },
    }),
  );
  if (!('record' in created)) throw new Error('A payment without a key was answered before.');
  return { paymentId: created.record.payment.id, operationIds: [], amountUnits };
}

function checkCurrency(order: OrderRow, request: Said, faults: FieldFaults): void {
  if (request.currencyCode === order.currencyCode) return;
  faults.add('/currencyCode', `is not the order's, ${order.currencyCode}`);
}

/** How the money comes, and in what. */
async function railOf(
  tx: Transaction,
  { paymentMethodName: name, currencyCode }: Said,
  currency: CurrencyRow,
  faults: FieldFaults,
): Promise<{ method: PaymentMethod; currency: CurrencyRow } | undefined> {
  const method = METHODS[name] ?? (currency.type === 'token' ? 'web3' : 'credit_card');
  const inIt = method === 'web3' || currency.type === 'fiat' ? currency : await findFiat(tx, currencyCode);
  if (!inIt || (method === 'web3' && inIt.type !== 'token')) {
    faults.add(
      '/paymentMethodName',
      `cannot be in ${currencyCode}, which is ${inIt ? 'fiat money' : 'a token'} of the merchant`,
    );
    return undefined;
  }
  return { method, currency: inIt };
}

/** Each split as a leg; a provider pays its seller by name, the escrow at a wallet. */
async function legsOf(
  tx: Transaction,
  vault: Services['vault'],
  order: OrderRow,
  { splits, onChain, major }: { splits: readonly SplitRow[]; onChain: boolean; major: (units: bigint) => string },
) {
  const parties = splits.map(({ nodeId, partyId }) => ({ nodeId, id: partyId }));
  const ids = parties.map(({ id }) => id);
  const sellers = await numbersOf(tx, 'seller', parties);
  const addresses = onChain ? await payoutAddresses(tx, vault, order.nodeId, ids) : undefined;
  return splits.map((split) => ({
    externalId: String(sellers.get(split.partyId) ?? ''),
    paymentAddress: addresses?.get(split.partyId),
    partyId: split.partyId,
    paidPrice: major(split.amountUnits),
    fee: major(split.feeUnits),
  }));
}

const FIELDS: readonly (readonly [RegExp, string])[] = [
  [/^\/payment_method$/, '/paymentMethodName'],
  [/^\/(paid_)?price$/, '/amount'],
  [/^\/currency_id$/, '/currencyCode'],
  [/^\/(node|network)_id$/, '/solutionCode'],
  [/^\/external_id$/, '/merchantTransactionId'],
];

/** Renames the fields of a refusal; what is wrong with a leg is said of the order, whose split has to change. */
async function inDialect<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof CoreError) || error.faults.length === 0) throw error;
    const faults = error.faults.map(({ pointer, message }) => {
      const known = FIELDS.find(([pattern]) => pattern.test(pointer));
      return known
        ? { pointer: known[1], message }
        : { pointer: '/merchantGlobalOrderId', message: `cannot be paid: ${pointer.slice(1)} ${message}` };
    });
    const names = [...new Set(faults.map(({ pointer }) => pointer.slice(1)))];
    throw new CoreError(error.code, `Not valid: ${names.join(', ')}.`, faults);
  }
}

/**
 * Refunds held money of an order: all of it, one seller's part, or some of that.
 * @throws illegal_transition: nothing is held, or a movement is under way · invalid_request with every wrong field.
 */
export async function requestRefund(
  tx: Transaction,
  integration: Integration,
  { order, paying, request }: Request,
): Promise<Asked> {
  const legs = paying?.deals.filter((deal) => ['funded', 'partially_released'].includes(legStatus(deal))) ?? [];
  if (!paying || legs.length === 0) {
    const why = paying ? `its payment is ${paying.payment.status}` : 'it has no payment';
    throw new CoreError('illegal_transition', `Nothing of the order is held: ${why}.`);
  }
  const faults = new FieldFaults();
  checkCurrency(order, request, faults);
  const { paymentMethodName } = request;
  const paid = (await transactionsOf(tx, [order])).findLast(({ paymentId }) => paymentId === paying.payment.id);
  if (paid && paid.paymentMethodName !== paymentMethodName) {
    faults.add('/paymentMethodName', `is not that of the PAYMENT, ${paid.paymentMethodName}`);
  }
  const currency = await findCurrency(tx, paying.payment.currencyId);
  const units = unitsOf({ text: request.amount, pointer: '/amount' }, currency, faults);
  const meant = await meantLegs(tx, order, legs, request, faults);
  const held = meant.reduce((sum, deal) => sum + heldUnits(deal), 0n);
  if (units > held && meant.length > 0)
    faults.add('/amount', `is more than the ${formatUnits(held, currency.decimals)} held`);
  else if (units < held && meant.length > 1) faults.add('/sellerId', 'is needed: a part of several sellers’ money');
  faults.throwIfAny();

  const operations: OperationRow[] = [];
  const key = { nodeId: order.nodeId, paymentId: paying.payment.id };
  for (const { leg } of meant) {
    const part = units < held ? { amount: request.amount } : {};
    operations.push(...(await refundPayment(tx, key, actorOf(integration), { leg, ...part })));
  }
  const orderCurrency = await findCurrency(tx, order.currencyId);
  const amountUnits = unitsOf({ text: request.amount, pointer: '/amount' }, orderCurrency, faults);
  return { paymentId: paying.payment.id, operationIds: operations.map(({ id }) => id), amountUnits };
}

/** The legs that a refund takes from: those of the seller that it names, or all that hold something. */
async function meantLegs(
  tx: Transaction,
  order: OrderRow,
  legs: readonly DealRow[],
  { sellerId }: Said,
  faults: FieldFaults,
): Promise<readonly DealRow[]> {
  if (sellerId === undefined) return legs;
  const partyId = await findSeller(tx, order.nodeId, sellerId);
  const own = partyId === null ? [] : legs.filter((deal) => deal.partyId === partyId);
  if (own.length === 0) faults.add('/sellerId', 'has no held part in the order');
  return own;
}
