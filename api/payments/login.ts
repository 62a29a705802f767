// Client credentials for an integration's bearer token.
import { createRoute, z } from '@hono/zod-openapi';
import { INTEGRATION_TOKEN_SECONDS } from '../core/auth.ts';
import { authenticate } from '../core/platform.ts';
import { createRouter, jsonBody, problems, type Services } from '../http.ts';

/** Mounts `POST /auth/token`. */
export function loginRoutes({ sql, tokens }: Services) {
  return createRouter().openapi(
    createRoute({
      method: 'post',
      path: '/auth/token',
      summary: 'Exchange client id and secret for a bearer token',
      tags: ['Authentication'],
      middleware: jsonBody(),
      request: {
        body: {
          required: true,
          content: {
            'application/json': {
              schema: z.object({ client_id: z.string().min(1).max(255), client_secret: z.string().min(1).max(255) }),
            },
          },
        },
      },
      responses: {
        200: {
          description: 'The token',
          content: {
            'application/json': {
              schema: z.object({ access_token: z.string(), token_type: z.literal('Bearer'), expires_in: z.int() }),
            },
          },
        },
        ...problems('invalid_request', 'unauthenticated', 'payload_too_large'),
      },
    }),
    async (c) => {
      const { client_id, client_secret } = c.req.valid('json');
      const integration = await authenticate(sql, client_id, client_secret);
      c.header('Cache-Control', 'no-store');
      return c.json(
        {
          access_token: await tokens.issueIntegrationToken(integration.id),
          token_type: 'Bearer' as const,
          expires_in: INTEGRATION_TOKEN_SECONDS,
        },
        200,
      );
    },
  );
}
