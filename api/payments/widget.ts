// The buyer's side: one payment's data for its widget, and what its wallet brings (a signature to relay, a hash), opened by
// that payment's access token and nothing else.
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { type Address, type Hex, zeroAddress } from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import { Chain } from '../core/chain/chain.ts';
import { termsToJson } from '../core/chain/terms.ts';
import { CoreError } from '../core/errors.ts';
import { formatUnits } from '../core/money.ts';
import { retryCharge } from '../core/payments/actions.ts';
import { openForPayee, openWidget, type WidgetRecord, widgetKey } from '../core/payments/handout.ts';
import type { PaymentKey } from '../core/payments/payments.ts';
import { relayDeposit } from '../core/payments/relay.ts';
import { reportTransaction, withdrawReport } from '../core/payments/reported.ts';
import type { OperationRow } from '../core/schema.ts';
import { legStatus } from '../core/status.ts';
import { bearerOf, createRouter, jsonNumber, problems, type Services, wholeNumber } from '../http.ts';
import { address, body, idParams, json } from '../resource.ts';
import { newestRequest, paymentMethod, paymentResponse } from './payment.ts';
import { railResponse, renderRail } from './rail.ts';
import { refundRequestResponse } from './refund-request.ts';
import { currentProposals, splitProposalResponse } from './split-proposal.ts';

const abiOf = (name: 'deposit' | 'depositMany') =>
  escrowAbi.filter((entry) => entry.type === 'function' && entry.name === name);

const termsResponse = z.record(z.string(), z.union([z.string(), z.number()]));

const signaturesResponse = z
  .object({
    domain: z
      .object({ name: z.string().openapi({ example: 'USD Coin' }), version: z.string().openapi({ example: '2' }) })
      .nullable(),
    permit: z.boolean().openapi({ description: 'ERC-2612' }),
    authorization: z
      .object({ standard: z.boolean(), bytes: z.boolean() })
      .openapi({ description: 'ERC-3009, by form' }),
    permit2: z.string().nullable().openapi({
      example: '0x000000000022d473030f116ddee9f6b43ac78ba3',
      description: "The escrow's Permit2, when it has code",
    }),
  })
  .openapi('TokenSignatures', { description: "What a wallet can sign for the payment's token" });

const relayResponse = z
  .object({
    status: z.enum(['queued', 'submitted', 'done', 'failed']),
    error: z.string().nullable().openapi({ example: null, description: 'Why it failed' }),
  })
  .openapi('RelayedDeposit');

/** The body of a widget's read and of each of its events. */
export const widgetResponse = z
  .object({
    external_id: z.string(),
    node_id: z.uuid(),
    network_id: z.int().nullable().openapi({ description: 'The EIP-155 chain id; null on a rail, without a chain' }),
    deal_id: z.int().nullable(),
    price: z.number(),
    price_units: z.string(),
    price_decimals: z.int(),
    payment_address: z.string().nullable(),
    diamond_address: z.string().nullable(),
    currency: z.string(),
    token_address: z.string().nullable(),
    status: paymentResponse.shape.status,
    transaction_hash: z.string().nullable(),
    expires_at: z.string(),
    offer_hash: z.string().nullable().openapi({ description: 'Of the first leg; null until the terms are frozen' }),
    deal_hash: z.string().nullable().openapi({ description: 'Of the first leg; null until it is deposited' }),
    legs: z.array(
      z.object({
        leg: z.int(),
        payment_address: z.string().nullable(),
        price_units: z.string(),
        released_units: z.string(),
        refunded_units: z.string(),
        offer_hash: z.string().nullable(),
        deal_hash: z.string().nullable(),
        status: paymentResponse.shape.status,
        refund_request: refundRequestResponse.nullable().openapi({ description: 'The newest that the buyer made' }),
        split_proposals: z.array(splitProposalResponse).openapi({ description: 'Those that hold, one a party' }),
      }),
    ),
    payment_method: paymentMethod,
    rail: railResponse.nullable().openapi({ description: 'Null for a payment on chain' }),
    reported_hash: z
      .string()
      .nullable()
      .openapi({ description: "The deposit that a buyer's wallet says it has sent; a hint, not a fact" }),
    relays: z.boolean().openapi({ description: 'Whether a signature may be handed in instead of a transaction' }),
    relay: relayResponse.nullable().openapi({ description: 'The last signature that was taken for relaying' }),
    signatures: signaturesResponse,
    confirmations: z.int().openapi({ description: 'Blocks that make a deposit count' }),
    fiat_estimate: z
      .object({
        currency: z.string().openapi({ example: 'EUR', description: 'ISO 4217' }),
        amount: z.string().openapi({ example: '23.43', description: 'A decimal' }),
        as_of: z.string().openapi({ example: '2026-11-25T12:00:00.000Z', description: 'When its rate was true' }),
      })
      .nullable()
      .openapi({
        example: null,
        description:
          'What the price is worth, approximately, where the operator has named a rate source that can be believed; to be shown, never to be paid',
      }),
    contract: z
      .object({
        abi: z.array(z.record(z.string(), z.unknown())),
        function_name: z.enum(['deposit', 'depositMany']),
        arguments: z
          .array(z.union([termsResponse, z.array(termsResponse)]))
          .openapi({ description: 'The terms, or for depositMany the list of terms; integers as decimal text' }),
      })
      .nullable()
      .openapi({ description: 'Null unless a deposit is possible' }),
  })
  .openapi('WidgetPayment');

const decimalInteger = z
  .string()
  .regex(/^\d{1,78}$/, 'must be a whole number as text')
  .openapi({ example: '0' });
// The signature of a smart account may bundle several owners'; what is longer than this is no signature.
const signature = z
  .string()
  .regex(/^0x([0-9a-fA-F]{2}){64,2048}$/, 'must be 64 to 2048 bytes as hex')
  .openapi({ example: `0x${'5b'.repeat(64)}1b` });
const unixSeconds = z
  .string()
  .regex(/^\d{1,11}$/, 'must be Unix seconds as text')
  .openapi({ example: '1798804800' });

const relayRequest = z
  .discriminatedUnion('form', [
    z.strictObject({ form: z.literal('authorization'), payer: address, valid_before: unixSeconds, signature }),
    z.strictObject({
      form: z.literal('permit2'),
      payer: address,
      nonce: decimalInteger,
      deadline: unixSeconds,
      signature,
    }),
  ])
  .openapi('RelayRequest', {
    description: 'A signature over the terms that were handed out for this payer: ERC-3009 (valid after 0) or Permit2',
  });

const transactionRequest = z
  .strictObject({
    transaction_hash: z
      .string()
      .regex(/^0x[0-9a-fA-F]{64}$/, 'must be 32 bytes as hex')
      .nullable()
      .openapi({ description: 'Null: what was sent before was dropped or refused' }),
  })
  .openapi('ReportedTransaction');

const attemptRequest = z
  .strictObject({
    after: wholeNumber(1, 1_000).openapi({
      description: 'The number of the attempt that failed; when there is a newer one already, nothing more is opened',
      example: 1,
    }),
  })
  .openapi('NextAttempt');

const security = [{ accessToken: [] }];
const tags = ['Widget'];

/** The payment that the request's access token opens, which must be the one in its path, and the leg whose payee the token is for. */
export type Opened = { key: PaymentKey; payeeOfLeg: number | null };

/** What the request's access token opens. @throws unauthenticated · not_found */
export async function openedAccess(c: Context, { sql, tokens }: Services, id: string): Promise<Opened> {
  const claims = await tokens.verifyAccessToken(bearerOf(c));
  if (claims.paymentId !== id) throw new CoreError('unauthenticated', 'The access token belongs to another payment.');
  c.header('Cache-Control', 'no-store');
  return { key: await widgetKey(sql, claims), payeeOfLeg: claims.payeeOfLeg };
}

/** The payment that its buyer's access token opens. @throws unauthenticated · not_found · forbidden: the token is a payee's */
export async function openedPayment(c: Context, services: Services, id: string): Promise<PaymentKey> {
  const { key, payeeOfLeg } = await openedAccess(c, services, id);
  if (payeeOfLeg !== null) throw new CoreError('forbidden', "A payee's token does not do this; the buyer's does.");
  return key;
}

/** The payment as whoever opened it may see it. */
export async function readOpened(
  { sql, rates }: Pick<Services, 'sql' | 'rates'>,
  { key, payeeOfLeg }: Opened,
  payer: Address | null = null,
) {
  const record = payeeOfLeg === null ? await openWidget(sql, key, payer) : await openForPayee(sql, key, payeeOfLeg);
  return renderWidget(record, rates);
}

/** Mounts the widget's routes. */
export function widgetRoutes(services: Services) {
  const { sql } = services;
  const chain = new Chain();
  return createRouter()
    .openapi(
      createRoute({
        method: 'get',
        path: '/widget/payments/{id}',
        summary: "Get a payment's data for its widget",
        description:
          "Opened by this payment's `access_token` alone, from a page of any origin. Without `payer` the terms are an offer, and whoever deposits becomes the payer. With it they name that payer, as an ERC-3009 or Permit2 signature needs it.",
        tags,
        security,
        request: { params: idParams, query: z.object({ payer: address.optional() }) },
        responses: {
          200: json(widgetResponse, 'What to show, and the call that deposits'),
          ...problems('invalid_request', 'unauthenticated', 'not_found', 'conflict'),
        },
      }),
      async (c) => {
        const opened = await openedAccess(c, services, c.req.valid('param').id);
        return c.json(await readOpened(services, opened, c.req.valid('query').payer), 200);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/widget/payments/{id}/relay',
        summary: 'Relay a signed deposit',
        description:
          'The platform sends the deposit and pays its fee. One at a time for a payment, a few a day for a payer; what the contract would refuse is refused here.',
        tags,
        security,
        request: {
          params: idParams,
          body: body(relayRequest),
        },
        responses: {
          202: json(relayResponse, 'Taken; the same signature again answers the same'),
          ...problems(
            ...(['invalid_request', 'unauthenticated', 'forbidden', 'not_found', 'illegal_transition'] as const),
            ...(['in_flight', 'chain_reverted', 'rate_limited', 'upstream_unavailable'] as const),
          ),
        },
      }),
      async (c) => {
        const key = await openedPayment(c, services, c.req.valid('param').id);
        const request = c.req.valid('json');
        const signed = { payer: request.payer, signature: request.signature as Hex };
        const operation = await relayDeposit(
          sql,
          chain,
          key,
          request.form === 'permit2'
            ? { ...signed, form: request.form, nonce: request.nonce, deadline: request.deadline }
            : { ...signed, form: request.form, validBefore: request.valid_before },
        );
        return c.json(renderRelay(operation), 202);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/widget/payments/{id}/transaction',
        summary: 'Report a sent deposit',
        description: "So that the buyer's other devices know before the chain does. It moves nothing.",
        tags,
        security,
        request: {
          params: idParams,
          body: body(transactionRequest),
        },
        responses: {
          204: { description: 'Kept' },
          ...problems('invalid_request', 'unauthenticated', 'forbidden', 'not_found'),
        },
      }),
      async (c) => {
        const key = await openedPayment(c, services, c.req.valid('param').id);
        const { transaction_hash: hash } = c.req.valid('json');
        if (hash === null) await withdrawReport(sql, key);
        else await reportTransaction(sql, key, hash as Hex);
        return c.body(null, 204);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/widget/payments/{id}/attempts',
        summary: 'Try a failed card or transfer payment again, as its payer',
        description:
          'Opens the next attempt, with a page or account of its own; ten in all. Asking again for the same one answers with it.',
        tags,
        security,
        request: { params: idParams, body: body(attemptRequest) },
        responses: {
          200: json(widgetResponse, 'The payment, pending again'),
          ...problems('invalid_request', 'unauthenticated', 'forbidden', 'not_found', 'not_retryable'),
        },
      }),
      async (c) => {
        const key = await openedPayment(c, services, c.req.valid('param').id);
        await retryCharge(sql, key, { type: 'payer' }, c.req.valid('json'));
        return c.json(await readOpened(services, { key, payeeOfLeg: null }), 200);
      },
    );
}

function renderRelay({ status, error }: Pick<OperationRow, 'status' | 'error'>): z.input<typeof relayResponse> {
  return { status: status === 'awaiting_signature' ? 'queued' : status, error: error?.message ?? null };
}

/** A payment as its widget reads it: all of it, or the leg whose payee looks at it. */
function renderWidget(record: WidgetRecord, rates: Services['rates']): z.input<typeof widgetResponse> {
  const { payment, deals, currency, network, payable, signatures, reportedHash, relays, relay } = record;
  const [first] = deals;
  const paidUnits = deals.reduce((sum, deal) => sum + deal.amountUnits, 0n);
  const isWhole = paidUnits === payment.paidPriceUnits;
  const terms = payable.map((leg) => termsToJson(leg.terms));
  const [only] = terms;
  return {
    external_id: payment.externalId,
    node_id: payment.nodeId,
    network_id: network && Number(network.eip155Id),
    deal_id: first?.number == null ? null : Number(first.number),
    price: jsonNumber(formatUnits(paidUnits, currency.decimals)),
    price_units: paidUnits.toString(),
    price_decimals: currency.decimals,
    payment_address: isWhole ? payment.paymentAddress : (first?.payee ?? null),
    diamond_address: network?.diamondAddress ?? null,
    currency: currency.code,
    token_address: currency.tokenAddress,
    status: isWhole || !first ? payment.status : legStatus(first),
    transaction_hash: payment.transactionHash,
    expires_at: payment.expiresAt.toISOString(),
    offer_hash: first?.offerId ?? null,
    deal_hash: first?.dealId ?? null,
    legs: deals.map((deal) => ({
      leg: deal.leg,
      payment_address: deal.payee === zeroAddress ? null : deal.payee,
      price_units: deal.amountUnits.toString(),
      released_units: deal.releasedUnits.toString(),
      refunded_units: deal.refundedUnits.toString(),
      offer_hash: deal.offerId,
      deal_hash: deal.dealId,
      status: legStatus(deal),
      refund_request: newestRequest(record, deal),
      split_proposals: currentProposals(record, deal),
    })),
    payment_method: payment.paymentMethod,
    rail: renderRail(record),
    reported_hash: reportedHash,
    relays,
    relay: relay && renderRelay(relay),
    signatures,
    confirmations: network?.confirmations ?? 0,
    fiat_estimate: renderEstimate(record, paidUnits, rates),
    contract: only
      ? terms.length === 1
        ? { abi: abiOf('deposit'), function_name: 'deposit', arguments: [only] }
        : { abi: abiOf('depositMany'), function_name: 'depositMany', arguments: [terms] }
      : null,
  };
}

function renderEstimate({ payment, currency }: WidgetRecord, units: bigint, rates: Services['rates']) {
  // What is priced in money already needs no estimate.
  if (!rates || payment.paymentMethod !== 'web3') return null;
  const estimate = rates.estimate(currency.code, units, currency.decimals);
  return estimate && { currency: estimate.currency, amount: estimate.amount, as_of: estimate.asOf };
}
