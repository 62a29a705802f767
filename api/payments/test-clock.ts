// The test clock over HTTP: moves API, worker, providers and local chains together, where no money is real.
import { createRoute, z } from '@hono/zod-openapi';
import { moveTestClock, readTestClock, requireTestClock, type TestClock } from '../core/platform/testClock.ts';
import { Providers } from '../core/rails/provider.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services, wholeNumber } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { body, json } from '../resource.ts';

const MAX_ADVANCE_SECONDS = 10 * 365 * 86_400;

const clockResponse = z
  .object({
    now: z.string().openapi({ example: '2027-01-01T12:00:00.000Z' }),
    offset_seconds: z.int().openapi({ description: "Ahead of the machine's time by so much", example: 86_400 }),
  })
  .openapi('TestClock');

const moveRequest = z
  .strictObject({
    advance_seconds: wholeNumber(1, MAX_ADVANCE_SECONDS).optional().openapi({ example: 86_400 }),
    now: z.iso
      .datetime({ offset: true, message: 'must be an RFC 3339 date-time' })
      .optional()
      .openapi({ description: 'The moment to go to, instead of a number of seconds' }),
  })
  .refine(
    (move) => (move.now === undefined) !== (move.advance_seconds === undefined),
    'give either advance_seconds or now',
  )
  .openapi('MoveTestClock');

/** Mounts the routes of the test clock. */
export function testClockRoutes(services: Services) {
  const { sql, providers = new Providers() } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { path: '/test-clock', tags: ['Test clock'], security: [{ integration: [] }] };

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      summary: 'Get the test clock (operators)',
      middleware: authenticated,
      responses: {
        200: json(clockResponse, 'What the clock shows'),
        ...problems('invalid_request', 'unauthenticated', 'forbidden'),
      },
    }),
    async (c) => {
      await requireTestClock(sql, c.get('integration'));
      return c.json(render(await readTestClock(sql)), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      summary: 'Move the test clock forward (operators)',
      description:
        'API, workers, providers and local chains follow within a second: deadlines pass, retries fall due, transfers clear. Refused where a live network or integration exists.',
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(moveRequest) },
      responses: {
        200: json(clockResponse, 'What the clock shows now'),
        ...problems(
          ...([
            'invalid_request',
            'unauthenticated',
            'forbidden',
            'upstream_unavailable',
            'payload_too_large',
          ] as const),
          ...keyRefusals,
        ),
      },
    }),
    async (c) => {
      const { now, advance_seconds: advanceSeconds = 0 } = c.req.valid('json');
      const move = now === undefined ? { advanceSeconds } : { now: new Date(now) };
      const integration = c.get('integration');
      return await once(c, services, 200, async (tx) => render(await moveTestClock(tx, providers, integration, move)));
    },
  );

  return router;
}

function render({ now, offsetMs }: TestClock): z.input<typeof clockResponse> {
  return { now: now.toISOString(), offset_seconds: Math.round(offsetMs / 1_000) };
}
