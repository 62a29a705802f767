/** One network after the other, for commands that read database and chain themselves. */
import type { Sql } from '../../api/core/database/db.ts';
import { CoreError } from '../../api/core/errors.ts';
import { listNetworks } from '../../api/core/platform/platform.ts';
import type { NetworkRow } from '../../api/core/schema.ts';
import { Failure } from './failure.ts';
import { progressAfter } from './progress.ts';

/**
 * What `look` finds on every network in use, or on the one of that name; one that does not answer holds up no other. `describe` says
 * how far it is. @throws Failure
 */
export async function eachNetwork<T, Done = number>(
  sql: Sql,
  name: string | undefined,
  describe: (done: Done) => string,
  look: (network: NetworkRow, onProgress: (done: Done) => void) => Promise<T>,
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
    const report = progressAfter(2_000, (done: Done) => `${network.name}: ${describe(done)}`);
    try {
      found.push(await look(network, report));
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      failures.push(error.message);
    }
  }
  return { found, failures };
}

/** Why networks could not be compared, and what to do about it. */
export function unanswered(failures: readonly string[]): Failure {
  const advice =
    'Nothing was changed. See `dealkeep doctor` for what the RPC nodes and the indexer say, then run this again.';
  return new Failure(`${failures.join('\n')}\n${advice}`, 3);
}
