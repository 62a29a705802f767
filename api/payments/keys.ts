// The public keys that verify integration tokens, as a JWK set (RFC 7517).
import { createRoute, z } from '@hono/zod-openapi';
import { createRouter, problems, type Services } from '../http.ts';

const keySet = z
  .object({
    keys: z.array(
      z.object({
        kty: z.literal('OKP'),
        crv: z.literal('Ed25519'),
        x: z.string(),
        kid: z.string(),
        alg: z.literal('EdDSA'),
        use: z.literal('sig'),
      }),
    ),
  })
  .openapi('KeySet');

/** Mounts `GET /.well-known/jwks.json`. */
export function keyRoutes({ tokens }: Services) {
  return createRouter().openapi(
    createRoute({
      method: 'get',
      path: '/.well-known/jwks.json',
      operationId: 'getKeySet',
      summary: 'Get the public keys of integration tokens, the current one first',
      description: 'A JWK set (RFC 7517); after a change of keys it shows both for a while.',
      tags: ['Authentication'],
      responses: {
        200: { description: 'The keys', content: { 'application/json': { schema: keySet } } },
        ...problems(),
      },
    }),
    (c) => {
      c.header('Cache-Control', 'public, max-age=300');
      return c.json({ keys: tokens.publicKeys }, 200);
    },
  );
}
