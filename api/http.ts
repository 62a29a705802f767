// Owns what every surface shares over HTTP: bodies parsed without losing a digit, bearer tokens, request ids, and errors
// rendered as RFC 9457 problem documents. Refuses to know any resource.
import type { BlockList } from 'node:net';
import { OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { HTTPException } from 'hono/http-exception';
import type { Logger } from 'pino';
import { v7 as uuidv7 } from 'uuid';
import { addressList, clientAddress, includesAddress } from './address.ts';
import { isMirrorMissing } from './core/chain/mirror.ts';
import { isDatabaseAway, type Sql } from './core/database/db.ts';
import { CoreError, type ErrorCode, errorTable, type FieldFault, FieldFaults } from './core/errors.ts';
import type { IntegrationClaims, Tokens } from './core/platform/auth.ts';
import { type Integration, integrationFinder } from './core/platform/platform.ts';
import type { Rates } from './core/platform/rates.ts';
import type { Providers } from './core/rails/provider.ts';
import { hasScope } from './core/scopes.ts';
import type { Vault } from './core/vault.ts';
import { callerOf, type RequestLimiter } from './limits.ts';
import type { Metrics } from './metrics.ts';
import { isSecured, scopeOfOperation } from './scopes.ts';

/** What the API runs on. */
export type Services = {
  sql: Sql;
  tokens: Tokens;
  vault: Vault;
  log: Logger;
  /** Counts requests; left out: nobody does. */
  metrics?: Metrics;
  publicUrl: string;
  /** How many requests callers may make; left out: as many as they like. */
  limiter?: RequestLimiter;
  /** Who takes cards and bank transfers; left out: nobody. */
  providers?: Providers;
  /** What prices are worth; left out: nobody says. */
  rates?: Rates;
  /** Proxies whose X-Forwarded-For is believed; left out: none. */
  trustedProxies?: BlockList;
};

/** Set by the middleware below; `integration` only behind {@link requireIntegration}, `paymentId` where a request makes one. */
export type Env = { Variables: { requestId: string; integration: Integration; paymentId?: string } };

const MAX_BODY_BYTES = 256 * 1024;

/** A router whose validation failures name every wrong field. */
export function createRouter(): OpenAPIHono<Env> {
  return new OpenAPIHono<Env>({
    defaultHook: (result) => {
      if (result.success) return;
      const faults = new FieldFaults();
      for (const issue of result.error.issues) {
        const keys = issue.code === 'unrecognized_keys' ? issue.keys : [undefined];
        for (const key of keys) {
          const path = key === undefined ? issue.path : [...issue.path, key];
          faults.add(pointerTo(path), key === undefined ? issue.message : 'is not a known field');
        }
      }
      faults.throwIfAny();
    },
  });
}

function pointerTo(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('') || '/';
}

const CORRELATION_ID = /^[\x21-\x7e]{1,128}$/;

/** Gives each request an id, the caller's X-Correlation-Id or one of ours, which the answer and logs repeat. */
export function requestId(): MiddlewareHandler<Env> {
  return async (c, next) => {
    const given = c.req.header('X-Correlation-Id') ?? '';
    const id = CORRELATION_ID.test(given) ? given : uuidv7();
    c.set('requestId', id);
    c.header('X-Request-Id', id);
    c.header('X-Correlation-Id', id);
    await next();
  };
}

/** Refuses bodies over 256 KB before they are read. */
export function limitBody(): MiddlewareHandler {
  const refuse = (): never => {
    throw new CoreError('payload_too_large', `The body is larger than ${MAX_BODY_BYTES} bytes.`);
  };
  const limitUnannounced = bodyLimit({ maxSize: MAX_BODY_BYTES, onError: refuse });
  return async (c, next) => {
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return await next();
    // Node reads as much as was announced and no more. To look at the body here would make a web stream of it, which costs more
    // than all of our own work on a create request.
    const announced = c.req.header('Content-Length');
    if (announced === undefined || c.req.header('Transfer-Encoding') !== undefined)
      return await limitUnannounced(c, next);
    if (Number(announced) > MAX_BODY_BYTES) refuse();
    return await next();
  };
}

/** A JSON number whose text says more than its float: `1.10`, `1e2`, or more digits than a float keeps. */
export class NumberText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Parses the body with numbers kept as they were written; put before validation. An optional body may be empty. */
export function jsonBody({ optional = false } = {}): MiddlewareHandler<Env> {
  return async (c, next) => {
    const text = await c.req.text();
    const body = optional && text.trim() === '' ? parseJson('{}') : parseJson(text);
    c.req.json = async () => body;
    await next();
  };
}

function parseJson(text: string): never {
  try {
    return JSON.parse(text, (_key, value, context?: { source?: string }) => {
      const source = context?.source;
      if (typeof value !== 'number' || source === undefined) return value;
      return String(value) === source ? value : new NumberText(source);
    }) as never;
  } catch {
    throw new CoreError('invalid_request', 'The body is not valid JSON.', [
      { pointer: '/', message: 'is not valid JSON' },
    ]);
  }
}

/** An amount in a request: a JSON number, read as its own text. */
export const decimalText = z
  .custom<number | NumberText>((value) => typeof value === 'number' || value instanceof NumberText, {
    message: 'must be a number',
    // What else is wrong with the request is named too.
    abort: false,
  })
  .transform((value) => (value instanceof NumberText ? value.text : String(value)))
  .refine((text) => !text.startsWith('-'), 'must not be negative')
  .openapi({ type: 'number', format: 'double', minimum: 0 });

/** A whole number within bounds, `3` or `3.0`. */
export function wholeNumber(minimum: number, maximum: number) {
  return z
    .preprocess(
      (value) => (value instanceof NumberText ? Number(value.text) : value),
      z.int().min(minimum).max(maximum),
    )
    .openapi({ type: 'integer', minimum, maximum });
}

/**
 * Requires an integration's bearer token with the operation's scope; see `integration` in {@link Env}, whose scopes are those
 * that both the token and the integration have.
 */
export function requireIntegration(services: Services): MiddlewareHandler<Env> {
  const { sql, limiter } = services;
  const findIntegration = integrationFinder(sql);
  return async (c, next) => {
    const claims = await verifiedClaims(c, services);
    limiter?.take(c, 'integration', claims.integrationId);
    const integration = await findIntegration(claims.integrationId);
    requireAllowedAddress(c, services, integration);
    const scopes = claims.scopes?.filter((scope) => hasScope(integration.scopes, scope)) ?? integration.scopes;
    const needed = scopeOfOperation(c);
    if (!hasScope(scopes, needed)) throw new CoreError('forbidden', `The token lacks the scope ${needed}.`);
    c.set('integration', { ...integration, scopes });
    await next();
  };
}

/** What the request's token says; a wrong one counts on the address that it comes from. */
async function verifiedClaims(c: Context<Env>, services: Services): Promise<IntegrationClaims> {
  try {
    return await services.tokens.verifyIntegrationToken(bearerOf(c));
  } catch (error) {
    takeByAddress(c, services);
    throw error;
  }
}

/** Counts requests that no integration's token opens on the address that they come from. */
export function limitStrangers(services: Services): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (!isSecured(c)) takeByAddress(c, services);
    await next();
  };
}

function takeByAddress(c: Context<Env>, { limiter, trustedProxies }: Services): void {
  limiter?.take(c, 'address', callerOf(clientAddress(c, trustedProxies)));
}

/** @throws forbidden when the integration may not call from where the request comes. */
export function requireAllowedAddress(
  c: Context,
  { trustedProxies }: Services,
  { allowedIps }: Pick<Integration, 'allowedIps'>,
): void {
  if (allowedIps.length === 0) return;
  const address = clientAddress(c, trustedProxies);
  if (address === null || !includesAddress(addressList(allowedIps), address)) {
    throw new CoreError('forbidden', 'The integration may not call from this address.');
  }
}

/** The bearer token of a request. @throws unauthenticated */
export function bearerOf(c: Context): string {
  const match = /^Bearer ([\w.-]+)$/i.exec(c.req.header('Authorization') ?? '');
  if (!match?.[1]) throw new CoreError('unauthenticated', 'Send Authorization: Bearer <token>.');
  return match[1];
}

/** An RFC 9457 problem document. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]]),
    detail: z.string().optional(),
    errors: z
      .array(z.object({ pointer: z.string(), message: z.string() }))
      .optional()
      .openapi({ description: 'Every wrong field: an RFC 6901 pointer into the request, and what is wrong' }),
    retryable: z.boolean().openapi({ description: 'Whether the same request may succeed later' }),
    request_id: z.string(),
  })
  .openapi('Problem');

/** What any route may answer: headers are checked, bodies and the number of requests are limited, and we or others may fail. */
const ALWAYS = [
  ...(['invalid_request', 'payload_too_large', 'unsupported_media_type', 'rate_limited'] as const),
  ...(['upstream_unavailable', 'internal'] as const),
];

/** The response entries of a route that may answer with these problems; what each status means, by its codes' titles. */
export function problems(...codes: ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set<ErrorCode>([...ALWAYS, ...codes])) {
    const { status } = errorTable[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, ofStatus]) => [
      status,
      {
        description: ofStatus.map((code) => `${errorTable[code].title} (${code})`).join(' · '),
        content: {
          'application/problem+json': {
            schema: problemSchema,
            examples: Object.fromEntries(
              ofStatus.map((code) => [code, { summary: errorTable[code].title, value: problemExample(code) }]),
            ),
          },
        },
      },
    ]),
  );
}

function problemExample(code: ErrorCode): z.input<typeof problemSchema> {
  return {
    ...problemOf(code, '0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'),
    ...(code === 'invalid_request' && {
      detail: 'Not valid: node_id.',
      errors: [{ pointer: '/node_id', message: 'Invalid UUID' }],
    }),
  };
}

/** Renders whatever a handler threw; only what is meant for the caller leaves the process. */
export function renderError(log: Logger) {
  return (error: Error, c: Context<Env>): Response => {
    if (error instanceof CoreError) {
      if (error.code === 'unauthenticated') c.header('WWW-Authenticate', 'Bearer');
      if (error.retryAfterSeconds !== undefined) c.header('Retry-After', String(error.retryAfterSeconds));
      return renderProblem(c, error.code, error.message, error.faults);
    }
    if (isMirrorMissing(error)) {
      return renderProblem(c, 'upstream_unavailable', 'The mirror of the chain is being built: ask again in a while.');
    }
    if (isDatabaseAway(error)) {
      log.error({ requestId: c.get('requestId'), err: error }, 'the database is away');
      c.header('Retry-After', '1');
      return renderProblem(c, 'upstream_unavailable', 'The database does not answer: ask again in a while.');
    }
    if (error instanceof HTTPException && error.status === 400) {
      return renderProblem(c, 'invalid_request', 'The request could not be read.');
    }
    if (error instanceof HTTPException && error.status === 415) {
      return renderProblem(c, 'unsupported_media_type', 'Send the body as JSON, with Content-Type: application/json.');
    }
    log.error({ requestId: c.get('requestId'), err: error }, 'request failed');
    return renderProblem(c, 'internal');
  };
}

/** Renders a route that does not exist. */
export function renderNotFound(c: Context<Env>): Response {
  return renderProblem(c, 'not_found', 'There is nothing at this path.');
}

function renderProblem(
  c: Context<Env>,
  code: ErrorCode,
  detail?: string,
  faults: readonly FieldFault[] = [],
): Response {
  const problem = {
    ...problemOf(code, c.get('requestId')),
    ...(detail && { detail }),
    ...(faults.length > 0 && { errors: [...faults] }),
  };
  return c.body(JSON.stringify(problem), problem.status, { 'Content-Type': 'application/problem+json' });
}

function problemOf(code: ErrorCode, requestId: string) {
  const { status, title, retry } = errorTable[code];
  return { type: `urn:dealkeep:problem:${code}`, title, status, code, retryable: retry, request_id: requestId };
}

/** `page` and `per_page` as every list takes them. */
export const pageQuery = {
  page: z.coerce.number().int().min(1).max(1_000_000).default(1).openapi({ example: 1 }),
  per_page: z.coerce.number().int().min(1).max(100).default(10).openapi({ example: 10 }),
};

export { jsonNumber } from './core/money.ts';
