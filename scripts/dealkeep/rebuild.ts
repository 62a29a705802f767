/**
 * `dealkeep rebuild`: what every payment and account should be, derived anew from the chain's events, beside what stands, and those
 * events as the chain itself has them.
 */
import { Command } from 'commander';
import { Chain } from '../../api/core/chain/chain.ts';
import type { Mismirrored } from '../../api/core/reconciliation/mirrored.ts';
import {
  type Misstated,
  type Rebuild,
  type RebuildProgress,
  rebuildNetwork,
} from '../../api/core/reconciliation/rebuild.ts';
import { asText } from '../../api/core/reconciliation/reconciliations.ts';
import { databaseOf, settingsOf } from './api.ts';
import { databaseOption, withDatabase } from './database.ts';
import { eachNetwork, unanswered } from './eachNetwork.ts';
import { Failure } from './failure.ts';
import { examples } from './options.ts';
import { printJson, printRows } from './output.ts';

const PLAIN = { data: '', json: false, yes: false };

export function rebuildCommand(): Command {
  return new Command('rebuild')
    .description('derive payments and ledger anew from the chain’s events and name what differs; changes nothing')
    .addOption(databaseOption())
    .option('--network <name>', 'only this network')
    .addHelpText(...examples('rebuild', 'rebuild --network Base --json'))
    .action(async ({ databaseUrl, network: name }, self: Command) => {
      const settings = settingsOf(self);
      const chain = new Chain();
      await withDatabase(databaseOf(settings, databaseUrl), async (sql) => {
        const { found, failures } = await eachNetwork(sql, name, describe, (network, onProgress) =>
          rebuildNetwork(sql, chain, network, { onProgress }),
        );
        const misstated = found.flatMap((one) => one.misstated);
        const mismirrored = found.flatMap((one) => one.mismirrored);
        if (settings.json) printJson({ items: found.map(render), failures });
        else if (mismirrored.length > 0) {
          printRows(PLAIN, { items: mismirrored, total: 0 }, [
            ['block', (row: Mismirrored) => `${row.block}, log ${row.logIndex}`],
            ['what', (row: Mismirrored) => (row.field === null ? row.what : `${row.what}: ${row.field}`)],
            ['deal', (row: Mismirrored) => row.dealId],
            ['on chain', (row: Mismirrored) => row.chain],
            ['in the mirror', (row: Mismirrored) => row.mirror],
          ]);
        }
        if (!settings.json && misstated.length > 0) {
          printRows(PLAIN, { items: misstated, total: 0 }, [
            ['payment', (row: Misstated) => row.paymentId],
            ['what', (row: Misstated) => row.what],
            ['stands', (row: Misstated) => row.stands],
            ['should be', (row: Misstated) => row.rebuilt],
          ]);
        }
        if (failures.length > 0) throw unanswered(failures);
        if (mismirrored.length > 0) {
          throw new Failure(
            'The mirror is not as the chain: see above. Dropping its schema lets the indexer read everything anew.',
          );
        }
        if (misstated.length > 0) throw new Failure('Not all is as the events say: see above.');
        const [payments, events] = found.reduce(([p, e], one) => [p + one.payments, e + one.events], [0, 0]);
        if (!settings.json) {
          console.log(
            `${events} events are mirrored as on chain; ${payments} payments and their ledger are as these say.`,
          );
        }
      });
    });
}

function describe(done: RebuildProgress): string {
  return 'payments' in done
    ? `${done.payments} payments derived`
    : `events up to block ${done.block} of ${done.upTo} compared`;
}

function render({ network, ...found }: Rebuild) {
  return asText({ network: network.name, ...found });
}
