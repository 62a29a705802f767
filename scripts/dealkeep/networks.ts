/** One network after the other, for commands that read database and chain themselves. */
import type { Sql } from '../../api/core/database/db.ts';
import { CoreError } from '../../api/core/errors.ts';
import { listNetworks } from '../../api/core/platform/platform.ts';
import type { NetworkRow } from '../../api/core/schema.ts';
import { Failure } from './failure.ts';
import { progressAfter } from './progress.ts';

/** What `look` finds on every network in use, or on the one of that name; one that does not answer holds up no other. @throws Failure */
export async function eachNetwork<T>(
  sql: Sql,
  name: string | undefined,
  things: string,
  look: (network: NetworkRow, onProgress: (done: number) => void) => Promise<T>,
): Promise<{ found: T[]; failures: string[] }> {
  const networks = (await listNetworks(sql)).filter((network) => !network.archivedAt);
  const chosen = name === undefined ? networks : networks.filter((network) => network.name === name);
  if (chosen.length === 0) {
    const known = networks.map((network) => network.name).join(', ');
    throw new Failure(name === undefined ? 'There is no network.' : `No network ${name}; there are: ${known}.`, 2);
  }
  const found: T[] = [];
  const failures: string[] = [];
  for (const network of chosen) {
    const report = progressAfter(2_000, (done) => `${network.name}: ${done} ${things} compared`);
    try {
      found.push(await look(network, report));
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      failures.push(error.message);
    }
  }
  return { found, failures };
}
