// Handing a payment over to the hosted checkout: the widget or the integrator makes a code, the hosted page uses it up.
import { createRoute, z } from '@hono/zod-openapi';
import { widgetAccessToken } from '../callers.ts';
import { createHandoff, redeemHandoff } from '../core/payments/handoffs.ts';
import { loadPayment } from '../core/payments/payments.ts';
import { bearerOf, createRouter, problems, type Services } from '../http.ts';
import { body, idParams, json, returnUrl } from '../resource.ts';
import { openedPayment } from './widget.ts';

const handoffRequest = z
  .strictObject({
    return_url: returnUrl
      .optional()
      .openapi({ description: "Where the page leads back to; its origin must be in the node's return_origins" }),
  })
  .openapi('HandoffRequest');

const handoffResponse = z
  .object({
    url: z.string().openapi({
      example: 'https://pay.example.com/checkout/0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d#Zm9v',
      description: 'The hosted checkout with a code in its fragment that works once',
    }),
    expires_at: z.string(),
  })
  .openapi('Handoff');

const redeemRequest = z
  .strictObject({
    code: z
      .string()
      .regex(/^[\w-]{43}$/, 'must be a code of 43 characters')
      .openapi({ example: 'X3Zq0c7gQ9vYw1mN4bT8sR2dF6hJ5kL0pA7uE3iO9xC' }),
  })
  .openapi('RedeemHandoff');

const redeemResponse = z
  .object({
    payment_id: z.uuid(),
    access_token: z.string().openapi({ example: 'eyJhbGciOiJIUzI1NiJ9.e30.c2ln' }),
    return_url: returnUrl.nullable(),
  })
  .openapi('RedeemedHandoff');

/** Mounts the routes. */
export function handoffRoutes(services: Services) {
  const { sql, tokens, publicUrl } = services;
  return createRouter()
    .openapi(
      createRoute({
        method: 'post',
        path: '/widget/payments/{id}/handoffs',
        summary: 'Hand a payment over to the hosted checkout',
        description:
          'Makes a URL that opens the payment once, within ten minutes: for a QR code, a link, or a redirect.',
        tags: ['Widget'],
        security: [{ accessToken: [] }],
        request: { params: idParams, body: body(handoffRequest) },
        responses: {
          201: json(handoffResponse, 'The URL; whoever has it can pay, and see the payment'),
          ...problems('invalid_request', 'unauthenticated', 'forbidden', 'not_found', 'rate_limited'),
        },
      }),
      async (c) => {
        const key = await openedPayment(c, services, c.req.valid('param').id);
        const { version } = await tokens.verifyAccessToken(bearerOf(c));
        const handoff = await createHandoff(sql, key, version, c.req.valid('json').return_url ?? null);
        const url = `${publicUrl}/checkout/${key.paymentId}#${handoff.code}`;
        return c.json({ url, expires_at: handoff.expiresAt.toISOString() }, 201);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/widget/handoffs',
        summary: "Use a handoff's code up",
        description: 'What the hosted checkout does with the code in its fragment. A code works once.',
        tags: ['Widget'],
        security: [],
        request: { body: body(redeemRequest) },
        responses: {
          200: json(redeemResponse, "The payment's access token"),
          ...problems('invalid_request', 'unauthenticated'),
        },
      }),
      async (c) => {
        const { key, returnUrl } = await redeemHandoff(sql, c.req.valid('json').code);
        const accessToken = await widgetAccessToken(tokens, await loadPayment(sql, key));
        c.header('Cache-Control', 'no-store');
        return c.json({ payment_id: key.paymentId, access_token: accessToken, return_url: returnUrl }, 200);
      },
    );
}
