/** `dealkeep payments`: what there is, what happened, and what an operator can do about it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import type { PaymentStatus } from '../../api/core/schema.ts';
import { type Answer, Api, type Settings, settingsOf } from './api.ts';
import { Failure } from './failure.ts';
import { addPages, examples, nodeOption } from './options.ts';
import { confirmMove, printJson, printRecord, printRows } from './output.ts';

// Node has it (V8 ≥ 11.4); TypeScript's library does not know it yet.
const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): unknown };

const ACTIONS = {
  cancel: 'close a payment that is not paid, or refund one that is',
  release: "pay a payment's sellers what it holds",
  refund: 'pay the buyer back what a payment holds',
} as const;

const STATUSES: Record<PaymentStatus, true> = {
  pending: true,
  awaiting_deposit: true,
  confirming: true,
  funded: true,
  partially_released: true,
  disputed: true,
  cancel_requested: true,
  expired: true,
  released: true,
  refunded: true,
  partially_refunded: true,
  cancelled: true,
  failed: true,
};

export function paymentsCommand(): Command {
  const command = new Command('payments').description(
    'what there is, what happened, and what an operator can do about it',
  );

  addPages(command.command('list'))
    .description("list a node's payments, newest first")
    .addOption(nodeOption())
    .addOption(new Option('--status <status>', 'only those with this status').choices(Object.keys(STATUSES)))
    .option('--external-id <id>', 'only the one with this external id')
    .addHelpText(...examples('payments list --status funded', 'payments list --external-id order-1001 --json'))
    .action(async (options, self: Command) => {
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      const { node, status, externalId, page, perPage } = options;
      const filter = { node_id: api.nodeId(node), status, external_id: externalId, page, per_page: perPage };
      printRows(settings, hideTokens(await api.get('/payments', filter)), [
        ['id', (row) => row.id],
        ['external id', (row) => row.external_id],
        ['status', (row) => row.status],
        ['paid price', (row) => row.paid_price],
        ['created', (row) => row.created_at],
      ]);
    });

  command
    .command('show')
    .argument('<id>', "the payment's id")
    .description('show one payment with its legs and their proof')
    .addHelpText(...examples('payments show 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'))
    .action(async (id: string, _options, self: Command) => {
      const settings = settingsOf(self);
      const payment = hideTokens(await (await Api.open(settings)).get(`/payments/${encodeURIComponent(id)}`));
      printRecord(settings, payment, {
        id: payment.id,
        'external id': payment.external_id,
        status: payment.status,
        'paid price': payment.paid_price,
        expires: payment.expires_at,
        ...Object.fromEntries(payment.legs.flatMap(describeLeg)),
      });
    });

  addPages(command.command('logs'))
    .argument('<id>', "the payment's id")
    .description('show what happened to a payment, newest first')
    .addHelpText(...examples('payments logs 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'))
    .action(async (id: string, { page, perPage }, self: Command) => {
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      printRows(settings, await api.get(`/payments/${encodeURIComponent(id)}/logs`, { page, per_page: perPage }), [
        ['time', (row) => row.created_at],
        ['event', (row) => row.event_type],
        ['by', (row) => row.actor_type],
        ['message', (row) => row.message],
      ]);
    });

  for (const [verb, description] of Object.entries(ACTIONS)) {
    const action = command
      .command(verb)
      .argument('<id>', "the payment's id")
      .description(`${description}; shows what would move, and asks`)
      .option('--leg <n>', 'only this leg (0, 1, …)')
      .option('--no-wait', 'do not wait for the chain');
    if (verb !== 'cancel') action.option('--amount <decimal>', 'only this part, in the major unit');
    const all = `payments ${verb} 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d`;
    action.addHelpText(
      ...examples(all, ...(verb === 'cancel' ? [] : [`${all} --amount 10.50`]), `${all} --leg 1 --yes`),
    );
    action.action(async (id: string, options, self: Command) => act(settingsOf(self), verb, id, options));
  }

  command
    .command('retry-send')
    .argument('<id>', "the payment's id")
    .description('hand a pending payment to the worker again')
    .addHelpText(...examples('payments retry-send 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'))
    .action(async (id: string, _options, self: Command) => {
      const settings = settingsOf(self);
      const payment = hideTokens(
        await (await Api.open(settings)).post(`/payments/${encodeURIComponent(id)}/retry-send`),
      );
      printRecord(settings, payment, { id: payment.id, status: payment.status, 'retry count': payment.retry_count });
    });

  return command;
}

/** Access tokens open a payment's widget; a terminal's scrollback is no place for them. */
function hideTokens(answer: Answer): Answer {
  for (const payment of answer.items ?? [answer]) payment.access_token = null;
  return answer;
}

function describeLeg(leg: Answer): [string, string][] {
  const name = `leg ${leg.leg}`;
  const { proof, refund_request: request } = leg;
  return [
    [name, `${leg.status}, ${leg.amount_units} base units to ${leg.payee}`],
    [
      `${name} moved`,
      `${leg.released_units} released, ${leg.refunded_units} refunded; the fee of the whole is ${leg.fee_units}`,
    ],
    [
      `${name} proof`,
      proof
        ? `chain ${proof.chain_id}, block ${proof.block}, transaction ${proof.transaction}, ${proof.confirmations} confirmations`
        : 'nothing on chain',
    ],
    ...(request ? [[`${name} refund request`, describeRequest(request)] satisfies [string, string]] : []),
  ];
}

/** What its buyer wrote goes onto one line of a terminal, as text and nothing else. */
function describeRequest({ status, amount_units, created_at, reason, decline_reason }: Answer): string {
  const words = (text: string | null) => (text === null ? '' : `: ${JSON.stringify(text)}`);
  return `${status}, ${amount_units} base units, ${created_at}${words(reason)}${decline_reason === null ? '' : `; answered${words(decline_reason)}`}`;
}

type Choice = { leg?: string; amount?: string; wait: boolean };

async function act(settings: Settings, verb: string, id: string, { leg, amount, wait }: Choice): Promise<void> {
  if (leg !== undefined && !/^\d{1,3}$/.test(leg)) throw new Failure('--leg takes 0, 1, …', 2);
  if (amount !== undefined && !/^\d{1,30}(\.\d{1,36})?$/.test(amount))
    throw new Failure('--amount takes a decimal.', 2);
  const api = await Api.open(settings);
  const path = `/payments/${encodeURIComponent(id)}/${verb}`;
  // The amount goes out digit for digit, as it was typed.
  const body = {
    ...(leg !== undefined && { leg: Number(leg) }),
    ...(amount !== undefined && { amount: rawJSON(amount) }),
  };
  await confirmMove(api, settings, path, body);
  const { operations } = await api.post(path, body);
  const ended = wait
    ? await Promise.all(operations.map((operation: Answer) => untilEnded(api, operation)))
    : operations;
  if (settings.json) printJson({ operations: ended });
  for (const operation of ended) {
    const hash = operation.transaction_hash ? `, transaction ${operation.transaction_hash}` : '';
    if (!settings.json) console.log(`${operation.verb}: ${operation.status}${hash}`);
  }
  const failed = ended.find((operation: Answer) => operation.status === 'failed');
  if (failed) throw new Failure(`It failed: ${failed.error?.message ?? failed.error ?? 'see the log of the payment'}`);
}

const WAIT_MS = 120_000;
const POLL_MS = 500;

async function untilEnded(api: Api, operation: Answer): Promise<Answer> {
  const deadline = Date.now() + WAIT_MS;
  let current = operation;
  while (current.status === 'queued' || current.status === 'submitted') {
    if (Date.now() > deadline) {
      throw new Failure(`Operation ${operation.id} is still ${current.status}; npx dealkeep doctor may say why.`, 3);
    }
    await sleep(POLL_MS);
    current = await api.get(`/operations/${operation.id}`);
  }
  return current;
}
