// What can be asked of a payment's money: cancel, release, refund, and what its parties and arbiter decide. Each is accepted as
// operations, the chain decides; with `dry_run=true` it is answered with what it would do.
import { createRoute, z } from '@hono/zod-openapi';
import type { Hex } from 'viem';
import { actorOf } from '../callers.ts';
import { Chain } from '../core/chain/chain.ts';
import type { Sql, Transaction } from '../core/database/db.ts';
import { CoreError } from '../core/errors.ts';
import type { Actor } from '../core/log.ts';
import { cancelPayment, refundExcess, refundPayment, releasePayment } from '../core/payments/actions.ts';
import {
  openDispute,
  resolveDispute,
  returnPayment,
  settlePayment,
  withdrawDispute,
} from '../core/payments/disputes.ts';
import { loadOperations } from '../core/payments/operations.ts';
import { authorizePayment, type PaymentKey } from '../core/payments/payments.ts';
import { type Preview, previewAction } from '../core/payments/preview.ts';
import type { OperationRow } from '../core/schema.ts';
import {
  createRouter,
  decimalText,
  jsonBody,
  problems,
  requireIntegration,
  type Services,
  wholeNumber,
} from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { flag, idParams, json, moment } from '../resource.ts';
import { operationResponse, renderOperation } from './operations.ts';
import { previewResponse, renderPreview } from './previews.ts';

const accepted = z
  .object({
    status: z.literal('accepted'),
    operation: operationResponse.openapi({ description: 'The first of the operations' }),
    operations: z.array(operationResponse).openapi({ description: 'One a leg' }),
  })
  .openapi('Accepted');

/** What every action takes in its query. */
export const dryRunQuery = z.object({
  dry_run: flag.openapi({ description: 'Only answer what the request would do; nothing is written or sent' }),
});

const hash = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'must be 32 bytes as hex')
  .transform((text) => text.toLowerCase() as Hex)
  .openapi({ type: 'string', pattern: '^0x[0-9a-fA-F]{64}$' });
// A smart account's may be empty, when it agreed on chain, or bundle several owners'; what is longer than this is no signature.
const signature = z
  .string()
  .regex(/^0x([0-9a-fA-F]{2}){0,2048}$/, 'must be at most 2048 bytes as hex')
  .openapi({ example: `0x${'5b'.repeat(64)}1b` });
const words = z
  .string()
  .min(1)
  .max(2_000)
  .refine((text) => !text.includes('\0'), 'must not contain a NUL character');

const leg = wholeNumber(0, 1_000).optional().openapi({ description: 'Only this leg (0, 1, …); left out: all' });
const oneLeg = wholeNumber(0, 1_000)
  .optional()
  .openapi({ description: 'The leg (0, 1, …); required when the payment has several' });
const amount = decimalText.optional().openapi({ description: 'Only this part, in the major unit; left out: all held' });
const toPayee = decimalText.openapi({
  description: 'What of the held money goes to the payee, fee included, in the major unit; the rest goes to the payer',
  example: 10,
});

const legBody = z.strictObject({ leg }).openapi('LegChoice');
const emptyBody = z.strictObject({}).openapi('Nothing');
const partBody = z.strictObject({ leg, amount }).openapi('PartChoice');
const oneLegBody = z.strictObject({ leg: oneLeg }).openapi('OneLeg');
const disputeBody = z
  .strictObject({
    leg: oneLeg,
    as: z.enum(['payer', 'payee']).openapi({ description: 'Whose wallet is to open the dispute' }),
    evidence: hash.optional().openapi({ description: "What goes on chain; left out: the reason's keccak256, or zero" }),
    reason: words
      .optional()
      .openapi({ description: 'What is claimed; stays off the chain', example: 'Never arrived.' }),
  })
  .openapi('OpenDispute');
const resolveBody = z.strictObject({ leg: oneLeg, to_payee: toPayee }).openapi('ResolveDispute');
const settleBody = z
  .strictObject({
    leg: oneLeg,
    to_payee: toPayee,
    deadline: moment.openapi({
      description: 'The last second in which the signatures hold',
      example: '2027-01-31T12:00:00Z',
    }),
    payer_signature: signature.optional(),
    payee_signature: signature.optional(),
  })
  .openapi('SettlePayment', {
    description: 'Both signatures are over the `typed_data` that a dry run without them answers; a dry run needs none.',
  });
const returnBody = z
  .strictObject({
    leg: oneLeg,
    amount: decimalText.optional().openapi({ description: 'In the major unit; left out: all that was released' }),
  })
  .openapi('ReturnPayment');

type Act = (tx: Sql | Transaction, key: PaymentKey, actor: Actor) => Promise<OperationRow[]>;

/** One action as a route: its path's last part, its body, and the core's verb. */
type Action<Body extends z.ZodType> = {
  name: string;
  summary: string;
  description?: string;
  body: Body;
  optional: boolean;
  act: (body: z.output<Body>, options: { dryRun: boolean }) => Act;
  /** Looks at what the action would do, before it does. */
  check?: (preview: Preview) => void;
};

/** Mounts the routes of a payment's actions. */
export function actionRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const chain = new Chain();

  function mount<Body extends z.ZodType>({
    name,
    summary,
    description,
    body,
    optional,
    act,
    check,
  }: Action<Body>): void {
    router.openapi(
      createRoute({
        method: 'post',
        path: `/payments/{id}/${name}`,
        summary,
        ...(description && { description }),
        tags: ['Payments'],
        security: [{ integration: [] }],
        middleware: [authenticated, jsonBody({ optional })] as const,
        request: {
          headers: keyHeader,
          params: idParams,
          query: dryRunQuery,
          body: { required: !optional, content: { 'application/json': { schema: body } } },
        },
        responses: {
          200: json(previewResponse, 'With `dry_run=true`: what the request would do'),
          202: json(accepted, 'Accepted; the chain decides. Asking again answers with the same operation'),
          ...problems(
            ...(['invalid_request', 'unauthenticated', 'forbidden', 'not_found', 'illegal_transition'] as const),
            ...(['payload_too_large', 'chain_reverted', 'rate_limited', 'upstream_unavailable'] as const),
            ...keyRefusals,
          ),
        },
      }),
      async (c) => {
        const integration = c.get('integration');
        const { id } = c.req.valid('param' as never) as z.output<typeof idParams>;
        const { dry_run: dryRun } = c.req.valid('query' as never) as z.output<typeof dryRunQuery>;
        const key = await authorizePayment(sql, integration, id, { foreign: 'forbidden' });
        const action = act((c.req.valid('json' as never) ?? {}) as z.output<Body>, { dryRun });
        const actor = actorOf(integration);
        const preview = (on: Sql | Transaction) => previewAction(on, chain, key, (tx) => action(tx, key, actor));
        if (dryRun) return c.json(renderPreview(await preview(sql)), 200);
        return await once(c, services, 202, async (tx) => {
          if (check) check(await preview(tx));
          return await renderAccepted(tx, await action(tx, key, actor));
        });
      },
    );
  }

  mount({
    name: 'cancel',
    summary: 'Cancel a payment or a leg: close what is unfunded, refund what is funded',
    body: legBody,
    optional: true,
    act: (body) => (tx, key, actor) => cancelPayment(tx, key, actor, body),
  });
  mount({
    name: 'release',
    summary: 'Release what a payment holds to its payees: all, one leg, or a part of one',
    body: partBody,
    optional: true,
    act: (body) => (tx, key, actor) => releasePayment(tx, key, actor, body),
  });
  mount({
    name: 'refund',
    summary: 'Refund what a payment holds to its payer: all, one leg, or a part of one',
    body: partBody,
    optional: true,
    act: (body) => (tx, key, actor) => refundPayment(tx, key, actor, body),
  });
  mount({
    name: 'refund-excess',
    summary: 'Give back what a bank transfer brought too much, or too late',
    description: 'All of it, to where it came from; `rail.excess_units` of the payment says how much.',
    body: emptyBody,
    optional: true,
    act: () => (tx, key, actor) => refundExcess(tx, key, actor),
  });
  mount({
    name: 'dispute',
    summary: 'Ask the payer or the payee to dispute a leg',
    description:
      'Freezes the leg until its arbiter resolves it. Only the two parties can: the operation awaits the signature of the one named, with the call for its wallet, and is done when the chain shows it.',
    body: disputeBody,
    optional: false,
    act: (body) => (tx, key, actor) => openDispute(tx, key, actor, body),
  });
  mount({
    name: 'withdraw-dispute',
    summary: 'Ask whoever disputed a leg to give the dispute up',
    description: 'The operation awaits the signature of who opened the dispute; the leg is funded again afterwards.',
    body: oneLegBody,
    optional: true,
    act: (body) => (tx, key, actor) => withdrawDispute(tx, key, actor, body),
  });
  mount({
    name: 'resolve',
    summary: 'Split a disputed leg between payee and payer, as its arbiter',
    description:
      "Sent by this service when it holds the arbiter's key; until then, and otherwise, the operation awaits the arbiter's signature.",
    body: resolveBody,
    optional: false,
    act:
      ({ leg: chosen, to_payee }) =>
      (tx, key, actor) =>
        resolveDispute(tx, key, actor, { leg: chosen, toPayee: to_payee }),
  });
  mount({
    name: 'settle',
    summary: 'Split a leg as payer and payee agreed, by both signatures',
    description:
      'In a dispute or not. Both signatures are tried on the contract first (keys, and accounts with code by ERC-1271), then relayed.',
    body: settleBody,
    optional: false,
    act: (body, options) => {
      const request = toSettlement(body, options);
      return (tx, key, actor) => settlePayment(tx, key, actor, request);
    },
    check: requireAccepted,
  });
  mount({
    name: 'return',
    summary: 'Ask the payee to give released money back to the payer',
    description:
      'From its own pocket, fees excepted: its wallet allows the escrow the amount, then sends the call of the operation.',
    body: returnBody,
    optional: true,
    act: (body) => (tx, key, actor) => returnPayment(tx, key, actor, body),
  });
  return router;
}

function toSettlement(body: z.output<typeof settleBody>, { dryRun }: { dryRun: boolean }) {
  const missing = (['payer_signature', 'payee_signature'] as const).filter((name) => body[name] === undefined);
  if (missing.length > 0 && !dryRun) {
    const faults = missing.map((name) => ({ pointer: `/${name}`, message: 'is required' }));
    throw new CoreError('invalid_request', `Not valid: ${missing.join(', ')}.`, faults);
  }
  return {
    leg: body.leg,
    toPayee: body.to_payee,
    deadline: BigInt(Math.floor(Date.parse(body.deadline) / 1000)),
    payerSignature: (body.payer_signature ?? '0x') as Hex,
    payeeSignature: (body.payee_signature ?? '0x') as Hex,
  };
}

/** @throws invalid_request naming the signature that the contract does not take · chain_reverted for any other refusal. */
function requireAccepted({ operations }: Preview): void {
  for (const { operation, askedBefore, refusal } of operations) {
    if (askedBefore || !refusal) continue;
    if (refusal.name !== 'SignatureInvalid') throw new CoreError('chain_reverted', refusal.message);
    const { payee } = operation.terms as { payee: string };
    const by = refusal.arguments.signer?.toLowerCase() === payee.toLowerCase() ? 'payee' : 'payer';
    throw new CoreError('invalid_request', `Not valid: ${by}_signature.`, [
      { pointer: `/${by}_signature`, message: refusal.message },
    ]);
  }
}

async function renderAccepted(sql: Sql | Transaction, rows: OperationRow[]): Promise<z.input<typeof accepted>> {
  const [{ nodeId }] = rows as [OperationRow];
  const ids = rows.map((row) => row.id);
  const operations = (await loadOperations(sql, nodeId, ids)).map(renderOperation);
  const [operation] = operations;
  if (!operation) throw new Error('An accepted request has no operation.');
  return { status: 'accepted', operation, operations };
}
