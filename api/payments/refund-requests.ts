// Refund requests: what a buyer asks back from the checkout, and what an integration answers. They move no money.
import { createRoute, z } from '@hono/zod-openapi';
import { actorOf } from '../callers.ts';
import {
  authorizeRefundRequest,
  declineRefundRequest,
  listRefundRequests,
  requestRefund,
  withdrawRefundRequest,
} from '../core/payments/refundRequests.ts';
import { authorizeNode } from '../core/platform/platform.ts';
import {
  createRouter,
  jsonBody,
  pageQuery,
  problems,
  requireIntegration,
  type Services,
  wholeNumber,
} from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, idParams, json, paged } from '../resource.ts';
import { freeText } from './payment.ts';
import { refundRequestResponse, refundRequestStatus, renderRefundRequest } from './refund-request.ts';
import { openedPayment } from './widget.ts';

const words = freeText(1_000).trim().min(1);

const askRequest = z
  .strictObject({
    leg: wholeNumber(0, 1_000)
      .optional()
      .openapi({ description: 'The leg (0, 1, …); required when the payment has several' }),
    amount_units: z
      .string()
      .regex(/^\d{1,78}$/, 'must be a whole number as text')
      .optional()
      .openapi({ description: 'In base units; left out: everything that is held' }),
    reason: words.optional().openapi({ description: 'Why, for the seller to read', example: 'It arrived broken.' }),
  })
  .openapi('AskForRefund');

const declineRequest = z
  .strictObject({
    reason: words.openapi({ description: 'What the buyer reads', example: 'The lamp was sent yesterday.' }),
  })
  .openapi('DeclineRefundRequest');

const listQuery = z.strictObject({
  node_id: z.uuid().openapi({ description: 'Of this node and all below it' }),
  payment_id: z.uuid().optional(),
  status: refundRequestStatus.optional(),
  ...pageQuery,
});

const asked = z.object({ id: z.uuid(), request_id: z.uuid() });

/** Mounts the routes. */
export function refundRequestRoutes(services: Services) {
  const { sql } = services;
  const authenticated = requireIntegration(services);
  const router = createRouter();

  router.openapi(
    createRoute({
      method: 'get',
      path: '/refund-requests',
      summary: 'List what buyers ask back, newest first',
      description:
        'A new one is a `payment.refund_requested` event. `POST /payments/{id}/refund` answers it; so does whatever else gives the money back.',
      tags: ['Refund requests'],
      security: [{ integration: [] }],
      middleware: authenticated,
      request: { query: listQuery },
      responses: {
        200: json(paged(refundRequestResponse), 'A page of requests'),
        ...problems('invalid_request', 'unauthenticated', 'not_found'),
      },
    }),
    async (c) => {
      const { node_id: nodeId, payment_id: paymentId, status, page, per_page: perPage } = c.req.valid('query');
      await authorizeNode(sql, c.get('integration'), nodeId);
      const { rows, total } = await listRefundRequests(sql, { nodeId, paymentId, status }, { page, perPage });
      return c.json({ items: rows.map(renderRefundRequest), page, per_page: perPage, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      method: 'post',
      path: '/refund-requests/{id}/decline',
      summary: 'Decline a refund request with a reason',
      description: 'The money stays where it is; the buyer reads the reason in the checkout, and may ask again.',
      tags: ['Refund requests'],
      security: [{ integration: [] }],
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, params: idParams, body: body(declineRequest) },
      responses: {
        200: json(refundRequestResponse, 'The request, declined; the same again answers the same'),
        ...problems('invalid_request', 'unauthenticated', 'not_found', 'illegal_transition', ...keyRefusals),
      },
    }),
    async (c) => {
      const integration = c.get('integration');
      const request = await authorizeRefundRequest(sql, integration, c.req.valid('param').id);
      const { reason } = c.req.valid('json');
      return await once(c, services, 200, async (tx) =>
        renderRefundRequest(await declineRefundRequest(tx, request, actorOf(integration), reason)),
      );
    },
  );

  router.openapi(
    createRoute({
      method: 'post',
      path: '/widget/payments/{id}/refund-requests',
      summary: 'Ask for a refund, as the buyer',
      description:
        'Tells the integration, and moves nothing. One open request a leg, ten in all; the same again answers with the open one.',
      tags: ['Widget'],
      security: [{ accessToken: [] }],
      middleware: jsonBody({ optional: true }),
      request: { params: idParams, body: { ...body(askRequest), required: false } },
      responses: {
        201: json(refundRequestResponse, 'The open request'),
        ...problems('invalid_request', 'unauthenticated', 'forbidden', 'not_found', 'conflict', 'illegal_transition'),
      },
    }),
    async (c) => {
      const key = await openedPayment(c, services, c.req.valid('param').id);
      const { leg, amount_units: units, reason } = c.req.valid('json') ?? {};
      const amountUnits = units === undefined ? undefined : BigInt(units);
      return c.json(renderRefundRequest(await requestRefund(sql, key, { leg, amountUnits, reason })), 201);
    },
  );

  router.openapi(
    createRoute({
      method: 'post',
      path: '/widget/payments/{id}/refund-requests/{request_id}/withdraw',
      summary: 'Take a refund request back, as the buyer',
      description: 'Tells the integration by a `payment.refund_request_withdrawn` event. The buyer may ask again.',
      tags: ['Widget'],
      security: [{ accessToken: [] }],
      request: { params: asked },
      responses: {
        200: json(refundRequestResponse, 'The request, withdrawn; the same again answers the same'),
        ...problems('invalid_request', 'unauthenticated', 'forbidden', 'not_found', 'illegal_transition'),
      },
    }),
    async (c) => {
      const { id, request_id: requestId } = c.req.valid('param');
      const key = await openedPayment(c, services, id);
      return c.json(renderRefundRequest(await withdrawRefundRequest(sql, key, requestId)), 200);
    },
  );

  return router;
}
