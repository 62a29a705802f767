// The buyer's side: one payment's data for its widget, opened by that payment's access token and nothing else.
import { createRoute, z } from '@hono/zod-openapi';
import { zeroAddress } from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import { termsOf } from '../core/deals.ts';
import { CoreError } from '../core/errors.ts';
import { openWidget, type WidgetRecord } from '../core/handout.ts';
import { formatUnits } from '../core/money.ts';
import { legStatus } from '../core/status.ts';
import { termsToJson } from '../core/terms.ts';
import { bearerOf, createRouter, jsonNumber, problems, type Services } from '../http.ts';
import { paymentResponse } from './payment.ts';

const abiOf = (name: 'deposit' | 'depositMany') =>
  escrowAbi.filter((entry) => entry.type === 'function' && entry.name === name);

const termsResponse = z.record(z.string(), z.union([z.string(), z.number()]));

const widgetResponse = z
  .object({
    external_id: z.string(),
    node_id: z.uuid(),
    network_id: z.int().openapi({ description: 'The EIP-155 chain id' }),
    deal_id: z.int().nullable(),
    price: z.number(),
    price_units: z.string(),
    price_decimals: z.int(),
    payment_address: z.string(),
    diamond_address: z.string(),
    currency: z.string(),
    token_address: z.string().nullable(),
    status: paymentResponse.shape.status,
    transaction_hash: z.string().nullable(),
    expires_at: z.string(),
    offer_hash: z.string().nullable().openapi({ description: 'Of the first leg; null until the terms are frozen' }),
    deal_hash: z.string().nullable().openapi({ description: 'Of the first leg; null until it is deposited' }),
    legs: z.array(
      z.object({
        payment_address: z.string(),
        price_units: z.string(),
        offer_hash: z.string().nullable(),
        deal_hash: z.string().nullable(),
        status: paymentResponse.shape.status,
      }),
    ),
    confirmations: z.int().openapi({ description: 'Blocks that make a deposit count' }),
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

/** Mounts the widget's route. */
export function widgetRoutes({ sql, tokens }: Services) {
  return createRouter().openapi(
    createRoute({
      method: 'get',
      path: '/widget/payments/{id}',
      summary: "Get a payment's data for its widget",
      description: "Opened by this payment's `access_token` alone, from a page of any origin.",
      tags: ['Widget'],
      security: [{ accessToken: [] }],
      request: { params: z.object({ id: z.uuid() }) },
      responses: {
        200: {
          description: 'What to show, and the call that deposits',
          content: { 'application/json': { schema: widgetResponse } },
        },
        ...problems('invalid_request', 'unauthenticated', 'not_found'),
      },
    }),
    async (c) => {
      const claims = await tokens.verifyAccessToken(bearerOf(c));
      if (claims.paymentId !== c.req.valid('param').id) {
        throw new CoreError('unauthenticated', 'The access token belongs to another payment.');
      }
      c.header('Cache-Control', 'no-store');
      return c.json(renderWidget(await openWidget(sql, claims)), 200);
    },
  );
}

function renderWidget({ payment, deals, currency, network, payable }: WidgetRecord): z.input<typeof widgetResponse> {
  const [first] = deals;
  const terms = payable.map((deal) => termsToJson(termsOf(deal, zeroAddress)));
  const [only] = terms;
  return {
    external_id: payment.externalId,
    node_id: payment.nodeId,
    network_id: Number(network.eip155Id),
    deal_id: first?.number == null ? null : Number(first.number),
    price: jsonNumber(formatUnits(payment.paidPriceUnits, currency.decimals)),
    price_units: payment.paidPriceUnits.toString(),
    price_decimals: currency.decimals,
    payment_address: payment.paymentAddress,
    diamond_address: network.diamondAddress,
    currency: currency.code,
    token_address: currency.tokenAddress,
    status: payment.status,
    transaction_hash: payment.transactionHash,
    expires_at: payment.expiresAt.toISOString(),
    offer_hash: first?.offerId ?? null,
    deal_hash: first?.dealId ?? null,
    legs: deals.map((deal) => ({
      payment_address: deal.payee,
      price_units: deal.amountUnits.toString(),
      offer_hash: deal.offerId,
      deal_hash: deal.dealId,
      status: legStatus(deal),
    })),
    confirmations: network.confirmations,
    contract: only
      ? terms.length === 1
        ? { abi: abiOf('deposit'), function_name: 'deposit', arguments: [only] }
        : { abi: abiOf('depositMany'), function_name: 'depositMany', arguments: [terms] }
      : null,
  };
}
