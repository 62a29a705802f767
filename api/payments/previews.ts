// Owns the shape of dry runs over HTTP: what an action would move, charge and change, and what the chain says of it now.
import { z } from '@hono/zod-openapi';
import { escrowDomain, settlementTypes } from '../../contracts/typed-data.ts';
import { formatUnits } from '../core/money.ts';
import type { Movement, Preview, PreviewedOperation, Settlement, StrayPreview } from '../core/payments/preview.ts';
import { jsonNumber } from '../http.ts';
import { callResponse, operationResponse, refusalResponse, renderCall, renderOperation } from './operations.ts';

const ADDRESS = '0x15d34aaf54267db7d7c367839aaf71a00a2c6a65';

const money = {
  token_address: z.string().nullable().openapi({ description: 'Null: fiat money, in the currency of the payment' }),
  amount: z.number().nullable(),
  amount_units: z.string(),
};

const change = (states: string) =>
  z
    .object({ before: z.string().openapi({ example: 'funded' }), after: z.string().openapi({ example: 'released' }) })
    .openapi({
      description: states,
    });

const typedData = z
  .object({
    domain: z.record(z.string(), z.any()),
    types: z.record(z.string(), z.any()),
    primaryType: z.literal('Settlement'),
    message: z.record(z.string(), z.string()),
  })
  .openapi('TypedData', { description: 'EIP-712, for eth_signTypedData_v4' });

const previewedOperation = z
  .object({
    operation_id: z
      .uuid()
      .nullable()
      .openapi({ description: 'An operation that asks for the same already, with which a request would answer' }),
    leg: operationResponse.shape.leg,
    verb: operationResponse.shape.verb,
    deal_hash: operationResponse.shape.deal_hash,
    signer: operationResponse.shape.signer,
    movements: z
      .array(
        z.object({
          from: z.string().openapi({ example: ADDRESS }),
          to: z.string().openapi({ example: ADDRESS }),
          ...money,
        }),
      )
      .openapi({
        description:
          "Token transfers, exact; a receiver that the token refuses is credited in the escrow instead. On a rail: between its provider, by name, and the owner of the ledger's account",
      }),
    fees: z
      .array(z.object({ recipient: z.string().openapi({ example: ADDRESS }), ...money }))
      .openapi({ description: 'Stay in the escrow as a credit of the recipient' }),
    leg_status: change('Of the leg, once confirmed; of an unmatched deal, its state on chain'),
    gas_estimate: z.string().nullable().openapi({
      description: 'Of the call alone; null when it would revert now, or when there is nothing to send',
      example: '54149',
    }),
    refusal: refusalResponse.nullable().openapi({ description: 'Why it would revert now' }),
    call: callResponse.nullable().openapi({ description: 'Null when there is nothing to send' }),
    typed_data: typedData.nullable().openapi({ description: 'Of settle: what payer and payee sign' }),
  })
  .openapi('PreviewedOperation');

/** The answer to a dry run. */
export const previewResponse = z
  .object({
    dry_run: z.literal(true),
    payment_status: change('Of the payment, once confirmed').nullable(),
    operations: z.array(previewedOperation).openapi({ description: 'One a leg' }),
  })
  .openapi('DryRun', { description: 'What the request would do; nothing was written or sent' });

/** Renders a dry run of an action on a payment. */
export function renderPreview({ operations, paymentStatus }: Preview): z.input<typeof previewResponse> {
  return { dry_run: true, payment_status: paymentStatus, operations: operations.map(renderPreviewed) };
}

/** Renders a dry run of a stray deal's refund. */
export function renderStrayPreview(preview: StrayPreview): z.input<typeof previewResponse> {
  return { dry_run: true, payment_status: null, operations: [renderPreviewed({ ...preview, settlement: null })] };
}

type Renderable = StrayPreview & Pick<PreviewedOperation, 'settlement'>;

function renderPreviewed(preview: Renderable): z.input<typeof previewedOperation> {
  const { operation, askedBefore, movements, fees, status, gas, refusal, settlement } = preview;
  const { decimals } = operation;
  const amounts = ({ token, amountUnits }: Pick<Movement, 'token' | 'amountUnits'>) => ({
    token_address: token,
    amount: decimals === null ? null : jsonNumber(formatUnits(amountUnits, decimals)),
    amount_units: amountUnits.toString(),
  });
  const { leg, verb, deal_hash, signer } = renderOperation(operation);
  return {
    operation_id: askedBefore ? operation.id : null,
    leg,
    verb,
    deal_hash,
    signer,
    movements: movements.map(({ from, to, ...moved }) => ({ from, to, ...amounts(moved) })),
    fees: fees.map(({ recipient, ...fee }) => ({ recipient, ...amounts(fee) })),
    leg_status: status,
    gas_estimate: gas?.toString() ?? null,
    refusal,
    call: operation.terms ? renderCall(operation) : null,
    typed_data: settlement && renderSettlement(settlement),
  };
}

function renderSettlement({ chainId, diamond, ...message }: Settlement): z.input<typeof typedData> {
  return {
    domain: escrowDomain(chainId, diamond),
    types: settlementTypes,
    primaryType: 'Settlement',
    message: Object.fromEntries(Object.entries(message).map(([name, value]) => [name, value.toString()])),
  };
}
