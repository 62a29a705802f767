/** `dealkeep reconcile`: whether chain, mirror and ledger say the same of every open deal, and the escrow can pay all of them. */
import { Command } from 'commander';
import { Chain } from '../../api/core/chain/chain.ts';
import {
  type Account,
  agrees,
  type ComparedDeal,
  type Reconciliation,
  reconcileNetwork,
} from '../../api/core/reconciliation/reconcile.ts';
import { asText } from '../../api/core/reconciliation/reconciliations.ts';
import { databaseOf, settingsOf } from './api.ts';
import { databaseOption, withDatabase } from './database.ts';
import { eachNetwork, unanswered } from './eachNetwork.ts';
import { Failure } from './failure.ts';
import { examples } from './options.ts';
import { printJson, printRows } from './output.ts';

export function reconcileCommand(): Command {
  return new Command('reconcile')
    .description('compare every open deal on chain, in the mirror and in the ledger, and what the escrow has and owes')
    .addOption(databaseOption())
    .option('--network <name>', 'only this network')
    .option('--all', 'also deals that all three hold for settled', false)
    .addHelpText(...examples('reconcile', 'reconcile --network Base --all', 'reconcile --json'))
    .action(async ({ databaseUrl, network: name, all }, self: Command) => {
      const settings = settingsOf(self);
      const chain = new Chain();
      await withDatabase(databaseOf(settings, databaseUrl), async (sql) => {
        const { found, failures } = await eachNetwork(
          sql,
          name,
          (deals: number) => `${deals} deals compared`,
          (network, onProgress) => reconcileNetwork(sql, chain, network, { all, onProgress }),
        );
        if (settings.json) printJson({ items: found.map(render), failures });
        else show(found);
        if (failures.length > 0) throw unanswered(failures);
        if (!found.every(agrees)) throw new Failure('Not all is the same: see above.');
        if (!settings.json) console.log('Chain, mirror and ledger say the same, and the escrow can pay what it owes.');
      });
    });
}

function render({ network, ...found }: Reconciliation) {
  return asText({ network: network.name, agrees: agrees({ network, ...found }), ...found });
}

function show(found: readonly Reconciliation[]): void {
  const plain = { data: '', json: false, yes: false };
  const tokens = found.flatMap(({ network, block, tokens: sums }) =>
    sums.map((sum) => ({ network: network.name, block, ...sum })),
  );
  type Row = (typeof tokens)[number];
  printRows(plain, { items: tokens, total: 0 }, [
    ['network', (row: Row) => row.network],
    ['currency', (row: Row) => row.currency ?? row.token],
    ['block', (row: Row) => row.block],
    ['open', (row: Row) => row.openDeals],
    ['balance', (row: Row) => row.balanceUnits],
    ['held on chain', (row: Row) => row.heldUnits.chain],
    ['in the mirror', (row: Row) => row.heldUnits.mirror],
    ['in the ledger', (row: Row) => row.heldUnits.ledger],
    ['not ours', (row: Row) => row.heldUnits.others],
    ['credits', (row: Row) => row.creditUnits.chain],
    ['surplus', (row: Row) => row.surplusUnits],
    ['agrees', (row: Row) => (row.agrees ? 'yes' : 'NO')],
  ]);
  const differences = found.flatMap((one) => one.differences);
  if (differences.length === 0) return;
  printRows(plain, { items: differences, total: 0 }, [
    ['deal that differs', (row: ComparedDeal) => row.dealId],
    ['payment', (row: ComparedDeal) => row.paymentId],
    ['chain', (row: ComparedDeal) => words(row.chain)],
    ['mirror', (row: ComparedDeal) => words(row.mirror)],
    ['ledger', (row: ComparedDeal) => (row.paymentId === null ? 'not ours' : words(row.ledger))],
  ]);
}

function words(said: Account | null): string {
  if (!said) return 'nothing';
  const { status, heldUnits, releasedUnits, refundedUnits } = said;
  return `${status}\nheld ${heldUnits}\nreleased ${releasedUnits}\nrefunded ${refundedUnits}`;
}
