/** `dealkeep nodes`: the tree of merchants. */
import { Command } from 'commander';
import { Api, settingsOf } from './api.ts';
import { addPages, examples } from './options.ts';
import { printRecord, printRows } from './output.ts';

export function nodesCommand(): Command {
  const command = new Command('nodes').description('the tree of merchants');

  addPages(command.command('list'), 50)
    .description('list the nodes that you may act on')
    .addHelpText(...examples('nodes list', 'nodes list --json'))
    .action(async ({ page, perPage }, self: Command) => {
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      printRows(settings, await api.get('/nodes', { page, per_page: perPage }), [
        ['id', (row) => row.id],
        ['name', (row) => row.name],
        ['parent', (row) => row.parent_id],
        ['archived', (row) => row.archived_at],
      ]);
    });

  command
    .command('show')
    .argument('<id>', "the node's id")
    .description('show one node with the deal policy that holds for it')
    .addHelpText(...examples('nodes show 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'))
    .action(async (id: string, _options, self: Command) => {
      const settings = settingsOf(self);
      const node = await (await Api.open(settings)).get(`/nodes/${encodeURIComponent(id)}`);
      const policy = node.effective_policy ?? node.policy ?? {};
      printRecord(settings, node, { id: node.id, name: node.name, parent: node.parent_id, ...policy });
    });

  command
    .command('create')
    .description('add a node below another one')
    .requiredOption('--name <name>', 'unique among its siblings')
    .option('--parent <id>', "the node above; left out: the running stack's")
    .addHelpText(...examples('nodes create --name "Lamps and more" --parent 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'))
    .action(async ({ name, parent }, self: Command) => {
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      const node = await api.post('/nodes', { name, parent_id: api.nodeId(parent) });
      printRecord(settings, node, { id: node.id, name: node.name, parent: node.parent_id });
    });

  return command;
}
