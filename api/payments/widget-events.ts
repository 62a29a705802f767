// The widget's events: the payment as its widget reads it, sent at once and again whenever it changes.
import { createRoute, z } from '@hono/zod-openapi';
import { streamSSE } from 'hono/streaming';
import { CoreError } from '../core/errors.ts';
import { PaymentChanges } from '../core/payments/changes.ts';
import { widgetKey } from '../core/payments/handout.ts';
import { bearerOf, createRouter, problems, type Services } from '../http.ts';
import { idParams } from '../resource.ts';
import { openedAccess, readOpened } from './widget.ts';

// Proxies close what is silent for a minute; the widget takes 40 seconds of silence for an end.
const HEARTBEAT_MS = 15_000;
// A token that was revoked or has run out opens no stream for longer than this; a widget opens the next one by itself.
const MAX_LIFETIME_MS = 10 * 60_000;

/** Mounts the route. */
export function widgetEventRoutes(services: Services) {
  const { sql, tokens } = services;
  const changes = new PaymentChanges(sql);
  const route = createRoute({
    method: 'get',
    path: '/widget/payments/{id}/events',
    summary: "Follow a payment's widget data",
    description:
      'Server-sent events: `payment` with the body of a read, at once and at each change. Opened by `fetch` with the access token in its header; a comment comes every 15 seconds. Ends after ten minutes, or when the token was replaced.',
    tags: ['Widget'],
    security: [{ accessToken: [] }],
    request: { params: idParams },
    responses: {
      200: {
        description: 'The stream',
        content: { 'text/event-stream': { schema: z.string().openapi({ example: 'event: payment\ndata: {}\n\n' }) } },
      },
      ...problems('invalid_request', 'unauthenticated', 'not_found', 'rate_limited'),
    },
  });
  return createRouter().openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    const opened = await openedAccess(c, services, id);
    const claims = await tokens.verifyAccessToken(bearerOf(c));
    let wake = () => {};
    let hasChanged = true;
    const stop = changes.listen(id, () => {
      hasChanged = true;
      wake();
    });
    c.header('X-Accel-Buffering', 'no');
    return streamSSE(c, async (stream) => {
      const ends = Date.now() + MAX_LIFETIME_MS;
      stream.onAbort(() => {
        stop();
        wake();
      });
      let told = '';
      try {
        while (!stream.aborted && Date.now() < ends) {
          if (hasChanged) {
            hasChanged = false;
            await widgetKey(sql, claims);
            const data = JSON.stringify(await readOpened(services, opened));
            if (data !== told) await stream.writeSSE({ event: 'payment', data });
            told = data;
          }
          if (hasChanged) continue;
          const timedOut = await new Promise<boolean>((resolve) => {
            const timer = setTimeout(() => resolve(true), HEARTBEAT_MS);
            wake = () => {
              clearTimeout(timer);
              resolve(false);
            };
          });
          if (timedOut) await stream.write(': still here\n\n');
        }
      } catch (err) {
        // The stream ends, and the widget's next reading gets the reason as a problem document.
        if (!(err instanceof CoreError)) services.log.error({ err }, 'the events of a payment ended');
      } finally {
        stop();
      }
    });
  });
}
