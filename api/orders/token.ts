// The bearer token of the orders surface, by OAuth 2's client credentials grant (RFC 6749): the same token that opens /api/v1.
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { CoreError } from '../core/errors.ts';
import { INTEGRATION_TOKEN_SECONDS } from '../core/platform/auth.ts';
import { allScopes, hasScope } from '../core/scopes.ts';
import { createRouter, type Env, problems, type Services } from '../http.ts';
import { type Credentials, logIn } from '../login.ts';
import { json } from '../resource.ts';

const tokenRequest = z
  .object({
    grant_type: z.string().optional().openapi({ description: '`client_credentials`', example: 'client_credentials' }),
    client_id: z.string().optional().openapi({ description: 'Unless sent by HTTP Basic' }),
    client_secret: z.string().optional().openapi({ description: 'Unless sent by HTTP Basic' }),
    scope: z.string().optional().openapi({ description: 'Narrows the token down; left out: all that it may' }),
  })
  .openapi('TokenRequest', { required: ['grant_type'] });

const tokenResponse = z
  .object({ access_token: z.string(), token_type: z.literal('Bearer'), expires_in: z.int(), scope: z.string() })
  .openapi('Token');

type Refusal =
  | 'invalid_request'
  | 'invalid_client'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_scope';

const refusal = z
  .object({
    error: z.enum([
      ...(['invalid_request', 'invalid_client', 'unauthorized_client'] as const),
      ...(['unsupported_grant_type', 'invalid_scope'] as const),
    ]),
    error_description: z.string().openapi({ example: 'grant_type must be client_credentials.' }),
  })
  .openapi('TokenRefusal');

class TokenRefused extends Error {
  readonly error: Refusal;
  constructor(error: Refusal, description: string) {
    super(description);
    this.error = error;
  }
}

// Visible ASCII is all that we hand out; PostgreSQL keeps no NUL.
const FORM = /^application\/x-www-form-urlencoded\b/i;
const CREDENTIAL = /^[\x21-\x7e]{1,255}$/;

/** Mounts `POST /oauth/token`. */
export function tokenRoutes(services: Services) {
  return createRouter().openapi(
    createRoute({
      method: 'post',
      path: '/oauth/token',
      operationId: 'createToken',
      summary: 'Exchange client id and secret for a bearer token',
      description:
        'RFC 6749, section 4.4. The credentials are those of an integration of `/api/v1`, in the body or by HTTP Basic; the token is valid for an hour.',
      tags: ['Authentication'],
      request: {
        body: { required: true, content: { 'application/x-www-form-urlencoded': { schema: tokenRequest } } },
      },
      responses: {
        ...problems(),
        200: json(tokenResponse, 'The token'),
        400: json(refusal, 'Not a request for a token that there is (RFC 6749, section 5.2)'),
        401: json(refusal, 'Client id or secret are wrong, or the integration is disabled'),
      },
    }),
    async (c) => {
      const type = c.req.header('Content-Type') ?? '';
      if (!FORM.test(type))
        throw new CoreError('unsupported_media_type', 'Send an application/x-www-form-urlencoded body.');
      try {
        const form = c.req.valid('form');
        const integration = await logIn(c, services, credentialsOf(c, form));
        const scopes = scopesOf(form.scope, integration.scopes);
        return c.json(
          {
            access_token: await services.tokens.issueIntegrationToken(integration.id, scopes),
            token_type: 'Bearer' as const,
            expires_in: INTEGRATION_TOKEN_SECONDS,
            scope: (scopes ?? allScopes).join(' '),
          },
          200,
        );
      } catch (error) {
        const { error: code, message } = refusalOf(error);
        if (code !== 'invalid_client') return c.json({ error: code, error_description: message }, 400);
        c.header('WWW-Authenticate', 'Basic realm="dealkeep"');
        return c.json({ error: code, error_description: message }, 401);
      }
    },
  );
}

function credentialsOf(c: Context<Env>, form: z.output<typeof tokenRequest>): Credentials {
  if (form.grant_type === undefined) throw new TokenRefused('invalid_request', 'grant_type is missing.');
  if (form.grant_type !== 'client_credentials') {
    throw new TokenRefused('unsupported_grant_type', 'grant_type must be client_credentials.');
  }
  const header = c.req.header('Authorization');
  const basic = header === undefined ? undefined : basicOf(header);
  if (basic && form.client_secret !== undefined) {
    throw new TokenRefused('invalid_request', 'Send the credentials once, by HTTP Basic or in the body.');
  }
  const { clientId = '', clientSecret = '' } = basic ?? { clientId: form.client_id, clientSecret: form.client_secret };
  if (!CREDENTIAL.test(clientId) || !CREDENTIAL.test(clientSecret)) {
    throw new TokenRefused('invalid_client', 'Send client_id and client_secret, in the body or by HTTP Basic.');
  }
  return { clientId, clientSecret };
}

/** RFC 6749, section 2.3.1: both parts are form-encoded before they are joined. */
function basicOf(header: string): Credentials | undefined {
  const match = /^Basic ([A-Za-z0-9+/]+=*)$/i.exec(header);
  const [clientId, ...rest] = Buffer.from(match?.[1] ?? '', 'base64')
    .toString('utf8')
    .split(':');
  if (!match || clientId === undefined || rest.length === 0) {
    throw new TokenRefused('invalid_client', 'The Authorization header is not HTTP Basic.');
  }
  const decoded = (text: string) => new URLSearchParams(`x=${text}`).get('x') ?? '';
  return { clientId: decoded(clientId), clientSecret: decoded(rest.join(':')) };
}

function scopesOf(asked: string | undefined, granted: string[] | null): string[] | null {
  const names = (asked ?? '').split(' ').filter((name) => name !== '');
  if (names.length === 0) return granted;
  const lacking = names.filter((name) => !allScopes.some((known) => known === name) || !hasScope(granted, name));
  if (lacking.length > 0) throw new TokenRefused('invalid_scope', 'The integration lacks a scope that was asked for.');
  return names;
}

/** What a failure is called in RFC 6749. @throws what has no name there. */
function refusalOf(error: unknown): TokenRefused {
  if (error instanceof TokenRefused) return error;
  if (error instanceof CoreError && error.code === 'unauthenticated') {
    return new TokenRefused('invalid_client', error.message);
  }
  if (error instanceof CoreError && error.code === 'forbidden') {
    return new TokenRefused('unauthorized_client', error.message);
  }
  throw error;
}
