import { beforeAll, describe, expect, test } from 'vitest';
import { writeLog } from '../../api/core/log.ts';
import { placeEvents } from '../../api/core/webhooks/events.ts';
import { type Json, type Marketplace, openQuietMarketplace } from '../api/marketplace.ts';

// No worker: places are given when the test says so.
let market: Marketplace;
beforeAll(async () => {
  market = await openQuietMarketplace();
});

const place = () => placeEvents(market.sql, new Date());
const pull = async (query = '') => (await market.get(`/events?node_id=${market.nodeId}${query}`)).json;

/** An event of a payment in a transaction that stays open until it is told to end. */
async function openEvent(
  paymentId: string,
  eventType: string,
): Promise<{ commit(): Promise<void>; abort(): Promise<void> }> {
  let end: (commit: boolean) => void = () => {};
  const ending = new Promise<boolean>((resolve) => {
    end = resolve;
  });
  let written: () => void = () => {};
  const isWritten = new Promise<void>((resolve) => {
    written = resolve;
  });
  const done = market.sql
    .begin(async (tx) => {
      const key = { nodeId: market.nodeId, paymentId };
      await writeLog(tx, key, { eventType, message: eventType, actor: { type: 'system' } });
      written();
      if (!(await ending)) throw new Error('aborted');
    })
    .catch(() => {});
  await isWritten;
  return {
    commit: async () => {
      end(true);
      await done;
    },
    abort: async () => {
      end(false);
      await done;
    },
  };
}

describe('GET /api/v1/events', () => {
  test('a transaction that was opened first and committed last comes last, and a reader misses nothing', async () => {
    const [slow, fast] = [await market.createPayment(), await market.createPayment()];
    while ((await place()) > 0);
    const start = (await pull()).next;
    const first = await openEvent(slow.id, 'test.slow');
    const second = await openEvent(fast.id, 'test.fast');
    await second.commit();
    await place();
    const early = await pull(`&after=${start}`);
    expect(early.items.map((event: Json) => event.type)).toEqual(['test.fast']);
    await first.commit();
    await place();
    const late = await pull(`&after=${early.next}`);
    expect(late.items.map((event: Json) => event.type)).toEqual(['test.slow']);
    expect((await pull(`&after=${start}`)).items).toEqual([...early.items, ...late.items]);
  });

  test('what was rolled back has no place, and leaves no hole', async () => {
    const payment = await market.createPayment();
    while ((await place()) > 0);
    const aborted = await openEvent(payment.id, 'test.aborted');
    const kept = await openEvent(payment.id, 'test.kept');
    await aborted.abort();
    await kept.commit();
    await place();
    const places = await market.sql<{ position: bigint }[]>`
      select position from payment_log where position is not null order by position`;
    expect(places.map(({ position }) => position)).toEqual(places.map((_, index) => BigInt(index + 1)));
  });

  test('many writers, several placers, one reader: everything once, each payment in its order', async () => {
    const payments = await Promise.all(Array.from({ length: 6 }, () => market.createPayment()));
    while ((await place()) > 0);
    let after = (await pull()).next;
    let writing = true;
    const write = async (paymentId: string) => {
      for (let step = 0; step < 25; step++) {
        await market.sql.begin(async (tx) => {
          await tx`select 1 from payment where id = ${paymentId} for update`;
          const entry = { eventType: 'test.step', message: String(step), actor: { type: 'system' } } as const;
          await writeLog(tx, { nodeId: market.nodeId, paymentId }, entry);
          if (step % 3 === 0) await tx`select pg_sleep(${Math.random() / 50})`;
        });
      }
    };
    const placers = Array.from({ length: 2 }, async () => {
      while (writing) await place();
    });
    const seen: Json[] = [];
    const read = async () => {
      const page = await pull(`&after=${after}&limit=7`);
      seen.push(...page.items);
      after = page.next;
      return page.items.length;
    };
    const reader = (async () => {
      while (writing) await read();
    })();
    await Promise.all(payments.map(({ id }) => write(id)));
    writing = false;
    await Promise.all([...placers, reader]);
    while ((await place()) > 0);
    while ((await read()) > 0);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
    for (const { id } of payments) {
      const steps = seen.filter(({ data }) => data.payment_id === id).map(({ data }) => Number(data.message));
      expect(steps).toEqual(Array.from({ length: 25 }, (_, step) => step));
    }
  });

  test('shows a node and all below it, by payment and by type', async () => {
    const child = await market.openChildIntegration();
    const [own, below] = [await market.createPayment(), await market.createPayment({ node_id: child.nodeId })];
    const event = await openEvent(own.id, 'payment.funded.reverted');
    await event.commit();
    while ((await place()) > 0);
    const types = async (query: string) => (await pull(query)).items.map(({ type }: Json) => type);
    expect(await types(`&payment_id=${own.id}`)).toEqual(['payment.created', 'payment.funded.reverted']);
    expect(await types(`&payment_id=${own.id}&type=payment.funded`)).toEqual(['payment.funded.reverted']);
    expect(await types(`&payment_id=${own.id}&type=payment.f,deal.*`)).toEqual([]);
    expect(await types(`&payment_id=${own.id}&type=deal.*,payment.*`)).toHaveLength(2);
    expect(await types(`&payment_id=${below.id}`)).toEqual(['payment.created']);
    const seenBelow = (await market.get('/events?limit=500', child.token)).json.items;
    expect(seenBelow.map(({ data }: Json) => data.payment_id)).toEqual([below.id]);
    const page = await pull('&limit=1');
    expect([page.items.length, page.has_more, page.next]).toEqual([1, true, page.items[0].id]);
    expect(await market.get('/events?limit=500', child.token)).toMatchObject({ json: { has_more: false } });
  });

  test('400: an `after` that is no event of the node, a type that is none, a limit out of bounds', async () => {
    const child = await market.openChildIntegration();
    const payment = await market.createPayment();
    while ((await place()) > 0);
    const [event] = (await pull(`&payment_id=${payment.id}`)).items;
    const answers = await Promise.all([
      market.get(`/events?after=${event.id}`, child.token),
      market.get(`/events?after=${crypto.randomUUID()}`),
      market.get('/events?after=1'),
      market.get('/events?type=payment.,'),
      market.get('/events?limit=501'),
    ]);
    expect(answers.map(({ status, json }) => [status, json.errors?.[0]?.pointer])).toEqual([
      [400, '/after'],
      [400, '/after'],
      [400, '/after'],
      [400, '/type/0'],
      [400, '/limit'],
    ]);
  });
});
