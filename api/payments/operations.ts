// The operation resource: what was asked of a payment's deals on chain, and how it ended.
import { createRoute, z } from '@hono/zod-openapi';
import { callData, decodeCall } from '../core/chain/calls.ts';
import { CoreError } from '../core/errors.ts';
import { formatUnits } from '../core/money.ts';
import { listOperations, loadOperations, type OperationRecord, operationNode } from '../core/payments/operations.ts';
import { authorizePayment } from '../core/payments/payments.ts';
import { mayActOn } from '../core/platform/platform.ts';
import { proofOfEvent } from '../core/proof.ts';
import { createRouter, jsonNumber, pageQuery, problems, requireIntegration, type Services } from '../http.ts';
import { idParams, json, paged } from '../resource.ts';
import { proofResponse } from './proof.ts';

/** A refusal of the contract in words. */
export const refusalResponse = z
  .object({
    name: z
      .string()
      .nullable()
      .openapi({ description: "The contract's error; null when it was none of them", example: 'WrongStatus' }),
    arguments: z.record(z.string(), z.string()).openapi({ example: { actual: 'Settled', expected: 'Funded' } }),
    message: z.string().openapi({ example: 'The deal is Settled on chain; this needs it to be Funded.' }),
  })
  .openapi('Refusal');

/** A call of the diamond, ready for a wallet and in words. */
export const callResponse = z
  .object({
    to: z.string().openapi({ example: '0x5fbdb2315678afecb367f032d93f642f64180aa3' }),
    data: z.string().openapi({ example: '0x86d1a69f' }),
    function: z.string().openapi({ example: 'openDispute' }),
    arguments: z.record(z.string(), z.any()),
  })
  .openapi('Call');

/** An operation as every read returns it. */
export const operationResponse = z
  .object({
    id: z.uuid(),
    payment_id: z
      .uuid()
      .nullable()
      .openapi({ description: 'Null for an unmatched deal that no payment has to do with' }),
    leg: z.int().nullable().openapi({ description: 'Null for an unmatched deal' }),
    verb: z
      .enum([
        'cancelDeal',
        'release',
        'releasePart',
        'refundPart',
        'openDispute',
        'withdrawDispute',
        'resolve',
        'settle',
        'returnPayment',
        'depositWithAuthorization',
        'depositWithPermit2',
        'withdraw',
        'refundExcess',
      ])
      .openapi({ description: "The contract's function; refundExcess is a provider's alone" }),
    deal_hash: z.string().nullable().openapi({ description: 'Null: there was nothing to send' }),
    amount: z.number().nullable(),
    amount_units: z
      .string()
      .nullable()
      .openapi({ description: 'Of resolve and settle: what goes to the payee; null: everything held, or no amount' }),
    status: z.enum(['queued', 'submitted', 'awaiting_signature', 'done', 'failed']),
    signer: z.string().nullable().openapi({
      description: "Whose wallet has to send the call; null: the operator's, which this service holds",
      example: '0x15d34aaf54267db7d7c367839aaf71a00a2c6a65',
    }),
    sign_by: z
      .string()
      .nullable()
      .openapi({ description: 'The last second in which the call can succeed', example: '2027-01-31T12:00:00.000Z' }),
    call: callResponse.nullable().openapi({ description: 'While awaiting_signature: what the signer sends' }),
    transaction_hash: z.string().nullable(),
    proof: proofResponse.nullable().openapi({
      description: 'What its transaction did to the deal; null before, and of a withdrawal, which is of no deal',
    }),
    error: refusalResponse.nullable(),
    created_at: z.string(),
    updated_at: z.string(),
  })
  .openapi('Operation');

/** Mounts the routes of operations. */
export function operationRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const shared = { tags: ['Operations'], security: [{ integration: [] }], middleware: requireIntegration(services) };
  const refusals = problems('invalid_request', 'unauthenticated', 'not_found');

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/operations/{id}',
      summary: 'Get an operation',
      request: { params: idParams },
      responses: { 200: json(operationResponse, 'The operation'), ...refusals },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const nodeId = await operationNode(sql, id);
      const [record] =
        nodeId && (await mayActOn(sql, c.get('integration'), nodeId)) ? await loadOperations(sql, nodeId, [id]) : [];
      if (!record) throw new CoreError('not_found', 'The operation does not exist.');
      return c.json(renderOperation(record), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/payments/{id}/operations',
      summary: "List a payment's operations, newest first",
      request: { params: idParams, query: z.object(pageQuery) },
      responses: { 200: json(paged(operationResponse), 'A page of operations'), ...refusals },
    }),
    async (c) => {
      const { page, per_page } = c.req.valid('query');
      const key = await authorizePayment(sql, c.get('integration'), c.req.valid('param').id);
      const { rows, total } = await listOperations(sql, key, { page, perPage: per_page });
      return c.json({ items: rows.map(renderOperation), page, per_page, total }, 200);
    },
  );

  return router;
}

/** Renders an operation. */
export function renderOperation(record: OperationRecord): z.input<typeof operationResponse> {
  const { amountUnits, decimals, signBy } = record;
  return {
    id: record.id,
    payment_id: record.paymentId,
    leg: record.leg,
    verb: record.verb,
    deal_hash: record.dealId,
    amount: amountUnits === null || decimals === null ? null : jsonNumber(formatUnits(amountUnits, decimals)),
    amount_units: amountUnits?.toString() ?? null,
    status: record.status,
    signer: record.signer,
    sign_by: signBy === null ? null : new Date(Number(signBy) * 1000).toISOString(),
    call: record.status === 'awaiting_signature' ? renderCall(record) : null,
    transaction_hash: record.transactionHash,
    proof: record.event && proofOfEvent(record.event),
    error: record.error,
    created_at: record.createdAt.toISOString(),
    updated_at: record.updatedAt.toISOString(),
  };
}

/** The call of an operation. */
export function renderCall({ diamondAddress, ...record }: OperationRecord): z.input<typeof callResponse> {
  if (!diamondAddress) throw new Error(`Operation ${record.id} calls no contract.`);
  const data = callData(record);
  const { functionName, arguments: named } = decodeCall(data);
  return { to: diamondAddress, data, function: functionName, arguments: named };
}
