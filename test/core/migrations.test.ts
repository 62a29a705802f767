import { readdir, readFile } from 'node:fs/promises';
import { Logger, runMigrations } from 'graphile-worker';
import { v7 as uuidv7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect, migrate, pendingMigrations, type Sql } from '../../api/core/database/db.ts';
import { loadPayment } from '../../api/core/payments/payments.ts';
import { createDatabase } from '../../scripts/dev/postgres.ts';

const migrations = new URL('../../api/core/migrations/', import.meta.url);

/** A database of its own with the schema as it was after the migration `last`, and rows of that time. */
async function openEarlier(last: string): Promise<{ databaseUrl: string; sql: Sql }> {
  const databaseUrl = await createDatabase(inject('stack').databaseUrl, `migrations_${uuidv7().replaceAll('-', '')}`);
  const sql = connect(databaseUrl, { maxConnections: 4 });
  await runMigrations({ connectionString: databaseUrl, logger: new Logger(() => () => {}) });
  await sql`create table migration (name text primary key, applied_at timestamptz not null default now())`;
  for (const name of (await readdir(migrations)).sort()) {
    if (name > last) break;
    await sql.unsafe(await readFile(new URL(name, migrations), 'utf8'));
    await sql`insert into migration ${sql({ name })}`;
    if (name === ROWS_OF) await sql.unsafe(await readFile(new URL('rows-of-schema-005.sql', import.meta.url), 'utf8'));
  }
  return { databaseUrl, sql };
}

const ROWS_OF = '005_idempotency.sql';

let databaseUrl: string;
let sql: Sql;
beforeAll(async () => {
  ({ databaseUrl, sql } = await openEarlier(ROWS_OF));
});
afterAll(() => sql.end());

/** What must be the same before and after, whatever columns came or went. */
async function holdings() {
  const [counts] = await sql`
    select (select count(*) from payment_log where event_type <> 'test')::int as logs, (select count(*) from operation)::int as operations,
      (select count(*) from chain_transaction)::int as transactions, (select count(*) from deal)::int as deals`;
  const payments = await sql`
    select external_id, status, paid_price_units, metadata from payment where external_id not like 'live-%' order by 1`;
  const balances = await sql`
    select a.type, a.owner, sum(p.amount_units) as units from ledger_account a
    join ledger_posting p on p.node_id = a.node_id and p.account_id = a.id group by 1, 2 order by 1, 2`;
  return { counts, payments, balances };
}

/** Creates payments as the code of the earlier schema does, one after the other, until stopped; answers their external ids. */
function keepCreating(): { stop(): Promise<string[]> } {
  const created: string[] = [];
  let stopped = false;
  const [template] = [sql`select * from payment where external_id = 'with-member'`];
  const creating = (async () => {
    const [row] = await template;
    while (!stopped) {
      const externalId = `live-${created.length}`;
      await sql.begin(async (tx) => {
        const id = uuidv7();
        await tx`
          insert into payment (node_id, id, external_id, network_id, currency_id, price_units, paid_price_units, payment_method,
            payment_group, payment_address, expires_at, retry, retry_count, status)
          values (${row?.nodeId}, ${id}, ${externalId}, ${row?.networkId}, ${row?.currencyId}, 1, 1, 'web3', 'product', '0x00',
            now(), false, 0, 'pending')`;
        await tx`
          insert into payment_log (node_id, payment_id, id, event_type, message, actor_type)
          values (${row?.nodeId}, ${id}, ${uuidv7()}, 'test', 'Payment created.', 'system')`;
      });
      created.push(externalId);
    }
    return created;
  })();
  return {
    stop() {
      stopped = true;
      return creating;
    },
  };
}

describe('migrations', () => {
  test('run forward on a database that an earlier version filled and still writes to, and nothing is lost', async () => {
    const before = await holdings();
    expect(before.payments).toHaveLength(5);
    expect((await pendingMigrations(sql)).length).toBeGreaterThan(0);

    const writer = keepCreating();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await migrate(databaseUrl);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const created = await writer.stop();

    expect(await pendingMigrations(sql)).toEqual([]);
    expect(await holdings()).toEqual(before);
    const live = await sql<{ externalId: string }[]>`select external_id from payment where external_id like 'live-%'`;
    expect(live.map((row) => row.externalId).sort()).toEqual(created.sort());
  });

  test('leave every payment readable by the code of today', async () => {
    const rows = await sql<
      { nodeId: string; id: string }[]
    >`select node_id, id from payment where external_id not like 'live-%'`;
    for (const { nodeId, id } of rows) {
      const { payment, deals, network } = await loadPayment(sql, { nodeId, paymentId: id });
      expect(deals.length).toBeGreaterThan(0);
      expect(network?.rpcUrls).toEqual(['http://127.0.0.1:4701']);
      expect(payment.metadata).toBe(payment.externalId === 'with-member' ? '{"x":1}' : payment.metadata);
    }
  });

  test('run again change nothing', async () => {
    expect(await migrate(databaseUrl)).toEqual([]);
  });
});

describe('migrations of webhooks', () => {
  test('what was sent, replays with random ids included, keeps its attempts through their move into months', async () => {
    const earlier = await openEarlier('025_sealed_answers.sql');
    const { sql: own } = earlier;
    const [node] = await own<{ id: string }[]>`select id from node limit 1`;
    const nodeId = node?.id ?? '';
    const endpoint = {
      nodeId,
      id: uuidv7(),
      kind: 'endpoint',
      url: 'https://shop.example/',
      events: [],
      signature: 'hmac',
    };
    await own`insert into webhook_endpoint ${own(endpoint)}`;
    const ids = [
      uuidv7(),
      crypto.randomUUID(),
      '00000000-0000-4000-8000-000000000000',
      'ffffffff-ffff-4fff-bfff-ffffffffffff',
    ];
    for (const id of ids) {
      const event = { eventId: uuidv7(), eventType: 'payment.funded', status: 'delivered', nextAttemptAt: new Date() };
      await own`insert into webhook_delivery ${own({ nodeId, id, endpointId: endpoint.id, cause: 'replay', ...event })}`;
      const attempt = { nodeId, deliveryId: id, number: 1, startedAt: new Date(), latencyMs: 1, answer: id };
      await own`insert into webhook_attempt ${own(attempt)}`;
    }
    await migrate(earlier.databaseUrl);
    const after = await own<{ id: string; answer: string }[]>`
      select d.id, a.answer from webhook_delivery d join webhook_attempt a on a.node_id = d.node_id and a.delivery_id = d.id`;
    expect(after.map(({ answer }) => answer).sort()).toEqual([...ids].sort());
    const begun = Date.now() - 600_000;
    for (const { id } of after) {
      expect(id[14]).toBe('7');
      expect(Number.parseInt(id.replace('-', '').slice(0, 12), 16)).toBeGreaterThan(begun);
    }
    expect(after.map(({ id }) => id)).toContain(ids[0]);
    await own.end();
  });
});
