import { afterAll, describe, expect, inject, test } from 'vitest';
import { connect } from '../../api/core/database/db.ts';

const sql = connect(inject('stack').databaseUrl, { maxConnections: 1 });
afterAll(() => sql.end());

// What stands in the way of sharding by node id: each would be a lookup or a reference table (README, "Sharding by node id").
const WITHOUT_NODE = [
  // Single reads know only the id.
  /_by_id$/,
  // Unique on chain, for the network.
  /^deal_network_id_(number|offer_id)_key$/,
  /^(stray_deal|transaction_operation)_pkey$/,
  // A login knows no node yet.
  /^integration_(pkey|client_id_key)$/,
  // A 32-bit id in a path, before its node is known; it is unique in a whole tree.
  /^surface_number_pkey$/,
  // A delivery's endpoint, a code's hash, a provider's reference: each is looked up before its node is known.
  /^webhook_delivery_once$/,
  /^handoff_/,
  /^rail_/,
];

describe('Unique keys', () => {
  test('of tables with a node id hold it, but for those that are named here with their reason', async () => {
    const rows = await sql<{ key: string }[]>`
      select i.relname as key
      from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
      where t.relnamespace = 'public'::regnamespace and x.indisunique
        and exists (
          select 1 from pg_attribute a where a.attrelid = t.oid and a.attname = 'node_id' and not a.attisdropped
        )
        and not exists (
          select 1 from pg_attribute a
          where a.attrelid = t.oid and a.attname = 'node_id' and a.attnum = any(x.indkey)
        )`;
    const keys = rows.map(({ key }) => key);
    expect(keys.filter((key) => !WITHOUT_NODE.some((known) => known.test(key)))).toEqual([]);
    expect(WITHOUT_NODE.filter((known) => !keys.some((key) => known.test(key)))).toEqual([]);
  });
});
