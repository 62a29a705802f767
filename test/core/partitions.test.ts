import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect, migrate, type Sql } from '../../api/core/database/db.ts';
import { addAttemptPartitions } from '../../api/core/webhooks/deliveries.ts';
import { createDatabase } from '../../scripts/dev/postgres.ts';

let sql: Sql;

// A database of its own: these tests take partitions away.
beforeAll(async () => {
  const url = await createDatabase(
    inject('stack').databaseUrl,
    `partitions_${crypto.randomUUID().replaceAll('-', '')}`,
  );
  await migrate(url);
  sql = connect(url, { maxConnections: 4 });
}, 60_000);
afterAll(() => sql?.end());

const partitions = async () =>
  (
    await sql<{ name: string }[]>`
      select c.relname as name from pg_inherits join pg_class c on c.oid = inhrelid
      where inhparent = 'webhook_attempt'::regclass order by 1`
  ).map(({ name }) => name);

/** Writes down an attempt of a delivery that began so many months from now; answers the partition that it is in. */
async function attempt(months: number): Promise<string> {
  const [row] = await sql<{ name: string }[]>`
    insert into webhook_attempt (node_id, delivery_id, number, started_at, latency_ms)
    values (uuidv7(), uuidv7(make_interval(months => ${months})), 1, now(), 1) returning tableoid::regclass::text as name`;
  return row?.name ?? '';
}

describe('webhook_attempt', () => {
  test('keeps what is old and of this month together, and each month to come apart, a year ahead', async () => {
    expect(await partitions()).toHaveLength(13);
    expect(await attempt(-30)).toBe('webhook_attempt_before');
    expect(await attempt(0)).toBe('webhook_attempt_before');
    const [next = ''] = await partitions();
    expect(await attempt(1)).toBe(next);
    await expect(attempt(14)).rejects.toThrow('no partition of relation "webhook_attempt" found for row');
  });

  test('gets the partitions that lack, once, however many workers make them', async () => {
    const before = await partitions();
    await sql.unsafe(`drop table ${before.at(-2)}, ${before.at(-3)}`);
    await Promise.all([1, 2, 3, 4].map(() => addAttemptPartitions(sql)));
    expect(await partitions()).toEqual(before);
  });

  test('is read in one partition for a delivery', async () => {
    const [{ id } = { id: '' }] = await sql<{ id: string }[]>`select uuidv7() as id`;
    const plan = await sql.unsafe(
      `explain select * from webhook_attempt where node_id = '${id}' and delivery_id = '${id}'`,
    );
    const text = JSON.stringify(plan);
    expect(text).toContain('webhook_attempt_before');
    expect(text).not.toMatch(/webhook_attempt_2\d{3}/);
  });
});
