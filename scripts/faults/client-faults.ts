/** Hostile and clumsy clients: forged, replayed and expired tokens, bodies that are too large, requests that never end. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Tokens } from '../../api/core/platform/auth.ts';
import { Patience } from './patience.ts';
import type { Random } from './random.ts';
import type { Stage } from './stage.ts';
import type { Workload } from './workload.ts';

const OVERSIZED_BYTES = 8 * 1024 * 1024;
const SLOW_FOR_MS = 5_000;
const AT_ONCE = 16;
const UNANSWERED_FOR_MS = 20_000;

/** A token that opens nothing, and where it is tried. */
type Forgery = { what: string; path: string; method: 'GET' | 'POST'; token: string };

/** What came of it: how many were answered, and those that were let in. */
export type Tried = { tried: number; letIn: string[] };

/** Tries so many tokens that must open nothing. What is not answered is tried again, and does not count when it never is. */
export async function tryTokens(stage: Stage, workload: Workload, random: Random, count: number): Promise<Tried> {
  const forgeries = await Promise.all(Array.from({ length: count }, () => forge(stage, workload, random)));
  const result: Tried = { tried: 0, letIn: [] };
  for (let from = 0; from < forgeries.length; from += AT_ONCE) {
    await Promise.all(
      forgeries.slice(from, from + AT_ONCE).map(async ({ what, path, method, token }) => {
        const status = await statusOf(stage, { path, method, token });
        if (status === null) return;
        result.tried += 1;
        if (status < 400) result.letIn.push(`${what}: ${method} ${path} answered ${status}`);
      }),
    );
  }
  return result;
}

async function statusOf({ client }: Stage, { path, method, token }: Omit<Forgery, 'what'>): Promise<number | null> {
  const body = method === 'POST' ? { body: {} } : {};
  const patience = new Patience(UNANSWERED_FOR_MS);
  while (!patience.isOver) {
    const answer = await client.once(method, path, { token, ...body }).catch(() => null);
    // Otherwise nobody was there to refuse it.
    if (answer !== null && answer.status < 500 && answer.status !== 429) return answer.status;
    await sleep(500);
  }
  return null;
}

async function forge(stage: Stage, workload: Workload, random: Random): Promise<Forgery> {
  const { client, secret } = stage;
  const payments = [...workload.made.values()];
  const [payment, other] = [random.pick(payments), random.pick(payments)];
  const integrationToken = await client.token();
  const widget = { path: `/widget/payments/${payment.id}`, method: 'GET' } as const;
  const release = { path: `/payments/${payment.id}/release`, method: 'POST' } as const;
  const read = { path: `/payments/${payment.id}`, method: 'GET' } as const;
  const strange = new Tokens(randomBytes(32).toString('hex'));
  const claims = { paymentId: payment.id, version: 1, issuedAt: new Date(), lastDeadline: 4_000_000_000n };
  const place = random.pick([read, release]);
  switch (random.whole(0, 8)) {
    case 0:
      return {
        what: 'an integration token of another secret',
        ...place,
        token: await strange.issueIntegrationToken(stage.seeded.nodeId),
      };
    case 1:
      return { what: 'an access token of another secret', ...widget, token: strange.accessToken(claims) };
    case 2:
      return {
        what: 'an expired access token',
        ...widget,
        token: new Tokens(secret).accessToken({ ...claims, lastDeadline: 0n }),
      };
    case 3:
      return {
        what: 'an access token of a former version',
        ...widget,
        token: new Tokens(secret).accessToken({ ...claims, version: 0 }),
      };
    case 4:
      return { what: "a payment's access token for the shop's routes", ...place, token: payment.accessToken };
    case 5:
      return { what: "the shop's token for the widget", ...widget, token: integrationToken };
    case 6:
      return { what: 'a token without a signature', ...place, token: unsigned(integrationToken) };
    case 7:
      return { what: 'a token of which a letter was changed', ...place, token: altered(integrationToken, random) };
    default:
      if (other.id === payment.id) return { what: 'no token worth the name', ...place, token: 'x' };
      return { what: "another payment's access token", ...widget, token: other.accessToken };
  }
}

function unsigned(token: string): string {
  const header = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url');
  return `${header}.${token.split('.')[1]}.`;
}

/** Changes a letter of the payload or the signature; the last letter of a part may hold bits that say nothing. */
function altered(token: string, random: Random): string {
  const place = random.whole(token.indexOf('.') + 1, token.length - 3);
  const letter = token[place] === 'A' ? 'B' : 'A';
  return token[place] === '.' ? `${token}x` : `${token.slice(0, place)}${letter}${token.slice(place + 1)}`;
}

/** Sends a body that no route takes; answers what it was answered with. */
export async function sendOversized(stage: Stage): Promise<number | null> {
  const body = { external_id: 'x'.repeat(OVERSIZED_BYTES) };
  return await stage.client.once('POST', '/payments', { body }).then(
    ({ status }) => status,
    () => null,
  );
}

/** Opens a request and writes a byte of it now and then, for some seconds. */
export async function sendSlowly(stage: Stage): Promise<void> {
  const { hostname, port } = new URL(stage.client.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  socket.write(
    'POST /api/v1/payments HTTP/1.1\r\nHost: slow\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n',
  );
  const timer = setInterval(() => socket.write('{'), 200);
  await new Promise((resolve) => setTimeout(resolve, SLOW_FOR_MS));
  clearInterval(timer);
  socket.destroy();
}
