/** `dealkeep webhooks`: where events are sent, how that went, and sending them again. */
import { Command, Option } from 'commander';
import type { DeliveryStatus } from '../../api/core/webhooks/deliveries.ts';
import { Api, settingsOf } from './api.ts';
import { addPages, examples, moment, nodeOption } from './options.ts';
import { printRecord, printRows } from './output.ts';

const STATUSES: Record<DeliveryStatus, true> = { waiting: true, delivered: true, failed: true, cancelled: true };

export function webhooksCommand(): Command {
  const command = new Command('webhooks').description('where events are sent, how that went, and sending them again');

  command
    .command('endpoints')
    .description("list a node's endpoints")
    .addOption(nodeOption())
    .addHelpText(...examples('webhooks endpoints'))
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

  addPages(command.command('deliveries'))
    .description('list deliveries, newest first')
    .addOption(nodeOption())
    .option('--endpoint <id>', 'only to this endpoint')
    .option('--payment <id>', 'only of this payment')
    .addOption(new Option('--status <status>', 'only those with this status').choices(Object.keys(STATUSES)))
    .addHelpText(
      ...examples(
        'webhooks deliveries --status waiting',
        'webhooks deliveries --payment 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d',
      ),
    )
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
    .command('delivery')
    .argument('<delivery>', "the delivery's id")
    .description('show each attempt of a delivery, and what was answered')
    .addHelpText(...examples('webhooks delivery 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'))
    .action(async (id: string, _options, self: Command) => {
      const settings = settingsOf(self);
      const delivery = await (await Api.open(settings)).get(`/webhook-deliveries/${encodeURIComponent(id)}`);
      const { event_type: event, status, next_attempt_at: next } = delivery;
      printRecord(settings, delivery, { delivery: id, event, status, 'next attempt': next });
      if (settings.json) return;
      printRows(settings, { items: delivery.log }, [
        ['attempt', (row) => row.number],
        ['at', (row) => row.started_at],
        ['ms', (row) => row.latency_ms],
        ['status', (row) => row.status_code],
        ['error', (row) => row.error],
        ['answer', (row) => shortened(row.answer)],
      ]);
    });

  command
    .command('resend')
    .argument('<delivery>', "the delivery's id")
    .description('send one event again')
    .addHelpText(...examples('webhooks resend 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'))
    .action(async (id: string, _options, self: Command) => {
      const settings = settingsOf(self);
      const delivery = await (await Api.open(settings)).post(`/webhook-deliveries/${encodeURIComponent(id)}/resend`);
      printRecord(settings, delivery, { delivery: delivery.id, status: delivery.status });
    });

  command
    .command('replay')
    .argument('<endpoint>', "the endpoint's id")
    .description('send an endpoint every event since a time again')
    .requiredOption('--from <time>', 'a day (UTC) or a time: 2027-01-31, 2027-01-31T09:00:00Z', moment)
    .option('--until <time>', 'up to before then; left out: now', moment)
    .addHelpText(
      ...examples(
        'webhooks replay 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d --from 2027-01-31',
        'webhooks replay 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d --from 2027-01-31T09:00:00Z --until 2027-01-31T10:00:00Z',
      ),
    )
    .action(async (id: string, range: { from: string; until?: string }, self: Command) => {
      const settings = settingsOf(self);
      const path = `/webhook-endpoints/${encodeURIComponent(id)}/replay`;
      const answer = await (await Api.open(settings)).post(path, range);
      printRecord(settings, answer, { queued: answer.queued });
    });

  command
    .command('test')
    .argument('<endpoint>', "the endpoint's id")
    .description('send an endpoint a test event')
    .addHelpText(...examples('webhooks test 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'))
    .action(async (id: string, _options, self: Command) => {
      const settings = settingsOf(self);
      const delivery = await (await Api.open(settings)).post(`/webhook-endpoints/${encodeURIComponent(id)}/test`);
      printRecord(settings, delivery, { delivery: delivery.id, status: delivery.status });
    });

  return command;
}

/** An answer may be 4 kB of a page; `--json` has all of it. */
function shortened(answer: string | null): string | null {
  return answer !== null && answer.length > 200 ? `${answer.slice(0, 200)}…` : answer;
}
