// Owns the second half of a key's rotation: after processes run with a new secret, whatever is still sealed under an older
// one is sealed anew, so that the older one can be forgotten.
import { type Sql, transact } from './database/db.ts';
import { instrumentPlace } from './people/instruments.ts';
import { partyPlace } from './people/personal.ts';
import { type Place, PREFIX_BYTES, type Vault } from './vault.ts';
import { keyPlace } from './webhooks/webhookKeys.ts';

type RowKey = { nodeId: string; partyId: string; id: string };

const BATCH = 200;
const NO_ID = '00000000-0000-0000-0000-000000000000';

type Extent = { batchSize?: number; nodeId?: string | undefined };

/**
 * Seals every party, payout instrument and webhook key, of one node or of all, that is not under the vault's current key again,
 * `batchSize` rows a transaction. Can be stopped and run again at any time; answers how many values it sealed.
 * @throws Error when a value is under a secret that the vault was not given; what came before it is done.
 */
export async function reseal(sql: Sql, vault: Vault, extent: Extent = {}): Promise<number> {
  const parties = await resealTable(sql, vault, 'party', partyPlace, extent);
  const instruments = await resealTable(sql, vault, 'payout_instrument', instrumentPlace, extent);
  return parties + instruments + (await resealTable(sql, vault, 'webhook_key', keyPlace, extent));
}

async function resealTable(
  sql: Sql,
  vault: Vault,
  table: 'party' | 'payout_instrument' | 'webhook_key',
  placeOf: (row: RowKey) => Place,
  { batchSize = BATCH, nodeId }: Extent,
): Promise<number> {
  const partyId = table === 'payout_instrument' ? sql`party_id` : sql`id`;
  const isStale = sql`
    sealed is not null and substring(sealed from 1 for ${PREFIX_BYTES}) <> ${vault.prefix}
    ${nodeId ? sql`and node_id = ${nodeId}` : sql``}`;
  let last: RowKey = { nodeId: NO_ID, partyId: NO_ID, id: NO_ID };
  for (let count = 0; ; ) {
    const found = await sql<RowKey[]>`
      select node_id, ${partyId} as party_id, id from ${sql(table)}
      where ${isStale} and (node_id, ${partyId}, id) > (${last.nodeId}, ${last.partyId}, ${last.id})
      order by node_id, ${partyId}, id limit ${batchSize}`;
    const end = found.at(-1);
    if (!end) return count;
    // Found without a lock: what somebody else has changed or resealed by now is theirs.
    count += await transact(sql, async (tx) => {
      const rows = await tx<(RowKey & { sealed: Buffer })[]>`
        select node_id, ${partyId} as party_id, id, sealed from ${tx(table)}
        where ${isStale} and id in ${tx(found.map((row) => row.id))} order by node_id, ${partyId}, id for update`;
      for (const row of rows) {
        const sealed = vault.seal(placeOf(row), vault.open(placeOf(row), row.sealed));
        await tx`
          update ${tx(table)} set sealed = ${sealed}
          where node_id = ${row.nodeId} and ${partyId} = ${row.partyId} and id = ${row.id}`;
      }
      return rows.length;
    });
    last = end;
  }
}
