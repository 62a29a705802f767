/** `dealkeep unmatched`: deals on chain that fund no payment. */
import { Command } from 'commander';
import { Api, settingsOf } from './api.ts';
import { addPages, examples, nodeOption } from './options.ts';
import { confirmMove, printRecord, printRows } from './output.ts';

export function unmatchedCommand(): Command {
  const command = new Command('unmatched').description('deals on chain that fund no payment');

  addPages(command.command('list'))
    .description("list deals that bear a payment's number but do not fund it")
    .addOption(nodeOption())
    .option('--nobodys', 'those that bear the number of no payment at all; for operators', false)
    .addHelpText(...examples('unmatched list', 'unmatched list --nobodys'))
    .action(async ({ node, nobodys, page, perPage }, self: Command) => {
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      const node_id = nobodys ? undefined : api.nodeId(node);
      printRows(settings, await api.get('/unmatched-deals', { node_id, page, per_page: perPage }), [
        ['network', (row) => row.network_id],
        ['deal', (row) => row.deal_hash],
        ['kind', (row) => row.kind],
        ['payment', (row) => row.payment_id],
      ]);
    });

  command
    .command('refund')
    .argument('<network>', "the network's id")
    .argument('<deal>', "the deal's hash")
    .description('send such a deal back to its payer; shows what would move, and asks')
    .addHelpText(...examples(`unmatched refund 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d 0x${'5f'.repeat(32)}`))
    .action(async (network: string, deal: string, _options, self: Command) => {
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      const path = `/unmatched-deals/${encodeURIComponent(network)}/${encodeURIComponent(deal)}/refund`;
      await confirmMove(api, settings, path, undefined);
      const answer = await api.post(path);
      printRecord(settings, answer, { operation: answer.operation.id, status: answer.operation.status });
    });

  return command;
}
