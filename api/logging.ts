// Owns the log of a process: JSON lines, each with the ids of its request and payment, and nothing that opens anything.
import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { Env } from './http.ts';

const SECRET_FIELDS = [
  'authorization',
  'password',
  'secret',
  'clientSecret',
  'accessToken',
  'privateKey',
  'databaseUrl',
];

/** Opens the log of a process in its `role`; to standard output unless told otherwise. */
export function openLog(
  { role, level }: { role: string | undefined; level: string },
  stream?: DestinationStream,
): Logger {
  const options = {
    level,
    base: { role },
    redact: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
    serializers: { err: describeError },
  };
  // Not waited for: a synchronous write for each request was 11 % of a list's time. What is left at the end is written then.
  return pino(options, stream ?? pino.destination({ dest: 1, sync: false }));
}

/** What a log says of an error: of URLs only where they lead, since they carry passwords and API keys. */
export function describeError(error: unknown): {
  type?: string;
  message: string;
  code?: unknown;
  stack?: string;
  cause?: object;
} {
  if (!(error instanceof Error)) return { message: withoutCredentials(String(error)) };
  return {
    type: error.name,
    message: withoutCredentials(error.message),
    ...('code' in error && { code: error.code }),
    stack: withoutCredentials(error.stack ?? ''),
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
  };
}

function withoutCredentials(text: string): string {
  return text.replace(/\b([a-z]+):\/\/(?:[^\s/@"']*@)?([^\s/?#"')]+)[^\s"')]*/gi, '$1://$2');
}

/** Logs every request when it is answered. */
export function logRequests(log: Logger): MiddlewareHandler<Env> {
  // Its fields are all named below and none is secret; looking for secrets in them took 50 µs a request, a tenth of a create.
  const requests = log.child({}, { redact: [] });
  return async (c, next) => {
    const startedAt = performance.now();
    await next();
    const route = routePath(c, -1);
    const paymentId = c.get('paymentId') ?? (route.includes('/payments/:id') ? c.req.param('id') : undefined);
    requests.info(
      {
        requestId: c.get('requestId'),
        method: c.req.method,
        route,
        ...(paymentId !== undefined && { paymentId }),
        ...(c.get('integration') && { integrationId: c.get('integration').id }),
        status: c.res.status,
        ms: Math.round(performance.now() - startedAt),
      },
      'request',
    );
  };
}
