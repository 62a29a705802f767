/** `dealkeep webhooks`: where events are sent, how that went, and sending them again. */
import { Command } from 'commander';
import { Api, settingsOf } from './api.ts';
import { printRecord, printRows } from './output.ts';

export function webhooksCommand(): Command {
  const command = new Command('webhooks').description('endpoints, deliveries, resend, replay, test');

  command
    .command('endpoints')
    .description("list a node's endpoints")
    .option('--node <id>', "the node; left out: the running stack's")
    .action(async ({ node }, self: Command) => {
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      printRows(settings, await api.get('/webhook-endpoints', { node_id: api.nodeId(node), per_page: 100 }), [
        ['id', (row) => row.id],
        ['url', (row) => row.url],
        ['events', (row) => row.events?.join(', ') || 'all'],
        ['state', (row) => (row.disabled_at ? 'disabled' : row.breaker.state === 'open' ? 'failing' : 'enabled')],
        ['waiting', (row) => row.waiting],
      ]);
    });

  command
    .command('deliveries')
    .description('list deliveries, newest first')
    .option('--node <id>', "the node; left out: the running stack's")
    .option('--endpoint <id>', 'only to this endpoint')
    .option('--payment <id>', 'only of this payment')
    .option('--status <status>', 'only those with this status')
    .option('--page <n>', 'which page', '1')
    .option('--per-page <n>', 'how many on a page', '20')
    .action(async ({ node, endpoint, payment, status, page, perPage }, self: Command) => {
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      const filter = { node_id: api.nodeId(node), endpoint_id: endpoint, payment_id: payment, status };
      printRows(settings, await api.get('/webhook-deliveries', { ...filter, page, per_page: perPage }), [
        ['id', (row) => row.id],
        ['event', (row) => row.event_type],
        ['status', (row) => row.status],
        ['attempts', (row) => row.attempts],
        ['payment', (row) => row.payment_id],
      ]);
    });

  command
    .command('resend')
    .argument('<delivery>', "the delivery's id")
    .description('send one event again')
    .action(async (id: string, _options, self: Command) => {
      const settings = settingsOf(self);
      const delivery = await (await Api.open(settings)).post(`/webhook-deliveries/${encodeURIComponent(id)}/resend`);
      printRecord(settings, delivery, { delivery: delivery.id, status: delivery.status });
    });

  command
    .command('replay')
    .argument('<endpoint>', "the endpoint's id")
    .description('send an endpoint every event since a time again')
    .requiredOption('--since <time>', 'RFC 3339, as 2027-01-01T00:00:00Z')
    .action(async (id: string, { since }, self: Command) => {
      const settings = settingsOf(self);
      const answer = await (await Api.open(settings)).post(`/webhook-endpoints/${encodeURIComponent(id)}/replay`, {
        since,
      });
      printRecord(settings, answer, { queued: answer.queued });
    });

  command
    .command('test')
    .argument('<endpoint>', "the endpoint's id")
    .description('send an endpoint a test event')
    .action(async (id: string, _options, self: Command) => {
      const settings = settingsOf(self);
      const delivery = await (await Api.open(settings)).post(`/webhook-endpoints/${encodeURIComponent(id)}/test`);
      printRecord(settings, delivery, { delivery: delivery.id, status: delivery.status });
    });

  return command;
}
