/** `dealkeep nodes`: the tree of merchants. */
import { Command } from 'commander';
import { Api, settingsOf } from './api.ts';
import { printRecord, printRows } from './output.ts';

export function nodesCommand(): Command {
  const command = new Command('nodes').description('list, show, create');

  command
    .command('list')
    .description('list the nodes that you may act on')
    .option('--page <n>', 'which page', '1')
    .option('--per-page <n>', 'how many on a page', '50')
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
    .action(async ({ name, parent }, self: Command) => {
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      const node = await api.post('/nodes', { name, parent_id: api.nodeId(parent) });
      printRecord(settings, node, { id: node.id, name: node.name, parent: node.parent_id });
    });

  return command;
}
