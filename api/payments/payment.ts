// Owns the payment resource's shape over HTTP (spec/004-payments.json): the request as it comes, the response as it goes.
import { z } from '@hono/zod-openapi';
import { zeroAddress } from 'viem';
import { MINIMUM_GAP_SECONDS } from '../../contracts/terms.ts';
import { formatUnits } from '../core/money.ts';
import type { PaymentRecord } from '../core/payments/payments.ts';
import type { PaymentRequest } from '../core/payments/request.ts';
import { openMember } from '../core/people/members.ts';
import { proofOfLeg } from '../core/proof.ts';
import type { DealPolicy, DealRow } from '../core/schema.ts';
import { legStatus } from '../core/status.ts';
import type { Vault } from '../core/vault.ts';
import { decimalText, jsonNumber, wholeNumber } from '../http.ts';
import { address, label, moment, returnUrl, units } from '../resource.ts';
import { proofResponse } from './proof.ts';
import { railResponse, renderRail } from './rail.ts';
import { refundRequestResponse, renderRefundRequest } from './refund-request.ts';
import { currentProposals, splitProposalResponse } from './split-proposal.ts';

/** Text that can be kept: PostgreSQL has no NUL, JSON no half characters. */
export const freeText = (max: number) =>
  z
    .string()
    .max(max)
    .refine((text) => !text.includes('\0'), 'must not contain a NUL character')
    .refine((text) => text.isWellFormed(), 'must not contain half a surrogate pair');
const MAX_PERIOD_SECONDS = 5 * 365 * 86_400;
const MAX_RETRIES = 20;

/** How money comes in. */
export const paymentMethod = z.enum(['web3', 'credit_card', 'bank_transfer']);

/** What is paid for. */
export const paymentGroup = z.enum(['product', 'listing_or_subscription']);

const itemRequest = z.strictObject({
  name: freeText(255).optional(),
  price: decimalText.optional(),
  external_id: freeText(255).optional(),
});

const memberRequest = z.strictObject({
  external_id: freeText(255).min(1),
  name: freeText(255).optional(),
  surname: freeText(255).optional(),
  email: z.email().max(255).optional(),
});

/** Fields of a deal policy, as a payment or a node states them. */
export const dealRequest = z
  .strictObject({
    fee_bps: wholeNumber(0, 10_000).optional(),
    fee_fixed: decimalText.optional(),
    fee_minimum: decimalText.nullable().optional(),
    fee_maximum: decimalText.nullable().optional(),
    fee_bearer: z.enum(['payer', 'payee']).optional(),
    fee_recipient: address.optional(),
    arbiter: address.nullable().optional(),
    settlement_period_seconds: wholeNumber(Number(MINIMUM_GAP_SECONDS), MAX_PERIOD_SECONDS).optional(),
    resolution_period_seconds: wholeNumber(Number(MINIMUM_GAP_SECONDS), MAX_PERIOD_SECONDS).optional(),
    default_outcome: z.enum(['refund', 'release']).optional(),
  })
  .openapi('DealTerms', { description: "Overrides single fields of the node's deal policy; frozen with the payment." });

// The contract takes 100 in one batch (IEscrow.sol); these cost about 1.5 million gas, which every chain's block has room for.
const MAX_LEGS = 32;

const legRequest = z
  .strictObject({
    payment_address: address.optional().openapi({ description: 'Required for web3' }),
    paid_price: decimalText,
    external_id: label.optional().openapi({ description: 'Required without a payment_address' }),
  })
  .openapi('LegRequest', { description: 'One payee and its share of paid_price; the shares sum to it.' });

type Stated = { payment_method?: unknown; network_id?: unknown; payment_address?: unknown; legs?: unknown };

/** What is required by what else a request says: a payment on chain names its network and the address of each payee. */
function missingFields(stated: Stated): { path: (string | number)[]; message: string }[] {
  const onRail = stated.payment_method === 'credit_card' || stated.payment_method === 'bank_transfer';
  const legs: unknown[] = Array.isArray(stated.legs) ? stated.legs : [];
  const ofLegs = legs.flatMap((leg, index) => {
    const { payment_address: payee, external_id: name } = Object(leg);
    if (payee !== undefined || (onRail && name !== undefined)) return [];
    return onRail
      ? [{ path: ['legs', index, 'external_id'], message: 'is required without a payment_address' }]
      : [{ path: ['legs', index, 'payment_address'], message: 'is required for web3' }];
  });
  const needed = onRail ? [] : (['network_id', 'payment_address'] as const);
  const missing = needed.filter((name) => stated[name] === undefined);
  return [...missing.map((name) => ({ path: [name], message: 'is required for web3' })), ...ofLegs];
}

/** The body of `POST /api/v1/payments`. */
export const createRequest = z
  .object({
    external_id: label.openapi({ description: 'Unique per node', example: 'order-1001' }),
    node_id: z.uuid(),
    chain_id: z.uuid().optional(),
    network_id: z.uuid().optional().openapi({
      description: 'Required for web3; a card or transfer payment needs none',
      example: '0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d',
    }),
    wallet_id: z.uuid().optional(),
    member_id: z.uuid().optional(),
    member: memberRequest.optional(),
    currency_id: z.uuid(),
    price: decimalText.openapi({ example: 25.5 }),
    paid_price: decimalText.openapi({ description: "What the payer pays: the deal's amount", example: 25.5 }),
    payment_method: paymentMethod,
    payment_group: paymentGroup,
    payment_address: address.optional().openapi({
      description: 'The payee; required for web3, a card or transfer payment needs none',
      minLength: 10,
      example: '0x15d34aaf54267db7d7c367839aaf71a00a2c6a65',
    }),
    items: z.array(itemRequest).max(200).optional(),
    metadata: freeText(16_384).optional(),
    notify_url: z.string().max(2_048).optional().openapi({
      description: "An https URL that gets this payment's events, beside the node's webhook endpoints",
      example: 'https://shop.example.org/notify/order-1001',
    }),
    return_url: returnUrl.optional().openapi({
      description:
        "Where a provider's page leads the payer back to, like https://shop.example.com/orders/{payment_id}, with the id in its place; its origin must be in the node's return_origins",
      format: 'uri-template',
      example: undefined,
    }),
    expires_at: moment.openapi({ description: 'The deposit deadline', example: '2027-01-01T00:00:00Z' }),
    retry: z.boolean().optional(),
    retry_count: wholeNumber(0, MAX_RETRIES).optional(),
    client_ip: z.ipv4().optional().openapi({ format: 'ipv4' }),
    legs: z
      .array(legRequest)
      .min(1)
      .max(MAX_LEGS)
      .optional()
      .openapi({ description: 'Several payees, paid by one signature; left out: payment_address gets all' }),
    deal: dealRequest.optional(),
  })
  .superRefine(
    (request, context) => {
      for (const { path, message } of missingFields(request)) context.addIssue({ code: 'custom', path, message });
    },
    // Together with whatever else is wrong, as long as there are fields.
    { when: ({ value }) => typeof value === 'object' && value !== null },
  )
  .openapi('CreatePayment');

// Enough for a node that restarts: with exponential backoff the last attempt is about two and a half minutes later.
const DEFAULT_RETRY_COUNT = 5;

/** Translates a request body into core's words. */
export function toPaymentRequest(body: z.output<typeof createRequest>): PaymentRequest {
  const { member } = body;
  return {
    externalId: body.external_id,
    nodeId: body.node_id,
    chainId: body.chain_id,
    networkId: body.network_id,
    walletId: body.wallet_id,
    memberId: body.member_id,
    member: member && {
      externalId: member.external_id,
      name: member.name ?? null,
      surname: member.surname ?? null,
      email: member.email ?? null,
    },
    currencyId: body.currency_id,
    price: body.price,
    paidPrice: body.paid_price,
    paymentMethod: body.payment_method,
    paymentGroup: body.payment_group,
    paymentAddress: body.payment_address,
    items: body.items?.map((item) => ({
      name: item.name ?? null,
      price: item.price ?? null,
      externalId: item.external_id ?? null,
    })),
    metadata: body.metadata,
    notifyUrl: body.notify_url,
    returnUrl: body.return_url,
    expiresAt: new Date(body.expires_at),
    retry: body.retry ?? false,
    retryCount: body.retry_count ?? (body.retry ? DEFAULT_RETRY_COUNT : 0),
    clientIp: body.client_ip,
    legs:
      body.legs?.map((leg) => ({
        externalId: leg.external_id ?? null,
        paymentAddress: leg.payment_address,
        paidPrice: leg.paid_price,
      })) ?? null,
    deal: toPolicy(body.deal ?? {}),
  };
}

/** Translates stated fields of a policy into core's words. */
export function toPolicy(deal: z.output<typeof dealRequest>): Partial<DealPolicy> {
  return {
    ...(deal.fee_bps !== undefined && { feeBps: deal.fee_bps }),
    ...(deal.fee_fixed !== undefined && { feeFixed: deal.fee_fixed }),
    ...(deal.fee_minimum !== undefined && { feeMinimum: deal.fee_minimum }),
    ...(deal.fee_maximum !== undefined && { feeMaximum: deal.fee_maximum }),
    ...(deal.fee_bearer !== undefined && { feeBearer: deal.fee_bearer }),
    ...(deal.fee_recipient !== undefined && { feeRecipient: deal.fee_recipient }),
    ...(deal.arbiter !== undefined && { arbiter: deal.arbiter }),
    ...(deal.settlement_period_seconds !== undefined && { settlementPeriodSeconds: deal.settlement_period_seconds }),
    ...(deal.resolution_period_seconds !== undefined && { resolutionPeriodSeconds: deal.resolution_period_seconds }),
    ...(deal.default_outcome !== undefined && { defaultOutcome: deal.default_outcome }),
  };
}

/** A payment's status. */
export const paymentStatusSchema = z.enum([
  'pending',
  'awaiting_deposit',
  'confirming',
  'funded',
  'partially_released',
  'disputed',
  'cancel_requested',
  'expired',
  'released',
  'refunded',
  'partially_refunded',
  'cancelled',
  'failed',
]);

const legResponse = z
  .object({
    leg: z.int(),
    external_id: z.string().nullable(),
    status: paymentStatusSchema,
    deal_id: z.int().nullable().openapi({ description: "The deal's number on its network" }),
    ref: z.string().nullable().openapi({ description: 'That number and a random salt, as the terms have it' }),
    offer_hash: z.string().nullable().openapi({ description: 'Hash of the terms before a payer is known' }),
    hash: z.string().nullable().openapi({ description: "The deal's id on chain" }),
    payee: z.string().nullable().openapi({ description: 'Null: on a rail, without an address' }),
    payer: z.string().nullable(),
    token: z.string(),
    amount_units: units,
    fee_units: units,
    released_units: units,
    refunded_units: units,
    fee_recipient: z.string(),
    operator: z.string(),
    arbiter: z.string(),
    deposit_deadline: z.string(),
    settlement_deadline: z.string(),
    resolution_deadline: z.string(),
    default_outcome: z.enum(['refund', 'release']),
    proof: proofResponse.nullable(),
    refund_request: refundRequestResponse.nullable().openapi({ description: 'The newest that the buyer made' }),
    split_proposals: z.array(splitProposalResponse).openapi({ description: 'Those that hold, one a party' }),
  })
  .openapi('Leg');

/** A payment as every read returns it. */
export const paymentResponse = z
  .object({
    id: z.uuid(),
    external_id: z.string(),
    node_id: z.uuid(),
    chain_id: z.uuid().nullable().openapi({ description: 'Null: on a rail, without a chain' }),
    network_id: z.uuid().nullable(),
    wallet_id: z.uuid().nullable(),
    member_id: z.uuid().nullable(),
    member: z
      .object({
        id: z.uuid(),
        external_id: z.string().nullable(),
        name: z.string().nullable(),
        surname: z.string().nullable(),
        email: z.string().nullable(),
      })
      .nullable(),
    currency_id: z.uuid(),
    price: z.number(),
    price_units: units,
    paid_price: z.number(),
    paid_price_units: units,
    payment_method: paymentMethod,
    payment_group: paymentGroup,
    payment_address: z.string().nullable(),
    items: z.array(
      z.object({ name: z.string().nullable(), price: z.number().nullable(), external_id: z.string().nullable() }),
    ),
    metadata: z.string().nullable(),
    notify_url: z.string().nullable(),
    return_url: z.string().nullable(),
    expires_at: z.string(),
    retry: z.boolean(),
    retry_count: z.int(),
    client_ip: z.string().nullable(),
    access_token: z.string().nullable().openapi({
      description: "Opens this one payment's widget data; null for a token without the scope access_tokens:read",
    }),
    status: paymentStatusSchema,
    transaction_hash: z.string().nullable().openapi({ description: 'Of the deposit' }),
    deal_id: z.int().nullable().openapi({ description: "The deal's number on its network" }),
    deal: legResponse.openapi({ description: 'The first leg; most payments have one' }),
    legs: z.array(legResponse),
    rail: railResponse.nullable().openapi({ description: 'Null for a payment on chain' }),
    created_at: z.string(),
    updated_at: z.string(),
  })
  .openapi('Payment');

/** A payment as it goes over HTTP. */
export type PaymentBody = z.input<typeof paymentResponse>;

/** Renders a payment; `accessToken` null for who may not read that. */
export function renderPayment(vault: Vault, record: PaymentRecord, accessToken: string | null): PaymentBody {
  const { payment, deals, currency, network } = record;
  const member = record.member && openMember(vault, record.member);
  const decimal = (amountUnits: bigint) => jsonNumber(formatUnits(amountUnits, currency.decimals));
  const legs = deals.map((deal) => renderLeg(deal, record));
  const [first] = legs;
  if (!first) throw new Error(`Payment ${payment.id} has no leg.`);
  return {
    id: payment.id,
    external_id: payment.externalId,
    node_id: payment.nodeId,
    chain_id: network?.chainId ?? null,
    network_id: payment.networkId,
    wallet_id: payment.walletId,
    member_id: payment.memberId,
    member: member && {
      id: member.id,
      external_id: member.externalId,
      name: member.name,
      surname: member.surname,
      email: member.email,
    },
    currency_id: payment.currencyId,
    price: decimal(payment.priceUnits),
    price_units: payment.priceUnits.toString(),
    paid_price: decimal(payment.paidPriceUnits),
    paid_price_units: payment.paidPriceUnits.toString(),
    payment_method: payment.paymentMethod,
    payment_group: payment.paymentGroup,
    payment_address: payment.paymentAddress,
    items: (payment.items ?? []).map((item) => ({
      name: item.name,
      price: item.price === null ? null : jsonNumber(item.price),
      external_id: item.externalId,
    })),
    metadata: payment.metadata,
    notify_url: payment.notifyUrl,
    return_url: payment.returnUrl,
    expires_at: payment.expiresAt.toISOString(),
    retry: payment.retry,
    retry_count: payment.retryCount,
    client_ip: payment.clientIp,
    access_token: accessToken,
    status: payment.status,
    transaction_hash: payment.transactionHash,
    deal_id: first.deal_id,
    deal: first,
    legs,
    rail: renderRail(record),
    created_at: payment.createdAt.toISOString(),
    updated_at: payment.updatedAt.toISOString(),
  };
}

function renderLeg(deal: DealRow, record: PaymentRecord): z.input<typeof legResponse> {
  return {
    leg: deal.leg,
    external_id: deal.externalId,
    status: legStatus(deal),
    deal_id: deal.number === null ? null : Number(deal.number),
    ref: deal.ref === null ? null : deal.ref.toString(),
    offer_hash: deal.offerId,
    hash: deal.dealId,
    payee: deal.payee === zeroAddress ? null : deal.payee,
    payer: deal.payer,
    token: deal.token,
    amount_units: deal.amountUnits.toString(),
    fee_units: deal.feeUnits.toString(),
    released_units: deal.releasedUnits.toString(),
    refunded_units: deal.refundedUnits.toString(),
    fee_recipient: deal.feeRecipient,
    operator: deal.operator,
    arbiter: deal.arbiter,
    deposit_deadline: isoTime(deal.depositDeadline),
    settlement_deadline: isoTime(deal.settlementDeadline),
    resolution_deadline: isoTime(deal.resolutionDeadline),
    default_outcome: deal.defaultOutcome === 1 ? 'release' : 'refund',
    proof: record.network && proofOfLeg(deal, { network: record.network, head: record.head }),
    refund_request: newestRequest(record, deal),
    split_proposals: currentProposals(record, deal),
  };
}

/** The newest refund request of a leg. */
export function newestRequest({ refundRequests }: Pick<PaymentRecord, 'refundRequests'>, { id }: Pick<DealRow, 'id'>) {
  const request = refundRequests.find(({ legId }) => legId === id);
  return request ? renderRefundRequest(request) : null;
}

function isoTime(unixSeconds: bigint): string {
  return new Date(Number(unixSeconds) * 1000).toISOString();
}
