// Client credentials for an integration's bearer token.
import { createRoute, z } from '@hono/zod-openapi';
import { INTEGRATION_TOKEN_SECONDS } from '../core/platform/auth.ts';
import { allScopes } from '../core/scopes.ts';
import { createRouter, jsonBody, problems, type Services } from '../http.ts';
import { logIn } from '../login.ts';

// Visible ASCII is all that we hand out; PostgreSQL keeps no NUL.
const credential = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[\x21-\x7e]+$/, 'must be visible ASCII');

/** Mounts `POST /auth/token`. */
export function loginRoutes(services: Services) {
  const { tokens } = services;
  return createRouter().openapi(
    createRoute({
      method: 'post',
      path: '/auth/token',
      operationId: 'createToken',
      summary: 'Exchange client id and secret for a bearer token',
      description:
        'The token is valid for an hour. After ten failed logins of a client within 15 minutes it has to wait.',
      tags: ['Authentication'],
      middleware: jsonBody(),
      request: {
        body: {
          required: true,
          content: {
            'application/json': {
              schema: z.object({ client_id: credential, client_secret: credential }),
            },
          },
        },
      },
      responses: {
        200: {
          description: 'The token',
          content: {
            'application/json': {
              schema: z.object({
                access_token: z.string(),
                token_type: z.literal('Bearer'),
                expires_in: z.int(),
                scope: z.string().openapi({ description: 'What the token may do, separated by spaces' }),
              }),
            },
          },
        },
        ...problems('invalid_request', 'unauthenticated', 'forbidden', 'payload_too_large', 'rate_limited'),
      },
    }),
    async (c) => {
      const { client_id, client_secret } = c.req.valid('json');
      const integration = await logIn(c, services, { clientId: client_id, clientSecret: client_secret });
      return c.json(
        {
          access_token: await tokens.issueIntegrationToken(integration.id, integration.scopes),
          token_type: 'Bearer' as const,
          expires_in: INTEGRATION_TOKEN_SECONDS,
          scope: (integration.scopes ?? allScopes).join(' '),
        },
        200,
      );
    },
  );
}
