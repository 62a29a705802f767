/** `dealkeep rebuild`: what every payment and account should be, derived anew from the chain's events, beside what stands. */
import { Command, Option } from 'commander';
import { Chain } from '../../api/core/chain/chain.ts';
import { connect } from '../../api/core/database/db.ts';
import { type Misstated, type Rebuild, rebuildNetwork } from '../../api/core/reconciliation/rebuild.ts';
import { asText } from '../../api/core/reconciliation/reconciliations.ts';
import { databaseOf, settingsOf } from './api.ts';
import { Failure } from './failure.ts';
import { eachNetwork } from './networks.ts';
import { printJson, printRows } from './output.ts';

export function rebuildCommand(): Command {
  return new Command('rebuild')
    .description('derive payments and ledger anew from mirrored events and name what differs; changes nothing')
    .addOption(new Option('--database-url <url>', "the database; left out: the running stack's").env('DATABASE_URL'))
    .option('--network <name>', 'only this network')
    .action(async ({ databaseUrl, network: name }, self: Command) => {
      const settings = settingsOf(self);
      const sql = connect(databaseOf(settings, databaseUrl), { maxConnections: 4 });
      const chain = new Chain();
      try {
        const { found, failures } = await eachNetwork(sql, name, 'payments', (network, onProgress) =>
          rebuildNetwork(sql, chain, network, { onProgress }),
        );
        const misstated = found.flatMap((one) => one.misstated);
        if (settings.json) printJson({ items: found.map(render), failures });
        else if (misstated.length > 0) {
          printRows({ data: '', json: false, yes: false }, { items: misstated, total: 0 }, [
            ['payment', (row: Misstated) => row.paymentId],
            ['what', (row: Misstated) => row.what],
            ['stands', (row: Misstated) => row.stands],
            ['should be', (row: Misstated) => row.rebuilt],
          ]);
        }
        if (failures.length > 0) throw new Failure(failures.join('\n'), 3);
        if (misstated.length > 0) throw new Failure('Not all is as the events say: see above.');
        const payments = found.reduce((sum, one) => sum + one.payments, 0);
        if (!settings.json) console.log(`${payments} payments and their ledger are as the events say.`);
      } finally {
        await sql.end({ timeout: 1 });
      }
    });
}

function render({ network, ...found }: Rebuild) {
  return asText({ network: network.name, ...found });
}
