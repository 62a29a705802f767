// The payment resource: create, list, get, logs, send again, rotate (spec/004-payments.json).
// What moves its money is in actions.ts.
import { createRoute, z } from '@hono/zod-openapi';
import { accessTokenOf, actorOf } from '../callers.ts';
import type { Actor } from '../core/log.ts';
import { listLogs } from '../core/log.ts';
import { retrySend, rotateAccessToken } from '../core/payments/actions.ts';
import { paymentCreator } from '../core/payments/creation.ts';
import {
  authorizePayment,
  listPayments,
  loadPayment,
  MOST_COUNTED,
  type PaymentKey,
  type PaymentRecord,
  paymentFinder,
} from '../core/payments/payments.ts';
import type { Integration } from '../core/platform/platform.ts';
import { proofOfFact } from '../core/proof.ts';
import { Providers } from '../core/rails/provider.ts';
import { renderDifference } from '../core/webhooks/events.ts';
import { createRouter, jsonBody, pageQuery, problems, requireIntegration, type Services } from '../http.ts';
import { keyHeader, keyOf, keyRefusals, once, type Restore, replay } from '../idempotency.ts';
import { idParams, json, label, moment, paged } from '../resource.ts';
import { differenceResponse } from './events.ts';
import {
  createRequest,
  type PaymentBody,
  paymentGroup,
  paymentMethod,
  paymentResponse,
  paymentStatusSchema,
  renderPayment,
  toPaymentRequest,
} from './payment.ts';
import { proofResponse } from './proof.ts';

const security = [{ integration: [] }];

const logEntry = z
  .object({
    id: z.uuid(),
    event_type: z.string(),
    message: z.string(),
    actor_type: z.enum(['system', 'integration', 'chain', 'operator', 'payer', 'payee']),
    actor_id: z.uuid().nullable(),
    proof: proofResponse.nullable(),
    difference: differenceResponse.nullable(),
    created_at: z.string(),
  })
  .openapi('PaymentLog');

const created = moment.transform((text) => new Date(text)).openapi({ type: 'string', format: 'date-time' });

const listQuery = z
  .strictObject({
    node_id: z.uuid(),
    wallet_id: z.uuid().optional(),
    network_id: z.uuid().optional(),
    external_id: label.optional(),
    status: paymentStatusSchema.optional(),
    payment_method: paymentMethod.optional(),
    payment_group: paymentGroup.optional(),
    created_from: created.optional().openapi({ description: 'Created then or later' }),
    created_to: created.optional().openapi({ description: 'Created before then' }),
    ...pageQuery,
    after: z.uuid().optional().openapi({
      description: 'The last id of the page before: goes on from there, equally fast at any depth; without `page`',
    }),
  })
  .check(({ value: { created_from, created_to, page, after }, issues }) => {
    const fault = (field: string, message: string) =>
      issues.push({ code: 'custom', input: undefined, path: [field], message });
    if (created_from && created_to && created_from > created_to) fault('created_to', 'is before created_from');
    if (after !== undefined && page > 1) fault('page', 'must be left out when after is given');
  });

/** Mounts the payment routes. */
export function paymentRoutes(services: Services) {
  const { sql, vault } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const create = paymentCreator(sql, vault, services.providers ?? new Providers());
  const find = paymentFinder(sql);
  const render = (integration: Integration, record: PaymentRecord) =>
    renderPayment(vault, record, accessTokenOf(services.tokens, integration, record));
  const restoreToken =
    (integration: Integration): Restore<PaymentBody> =>
    async (tx, body) => {
      const record = await loadPayment(tx, { nodeId: body.node_id, paymentId: body.id });
      return { ...body, access_token: accessTokenOf(services.tokens, integration, record) };
    };

  router.openapi(
    createRoute({
      method: 'post',
      path: '/payments',
      summary: 'Create a payment',
      tags: ['Payments'],
      security,
      middleware: [authenticated, jsonBody()] as const,
      request: {
        headers: keyHeader,
        body: { required: true, content: { 'application/json': { schema: createRequest } } },
      },
      responses: {
        201: json(paymentResponse, 'The payment, with the access token of its widget'),
        ...problems('invalid_request', 'unauthenticated', 'not_found', 'conflict', 'payload_too_large', ...keyRefusals),
      },
    }),
    async (c) => {
      const integration = c.get('integration');
      const keyed = await keyOf<PaymentBody>(c, services);
      const created = await create({
        integration,
        request: toPaymentRequest(c.req.valid('json')),
        keyed: keyed && { ...keyed, answerOf: (record) => keyed.seal(renderPayment(vault, record, null)) },
      });
      if ('record' in created) {
        c.set('paymentId', created.record.payment.id);
        return c.json(render(integration, created.record), 201);
      }
      if (!keyed) throw new Error('A request without a key was answered before.');
      const known = await restoreToken(integration)(sql, keyed.open(created.answered));
      c.set('paymentId', known.id);
      return replay(c, 201, known);
    },
  );

  router.openapi(
    createRoute({
      method: 'get',
      path: '/payments',
      summary: "List a node's payments, newest first",
      tags: ['Payments'],
      security,
      middleware: authenticated,
      request: {
        query: listQuery,
      },
      responses: {
        200: json(
          paged(paymentResponse),
          `A page of payments. \`total\` is exact without filters; a filtered list is counted up to ${MOST_COUNTED}`,
        ),
        ...problems('invalid_request', 'unauthenticated', 'not_found'),
      },
    }),
    async (c) => {
      const { page, per_page, after, ...query } = c.req.valid('query');
      const filter = {
        nodeId: query.node_id,
        walletId: query.wallet_id,
        networkId: query.network_id,
        externalId: query.external_id,
        status: query.status,
        paymentMethod: query.payment_method,
        paymentGroup: query.payment_group,
        createdFrom: query.created_from,
        createdTo: query.created_to,
      };
      const { records, total } = await listPayments(sql, c.get('integration'), filter, {
        page,
        perPage: per_page,
        after,
      });
      return c.json(
        {
          items: records.map((record) => render(c.get('integration'), record)),
          page,
          per_page,
          total,
        },
        200,
      );
    },
  );

  router.openapi(
    createRoute({
      method: 'get',
      path: '/payments/{id}',
      summary: 'Get a payment',
      tags: ['Payments'],
      security,
      middleware: authenticated,
      request: { params: idParams },
      responses: {
        200: json(paymentResponse, 'The payment'),
        ...problems('invalid_request', 'unauthenticated', 'not_found'),
      },
    }),
    async (c) => {
      const integration = c.get('integration');
      return c.json(render(integration, await find(integration, c.req.valid('param').id)), 200);
    },
  );

  router.openapi(
    createRoute({
      method: 'get',
      path: '/payments/{id}/logs',
      summary: "List a payment's log, newest first",
      tags: ['Payments'],
      security,
      middleware: authenticated,
      request: { params: idParams, query: z.object(pageQuery) },
      responses: {
        200: json(paged(logEntry), 'A page of the log'),
        ...problems('invalid_request', 'unauthenticated', 'not_found'),
      },
    }),
    async (c) => {
      const { page, per_page } = c.req.valid('query');
      const key = await authorizePayment(sql, c.get('integration'), c.req.valid('param').id);
      const { rows, total } = await listLogs(sql, key, { page, perPage: per_page });
      const items = rows.map((row) => ({
        id: row.id,
        event_type: row.eventType,
        message: row.message,
        actor_type: row.actorType,
        actor_id: row.actorId,
        proof: row.chainFact && proofOfFact(row.chainFact),
        difference: row.difference && renderDifference(row.difference),
        created_at: row.createdAt.toISOString(),
      }));
      return c.json({ items, page, per_page, total }, 200);
    },
  );

  const mutations: { path: string; mutate: Mutation; summary: string; refuses: 'not_retryable'[] }[] = [
    {
      path: '/payments/{id}/retry-send',
      mutate: retrySend,
      summary: 'Send a pending web3 payment to the create-payment consumer again',
      refuses: ['not_retryable'],
    },
    {
      path: '/payments/{id}/access-token/rotate',
      mutate: rotateAccessToken,
      summary: "Revoke the payment's access token and return a new one",
      refuses: [],
    },
  ];
  for (const { path, mutate, summary, refuses } of mutations) {
    router.openapi(
      createRoute({
        method: 'post',
        path,
        summary,
        tags: ['Payments'],
        security,
        middleware: authenticated,
        request: { headers: keyHeader, params: idParams },
        responses: {
          200: json(paymentResponse, 'The payment'),
          ...problems('invalid_request', 'unauthenticated', 'not_found', ...refuses, ...keyRefusals),
        },
      }),
      async (c) => {
        const integration = c.get('integration');
        const key = await authorizePayment(sql, integration, c.req.valid('param').id);
        return await once(
          c,
          services,
          200,
          async (tx) => render(integration, await mutate(tx, key, actorOf(integration))),
          restoreToken(integration),
        );
      },
    );
  }

  return router;
}

type Mutation = (sql: Parameters<typeof loadPayment>[0], key: PaymentKey, actor: Actor) => Promise<PaymentRecord>;
