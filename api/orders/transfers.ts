// The transfer resource (spec/002-orders.json): money between the marketplace and a seller, a subscription or a gesture. On web3 nobody
// can take it from an account: it is a payment that its debtor signs in the checkout widget, PENDING until the chain has it.
import { createRoute, z } from '@hono/zod-openapi';
import { v7 as uuidv7 } from 'uuid';
import { accessTokenOf } from '../callers.ts';
import { systemClock } from '../core/clock.ts';
import { type Sql, type Transaction, transact } from '../core/database/db.ts';
import { CoreError, FieldFaults } from '../core/errors.ts';
import { formatUnits } from '../core/money.ts';
import { lockPayment } from '../core/payments/actions.ts';
import { createPayment } from '../core/payments/creation.ts';
import { authorizePayment, loadPayment } from '../core/payments/payments.ts';
import { payoutAddresses } from '../core/people/parties.ts';
import { findMerchant, findMoney, nodesOf } from '../core/platform/merchants.ts';
import { allotNumber, findByNumber } from '../core/platform/numbers.ts';
import type { Integration } from '../core/platform/platform.ts';
import { oldestWallet } from '../core/platform/wallets.ts';
import { Providers } from '../core/rails/provider.ts';
import type { CurrencyRow } from '../core/schema.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, json } from '../resource.ts';
import { closePayment, refuseMoved } from './orders.ts';
import {
  type AccountingEntry,
  getTransfer,
  insertTransfer,
  listTransfers,
  markTransferDeleted,
  requireFreeTransfer,
} from './payout-records.ts';
import type { Key } from './records.ts';
import {
  amount,
  currencyCode,
  executionDate,
  merchantId,
  number32,
  pageCountAnswer,
  pageCountOf,
  pageOf,
  pageQuery,
  pathNumber,
  reasonLabel,
  solutionCode,
  unitsOf,
} from './shapes.ts';
import { findSeller } from './splits.ts';
import {
  accountingEntry,
  reasonCode,
  renderTransfers,
  statusOf,
  type TransferBody,
  transferResponse,
} from './transfer.ts';

const createTransferRequest = z
  .strictObject({
    solutionCode,
    accountingEntry,
    reasonCode,
    reasonLabel,
    executionDate: executionDate.optional(),
    amount: amount.openapi({ example: 65.15 }),
    currencyCode,
    sellerId: number32,
    merchantTransferId: merchantId.openapi({ example: '9887975454' }),
  })
  .openapi('CreateTransfer');

const createdResponse = transferResponse
  .extend({
    accessToken: z.string().nullable().openapi({
      description:
        'Opens the checkout widget for the debtor; an addition. Null for a token without the scope access_tokens:read',
      example: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMTk4In0.c2lnbmF0dXJl',
    }),
  })
  .openapi('TransferCreated');

const transferParams = z.object({ transferId: pathNumber });

// As an order's payment: who is sent a link pays within days.
const DEPOSIT_PERIOD_MS = 7 * 86_400_000;
const RETRIES = 5;

/** Mounts the routes of transfers. */
export function transferRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Transfers'], security: [{ oauth2: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'not_found'] as const;

  async function show(on: Sql | Transaction, key: Key): Promise<TransferBody> {
    const [shown] = await renderTransfers(on, [await getTransfer(on, key)]);
    if (!shown) throw new Error('The transfer was not shown.');
    return shown;
  }

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/transfers',
      summary: 'Ask a seller to pay the marketplace, or the marketplace to pay a seller',
      description:
        'Its answer opens the checkout widget for the debtor. Once paid, the amount is in the account of who is paid, and a payout pays it out. There is never a transfer between two sellers.',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(createTransferRequest) },
      responses: {
        201: json(createdResponse, 'The transfer has been created'),
        ...problems(...refusals, 'conflict', ...keyRefusals),
      },
    }),
    async (c) => {
      const integration = c.get('integration');
      const request = c.req.valid('json');
      const withToken = async (on: Sql | Transaction, shown: TransferBody) => {
        const record = await loadPayment(on, await authorizePayment(on, integration, shown.paymentId));
        return { ...shown, accessToken: accessTokenOf(services.tokens, integration, record) };
      };
      return await once(
        c,
        services,
        201,
        async (on) => withToken(on, await show(on, await createTransfer(on, services, integration, request))),
        withToken,
      );
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/transfers',
      summary: "List the merchant's transfers, newest first",
      middleware: authenticated,
      request: { query: z.object(pageQuery) },
      responses: {
        200: json(
          z.object({ pageCount: pageCountAnswer, transfers: z.array(transferResponse) }),
          'A page of transfers',
        ),
        ...problems(...refusals),
      },
    }),
    async (c) => {
      const page = pageOf(c.req.valid('query'));
      const { rows, total } = await listTransfers(sql, await nodesOf(sql, c.get('integration')), page);
      return c.json({ pageCount: pageCountOf(total, page), transfers: await renderTransfers(sql, rows) }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/transfers/{transferId}',
      summary: 'Get a transfer',
      description:
        'As a list of one, which is how the document shows it, with the fields of the transfer itself beside it, as all other resources have them.',
      middleware: authenticated,
      request: { params: transferParams },
      responses: {
        200: json(
          transferResponse
            .extend({ pageCount: pageCountAnswer, transfers: z.array(transferResponse).length(1) })
            .openapi('TransferAlone'),
          'The transfer',
        ),
        ...problems(...refusals),
      },
    }),
    async (c) => {
      const { transferId } = c.req.valid('param');
      const key = await findByNumber(sql, c.get('integration').nodeId, 'transfer', transferId);
      const transfer = await show(sql, key);
      return c.json({ ...transfer, pageCount: 1, transfers: [transfer] }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'delete',
      path: '/transfers/{transferId}',
      summary: 'Delete a transfer that is PENDING',
      description: 'Its payment is cancelled, so that nobody can pay it any more; the merchantTransferId stays taken.',
      middleware: authenticated,
      request: { params: transferParams },
      responses: {
        204: { description: 'The transfer has been deleted' },
        ...problems(...refusals, 'illegal_transition', 'rate_limited'),
      },
    }),
    async (c) => {
      const integration = c.get('integration');
      const key = await findByNumber(sql, integration.nodeId, 'transfer', c.req.valid('param').transferId);
      await transact(sql, (tx) => deleteTransfer(tx, integration, key));
      return c.body(null, 204);
    },
  );
  return router;
}

async function createTransfer(
  on: Sql | Transaction,
  { vault, providers = new Providers() }: Services,
  integration: Integration,
  request: z.output<typeof createTransferRequest>,
): Promise<Key> {
  return await transact(on, async (tx) => {
    const nodeId = await findMerchant(tx, integration, request.solutionCode);
    await requireFreeTransfer(tx, nodeId, request.merchantTransferId);
    const faults = new FieldFaults();
    const partyId = await findSeller(tx, nodeId, request.sellerId);
    if (partyId === null) faults.add('/sellerId', 'is not a seller of the merchant');
    const money = { code: request.currencyCode, pointer: '/currencyCode' };
    const currency = await findMoney(tx, nodeId, money, faults);
    if (currency?.type === 'fiat') {
      faults.add('/currencyCode', 'is fiat money: no provider here moves it between the marketplace and its sellers');
    }
    const amountUnits = currency ? unitsOf({ text: request.amount, pointer: '/amount' }, currency, faults) : 0n;
    const paid =
      partyId && currency?.type === 'token' ? { nodeId, partyId, currency, to: request.accountingEntry } : undefined;
    const payee = paid && (await payeeOf(tx, vault, paid));
    if (payee && !payee.address) faults.add(payee.pointer, payee.missing);
    faults.throwIfAny();
    if (!payee?.address || !currency || partyId === null) throw new Error('A fault is missing.');
    const units = formatUnits(amountUnits, currency.decimals);
    const created = await createPayment(tx, vault, providers, {
      integration,
      request: {
        externalId: `orders/transfer/${request.merchantTransferId}`,
        nodeId,
        networkId: currency.networkId ?? undefined,
        currencyId: currency.id,
        price: units,
        paidPrice: units,
        paymentMethod: 'web3',
        paymentGroup: request.reasonCode === 'SUBSCRIPTION' ? 'listing_or_subscription' : 'product',
        paymentAddress: payee.address,
        expiresAt: new Date(systemClock.now().getTime() + DEPOSIT_PERIOD_MS),
        retry: true,
        retryCount: RETRIES,
        legs: [{ externalId: null, paymentAddress: payee.address, partyId: payee.partyId, paidPrice: units, fee: '0' }],
        // Nothing is delivered for it, so there is nothing to wait for or to argue about.
        deal: { arbiter: null, defaultOutcome: 'release' },
      },
    });
    if (!('record' in created)) throw new Error('A request without a key was answered before.');
    const key = { nodeId, id: uuidv7() };
    const { solutionCode: code, ...fields } = request;
    await insertTransfer(tx, {
      ...key,
      merchantTransferId: fields.merchantTransferId,
      solutionCode: code,
      partyId,
      accountingEntry: fields.accountingEntry,
      reasonCode: fields.reasonCode,
      reasonLabel: fields.reasonLabel,
      executionDate: fields.executionDate === undefined ? systemClock.now() : new Date(fields.executionDate),
      amountUnits,
      currencyCode: fields.currencyCode,
      currencyId: currency.id,
      paymentId: created.record.payment.id,
    });
    await allotNumber(tx, 'transfer', key);
    return key;
  });
}

/** Whom a transfer pays, and what to say when there is no address. */
async function payeeOf(
  tx: Transaction,
  vault: Services['vault'],
  { nodeId, partyId, currency, to }: { nodeId: string; partyId: string; currency: CurrencyRow; to: AccountingEntry },
) {
  if (to === 'TRANSFER_TO_SELLER') {
    const address = (await payoutAddresses(tx, vault, nodeId, [partyId])).get(partyId);
    const missing = 'has no wallet to be paid at: add it to its party as a payout instrument';
    return { address, partyId, pointer: '/sellerId', missing };
  }
  const address = await oldestWallet(tx, { nodeId, networkId: currency.networkId ?? '' });
  const missing = 'names a node without a wallet on the network of the currency: add one by POST /api/v1/wallets';
  return { address, partyId: undefined, pointer: '/solutionCode', missing };
}

async function deleteTransfer(tx: Transaction, integration: Integration, key: Key): Promise<void> {
  const { paymentId } = await getTransfer(tx, key);
  const paying = await lockPayment(tx, { nodeId: key.nodeId, paymentId });
  await getTransfer(tx, key);
  refuseMoved(paying);
  const status = statusOf(paying);
  if (status !== 'PENDING') {
    throw new CoreError('illegal_transition', `Only a PENDING transfer can be deleted; this one is ${status}.`);
  }
  await closePayment(tx, integration, paying);
  await markTransferDeleted(tx, key);
}
