// Splits that a party signs in its browser for the other one, and the token with which a payee looks at its leg.
import { createRoute, z } from '@hono/zod-openapi';
import type { Hex } from 'viem';
import { widgetAccessToken } from '../callers.ts';
import { Chain } from '../core/chain/chain.ts';
import { CoreError } from '../core/errors.ts';
import { authorizePayment, loadPayment } from '../core/payments/payments.ts';
import { proposeSplit } from '../core/payments/splitProposals.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services, wholeNumber } from '../http.ts';
import { body, idParams, json, moment } from '../resource.ts';
import { renderProposal, splitProposalResponse } from './split-proposal.ts';
import { openedAccess } from './widget.ts';

const wholeText = z
  .string()
  .regex(/^\d{1,78}$/, 'must be a whole number as text')
  .openapi({ example: '10000000' });
const leg = wholeNumber(0, 1_000)
  .optional()
  .openapi({ description: 'The leg (0, 1, …); required when the payment has several' });

const proposalRequest = z
  .strictObject({
    leg,
    signed_by: z.enum(['payer', 'payee']),
    to_payee_units: wholeText.openapi({ description: 'What of the held money goes to the payee, fee included' }),
    released_units: wholeText.openapi({ description: 'As signed', example: '0' }),
    refunded_units: wholeText.openapi({ description: 'As signed', example: '0' }),
    deadline: moment.openapi({
      description: 'The last second in which it holds, at most 90 days ahead',
      example: '2027-01-31T12:00:00Z',
    }),
    // A smart account may bundle several owners' signatures; what is longer than this is none.
    signature: z
      .string()
      .regex(/^0x([0-9a-fA-F]{2}){64,2048}$/, 'must be 64 to 2048 bytes as hex')
      .openapi({ example: `0x${'5b'.repeat(64)}1b` }),
  })
  .openapi('ProposeSplit');

const tokenQuery = z.strictObject({
  leg: z.coerce.number().int().min(0).max(1_000).optional().openapi({
    description: 'The leg (0, 1, …); required when the payment has several',
    example: 0,
  }),
});
const tokenResponse = z.object({ payment_id: z.uuid(), leg: z.int(), access_token: z.string() }).openapi('PayeeToken');

/** Mounts the routes. */
export function splitProposalRoutes(services: Services) {
  const { sql, tokens } = services;
  const chain = new Chain();
  return createRouter()
    .openapi(
      createRoute({
        method: 'post',
        path: '/widget/payments/{id}/split-proposals',
        summary: 'Keep a signed split for the other party, as buyer or seller',
        description:
          "Tried on the contract first (keys, and accounts with code by ERC-1271), then shown in every read while it holds, in place of the same party's earlier one. It moves nothing: the other party carries it out. Event: `payment.split_proposed`.",
        tags: ['Widget'],
        security: [{ accessToken: [] }],
        middleware: jsonBody(),
        request: { params: idParams, body: body(proposalRequest) },
        responses: {
          201: json(splitProposalResponse, 'The split; the same again answers the same'),
          ...problems(
            ...(['invalid_request', 'unauthenticated', 'forbidden', 'not_found', 'illegal_transition'] as const),
            ...(['chain_reverted', 'rate_limited', 'upstream_unavailable'] as const),
          ),
        },
      }),
      async (c) => {
        const { key, payeeOfLeg } = await openedAccess(c, services, c.req.valid('param').id);
        const request = c.req.valid('json');
        const chosen = request.leg ?? payeeOfLeg ?? undefined;
        if (payeeOfLeg !== null && (chosen !== payeeOfLeg || request.signed_by !== 'payee')) {
          throw new CoreError('forbidden', "A payee's token is for the payee's own word on its own leg.");
        }
        const kept = await proposeSplit(sql, chain, key, {
          leg: chosen,
          signedBy: request.signed_by,
          releasedUnits: BigInt(request.released_units),
          refundedUnits: BigInt(request.refunded_units),
          toPayeeUnits: BigInt(request.to_payee_units),
          deadline: BigInt(Math.floor(Date.parse(request.deadline) / 1_000)),
          signature: request.signature.toLowerCase() as Hex,
        });
        return c.json(renderProposal(kept), 201);
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/payments/{id}/payee-token',
        summary: "Get a token with which a payee's page shows its leg",
        description:
          "For `<dealkeep-seller>` on a page of the seller's. It opens that leg alone, reads it, and takes the payee's splits; it neither pays nor asks for a refund. Rotated together with the payment's access token.",
        tags: ['Payments'],
        security: [{ integration: [] }],
        middleware: requireIntegration(services),
        request: { params: idParams, query: tokenQuery },
        responses: {
          200: json(tokenResponse, 'Derived, so that asking again answers the same'),
          ...problems('invalid_request', 'unauthenticated', 'not_found'),
        },
      }),
      async (c) => {
        const key = await authorizePayment(sql, c.get('integration'), c.req.valid('param').id);
        const record = await loadPayment(sql, key);
        const { leg: chosen } = c.req.valid('query');
        if (chosen === undefined && record.deals.length > 1) {
          throw new CoreError('invalid_request', 'Not valid: leg.', [
            { pointer: '/leg', message: 'is required: the payment has several' },
          ]);
        }
        const deal = record.deals.find((candidate) => candidate.leg === (chosen ?? 0));
        if (!deal) throw new CoreError('not_found', `The payment has no leg ${chosen}.`);
        c.header('Cache-Control', 'no-store');
        const accessToken = widgetAccessToken(tokens, record, deal.leg);
        return c.json({ payment_id: key.paymentId, leg: deal.leg, access_token: accessToken }, 200);
      },
    );
}
