// Accounts of the merchant and of its sellers (spec/002-orders.json), read from the ledger as of any moment; nothing of them is kept.
// The escrow holds the money: a balance is what it would pay to whom, and the merchant's sum to what it has on chain.
import { createRoute, z } from '@hono/zod-openapi';
import { systemClock } from '../core/clock.ts';
import type { Sql } from '../core/database/db.ts';
import {
  type FeeCredit,
  type Held,
  type Line,
  type LineKind,
  movedCurrencies,
  readFeeCredits,
  readFeeLines,
  readHeld,
  readHeldLines,
  readReservedLines,
} from '../core/payouts/balances.ts';
import { listMoney, merchantsOf } from '../core/platform/merchants.ts';
import { findCurrencies } from '../core/platform/platform.ts';
import type { CurrencyRow } from '../core/schema.ts';
import { createRouter, problems, requireIntegration, type Services } from '../http.ts';
import { flag, json, moment } from '../resource.ts';
import { type PaymentName, paymentNames } from './payout-records.ts';
import { sellerOf } from './payouts.ts';
import {
  amountAnswer,
  majorOf,
  merchantId,
  momentAnswer,
  pageCountAnswer,
  pageCountOf,
  pageOf,
  pageQuery,
  sellerParams,
} from './shapes.ts';

const accountType = z.enum(['SETTLEMENT', 'SELLER', 'MARKETPLACE', 'FEES', 'PENDING']).openapi({
  description:
    '`SETTLEMENT`: what payouts can pay its owner, of the merchant FEES and MARKETPLACE together · `FEES`: earned, and kept by the escrow until they are withdrawn · `MARKETPLACE`: held for the merchant itself, as of transfers · `SELLER`: held for all sellers, fees left out · `PENDING`: the fees on what is held, earned when that is paid out (all but `SETTLEMENT` are inferred). SETTLEMENT, SELLER and PENDING sum to what the escrow has',
  example: 'SETTLEMENT',
});

const line = z.object({
  lineId: z.int().openapi({ example: 123_456 }),
  accountingEntry: z.string().openapi({
    description:
      '`ORDER_PAYMENT`, `TRANSFER_TO_MARKETPLACE`, `TRANSFER_TO_SELLER`, `MKTP_FEES`, `PAYOUT` or `REFUND` (inferred)',
    example: 'ORDER_PAYMENT',
  }),
  accountingLabel: z.string().openapi({ example: 'Paid by the buyer' }),
  merchantGlobalOrderId: merchantId.optional().openapi({ description: 'Left out: of no order' }),
  operationDate: momentAnswer,
  cashedDate: momentAnswer,
  isCashed: z.boolean().openapi({ description: 'Always true: the ledger has what is confirmed', example: true }),
  lineType: z.enum(['DEBIT', 'CREDIT']),
  amount: amountAnswer,
});

const accountResponse = z
  .object({
    accountType,
    solutionCode: z.string().openapi({ description: 'Of the merchant; an addition', example: 'MPFRGE-S1YP' }),
    balanceExtractionDate: momentAnswer,
    currentBalance: amountAnswer.openapi({ example: 9999.99 }),
    forecastBalance: amountAnswer.openapi({
      description: 'With what deals that wait for their deposit would bring, and the fees on what is held (inferred)',
      example: 10_050,
    }),
    currency: z.string().openapi({ description: 'ISO 4217, or the token’s code', example: 'EUR' }),
    balancesHistory: z
      .object({
        openingBalance: amountAnswer,
        closingBalance: amountAnswer,
        date: momentAnswer,
      })
      .openapi({ description: 'Of the day (UTC) of the extraction, up to it (inferred)' }),
    lines: z.array(line).optional().openapi({
      description:
        'With `embeddedLines=true`: those of the newest 1,000 movements, newest first; all lines sum to the balance',
    }),
  })
  .openapi('OrdersAccount');

const shownQuery = {
  ...pageQuery,
  balanceExtractionDate: moment.optional().openapi({
    description: 'Balances as of this moment; left out: as of now',
    format: 'date-time',
    example: '2023-04-22T06:00:00.000Z',
  }),
  embeddedLines: flag.openapi({ type: 'boolean', description: 'Whether lines are shown', default: false }),
};

// A merchant's whole history has no end; what is older is in the ledger of /api/v1.
const LINES_AT_MOST = 1_000;

/** Mounts the routes of accounts. */
export function accountRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const shared = { tags: ['Accounts'], security: [{ oauth2: [] }], middleware: requireIntegration(services) };
  const answers = {
    200: json(z.object({ pageCount: pageCountAnswer, accounts: z.array(accountResponse) }), 'A page of accounts'),
    ...problems('invalid_request', 'unauthenticated', 'not_found'),
  };

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/accounts',
      operationId: 'listMerchantAccounts',
      summary: "List the merchant's accounts",
      request: { query: z.object({ ...shownQuery, accountType: accountType.optional() }) },
      responses: answers,
    }),
    async (c) => {
      const { accountType: type, ...query } = c.req.valid('query');
      const types = type ? [type] : accountType.options;
      const books: Book[] = [];
      for (const merchant of await merchantsOf(sql, c.get('integration'))) {
        books.push(...(await openBooks(sql, merchant, null, types)));
      }
      return c.json(await showPage(sql, books, query), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/sellers/{sellerId}/accounts',
      operationId: 'listSellerAccounts',
      summary: "List a seller's accounts",
      description:
        'What the escrow holds for the seller, the marketplace’s fee left out, by currency. What was paid out is in his wallet, and no balance here.',
      request: { params: z.object(sellerParams), query: z.object(shownQuery) },
      responses: answers,
    }),
    async (c) => {
      const integration = c.get('integration');
      const seller = await sellerOf(sql, integration, c.req.valid('param').sellerId);
      const merchants = await merchantsOf(sql, integration);
      const merchant = merchants.find(({ nodeId }) => nodeId === seller.nodeId);
      const { solutionCode } = merchant ?? { solutionCode: '' };
      const books = await openBooks(sql, { nodeId: seller.nodeId, solutionCode }, seller.id, ['SETTLEMENT']);
      return c.json(await showPage(sql, books, c.req.valid('query')), 200);
    },
  );
  return router;
}

/** One account: whose, of which type, in which money. */
type Book = {
  nodeId: string;
  solutionCode: string;
  /** Null: the merchant. */
  partyId: string | null;
  type: z.output<typeof accountType>;
  currency: CurrencyRow;
  code: string;
};

/** The accounts of a merchant or one of its sellers: of each type one in each currency that the node has, or ever had money in. */
async function openBooks(
  sql: Sql,
  { nodeId, solutionCode }: { nodeId: string; solutionCode: string },
  partyId: string | null,
  types: readonly Book['type'][],
): Promise<Book[]> {
  const money = await listMoney(sql, nodeId);
  const ids = [...money.map(({ currencyId }) => currencyId), ...(await movedCurrencies(sql, nodeId))];
  const currencies = await findCurrencies(sql, [...new Set(ids)]);
  currencies.sort((one, other) => ids.indexOf(one.id) - ids.indexOf(other.id));
  return currencies.flatMap((currency) => {
    const code = money.find(({ currencyId }) => currencyId === currency.id)?.code ?? currency.code;
    return types.map((type) => ({ nodeId, solutionCode, partyId, type, currency, code }));
  });
}

type Standing = { own: Held[]; others: Held[]; fees: FeeCredit[] };

/** What is held at a moment. Of a seller: for him alone, in the place of the others. */
async function readStanding(
  sql: Sql,
  { nodeId, partyId }: { nodeId: string; partyId: string | null },
  asOf?: Date,
): Promise<Standing> {
  if (partyId !== null) {
    return { own: [], others: await readHeld(sql, { nodeId, holder: { partyId }, asOf }), fees: [] };
  }
  const [own, others, fees] = await Promise.all([
    readHeld(sql, { nodeId, holder: 'own', asOf }),
    readHeld(sql, { nodeId, holder: 'others', asOf }),
    readFeeCredits(sql, { nodeId, asOf }),
  ]);
  return { own, others, fees };
}

const NOTHING = { netUnits: 0n, reservedUnits: 0n, awaitedNetUnits: 0n, awaitedFeeUnits: 0n };

/** An account's balance, and what it would be with everything that is awaited, in base units. */
function balanceOf({ own: owned, others: held, fees }: Standing, { type, currency, partyId }: Book) {
  const find = (rows: readonly Held[]) => rows.find(({ currencyId }) => currencyId === currency.id) ?? NOTHING;
  const [own, others] = [find(owned), find(held)];
  const fee = fees.reduce((sum, credit) => (credit.currencyId === currency.id ? sum + credit.balanceUnits : sum), 0n);
  const reserved = own.reservedUnits + others.reservedUnits;
  const awaitedFee = own.awaitedFeeUnits + others.awaitedFeeUnits;
  const ofFees = { current: fee, forecast: fee + reserved + awaitedFee };
  const ofOwn = { current: own.netUnits, forecast: own.netUnits + own.awaitedNetUnits };
  const ofOthers = { current: others.netUnits, forecast: others.netUnits + others.awaitedNetUnits };
  switch (type) {
    case 'FEES':
      return ofFees;
    case 'MARKETPLACE':
      return ofOwn;
    case 'SELLER':
      return ofOthers;
    case 'PENDING':
      return { current: reserved, forecast: reserved + awaitedFee };
    case 'SETTLEMENT':
      if (partyId !== null) return ofOthers;
      return { current: ofFees.current + ofOwn.current, forecast: ofFees.forecast + ofOwn.forecast };
  }
}

type ShownQuery = {
  page: string;
  pageSize: string;
  balanceExtractionDate?: string | undefined;
  embeddedLines: boolean;
};

/** Shows a page of accounts, and reads no more than those need. */
async function showPage(sql: Sql, books: readonly Book[], query: ShownQuery) {
  const page = pageOf(query);
  const asOf = query.balanceExtractionDate === undefined ? undefined : new Date(query.balanceExtractionDate);
  const date = asOf ?? systemClock.now();
  const midnight = new Date(date.toISOString().slice(0, 10));
  const shown = books.slice((page.page - 1) * page.perPage, page.page * page.perPage);
  const standings = new Map<string, { now: Standing; opening: Standing }>();
  const accounts: z.input<typeof accountResponse>[] = [];
  for (const book of shown) {
    const owner = `${book.nodeId} ${book.partyId}`;
    const known = standings.get(owner) ?? {
      now: await readStanding(sql, book, asOf),
      opening: await readStanding(sql, book, new Date(midnight.getTime() - 1)),
    };
    standings.set(owner, known);
    const { currency } = book;
    const now = balanceOf(known.now, book);
    accounts.push({
      accountType: book.type,
      solutionCode: book.solutionCode,
      balanceExtractionDate: date.toISOString(),
      currentBalance: majorOf(now.current, currency),
      forecastBalance: majorOf(now.forecast, currency),
      currency: book.code,
      balancesHistory: {
        openingBalance: majorOf(balanceOf(known.opening, book).current, currency),
        closingBalance: majorOf(now.current, currency),
        date: midnight.toISOString(),
      },
      ...(query.embeddedLines && { lines: await showLines(sql, book, asOf) }),
    });
  }
  return { pageCount: pageCountOf(books.length, page), accounts };
}

async function readLines(sql: Sql, book: Book, asOf: Date | undefined): Promise<Line[]> {
  const { nodeId, partyId, type } = book;
  const lines = { nodeId, currencyId: book.currency.id, asOf, limit: LINES_AT_MOST };
  if (partyId !== null) return await readHeldLines(sql, { partyId }, lines);
  switch (type) {
    case 'FEES':
      return await readFeeLines(sql, lines);
    case 'MARKETPLACE':
      return await readHeldLines(sql, 'own', lines);
    case 'SELLER':
      return await readHeldLines(sql, 'others', lines);
    case 'PENDING':
      return merge(await readReservedLines(sql, 'own', lines), await readReservedLines(sql, 'others', lines));
    case 'SETTLEMENT':
      return merge(await readFeeLines(sql, lines), await readHeldLines(sql, 'own', lines));
  }
}

function merge(...lists: Line[][]): Line[] {
  return lists.flat().sort((one, other) => Number(other.number - one.number));
}

const ENTRIES: Record<LineKind, { entry: string; label: string }> = {
  payment: { entry: 'ORDER_PAYMENT', label: 'Paid by the buyer' },
  fee: { entry: 'MKTP_FEES', label: 'Fee of the marketplace' },
  payout: { entry: 'PAYOUT', label: 'Paid out' },
  refund: { entry: 'REFUND', label: 'Paid back to the buyer' },
  earned: { entry: 'MKTP_FEES', label: 'Fee earned' },
  withdrawal: { entry: 'PAYOUT', label: 'Paid out' },
  reserved: { entry: 'MKTP_FEES', label: 'Fee on what is held' },
};

async function showLines(sql: Sql, book: Book, asOf: Date | undefined): Promise<z.input<typeof line>[]> {
  const lines = await readLines(sql, book, asOf);
  const names = await paymentNames(
    sql,
    book.nodeId,
    lines.flatMap(({ paymentId }) => paymentId ?? []),
  );
  return lines.map(({ number, kind, amountUnits, paymentId, effectiveAt }) => {
    const name: PaymentName = (paymentId !== null && names.get(paymentId)) || {};
    const { entry, label } = ENTRIES[kind];
    return {
      lineId: Number(number),
      accountingEntry: kind === 'payment' ? (name.accountingEntry ?? entry) : entry,
      accountingLabel: name.reasonLabel ?? label,
      ...(name.merchantOrderId !== undefined && { merchantGlobalOrderId: name.merchantOrderId }),
      operationDate: effectiveAt.toISOString(),
      cashedDate: effectiveAt.toISOString(),
      isCashed: true,
      lineType: amountUnits < 0n ? ('DEBIT' as const) : ('CREDIT' as const),
      amount: majorOf(amountUnits < 0n ? -amountUnits : amountUnits, book.currency),
    };
  });
}
