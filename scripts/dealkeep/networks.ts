/** `dealkeep networks`: where payments can be made, and what its signers may bid for gas. */
import { Command } from 'commander';
import { type Answer, Api, settingsOf } from './api.ts';
import { Failure } from './failure.ts';
import { addPages, examples } from './options.ts';
import { printRecord, printRows } from './output.ts';

export function networksCommand(): Command {
  const command = new Command('networks').description(
    'where payments can be made, and what signers may bid for gas there',
  );

  addPages(command.command('list'), 50)
    .description('list the networks with what their signers may bid for gas')
    .addHelpText(...examples('networks list'))
    .action(async ({ page, perPage }, self: Command) => {
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      printRows(settings, await api.get('/networks', { page, per_page: perPage }), [
        ['id', (row) => row.id],
        ['name', (row) => row.name],
        ['chain', (row) => row.eip155_id],
        ['mode', (row) => row.mode],
        ['confirmations', (row) => row.confirmations],
        ['fee ceiling, gwei', (row) => ceilingOf(row)],
      ]);
    });

  command
    .command('fee-ceiling')
    .argument('<network>', "the network's id")
    .argument('<gwei>', 'the most that a unit of gas may cost, or "default"')
    .description('set what a transaction of a signer may bid; above it signers wait (operators)')
    .addHelpText('after', '\ndefault: ten times the base fee, or 100 gwei if that is more')
    .addHelpText(...examples('networks fee-ceiling 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d 150'))
    .action(async (id: string, gwei: string, _options, self: Command) => {
      const settings = settingsOf(self);
      if (gwei !== 'default' && !/^\d+(\.\d+)?$/.test(gwei)) {
        throw new Failure('The ceiling is a decimal in gwei, such as 150 or 0.5, or the word default.', 2);
      }
      const api = await Api.open(settings);
      const body = { max_fee_gwei: gwei === 'default' ? null : gwei };
      const network = await api.patch(`/networks/${encodeURIComponent(id)}`, body);
      printRecord(settings, network, { network: network.name, 'fee ceiling, gwei': ceilingOf(network) });
    });

  return command;
}

function ceilingOf({ max_fee_gwei }: Answer): string {
  return max_fee_gwei ?? 'default';
}
