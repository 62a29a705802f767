// The currency resource: tokens and fiat money that payments can be made in.
import { createRoute, z } from '@hono/zod-openapi';
import { addCurrency, pageCurrencies, setCurrencyArchived, updateCurrency } from '../core/platform/currencies.ts';
import { findCurrency } from '../core/platform/platform.ts';
import type { CurrencyRow } from '../core/schema.ts';
import { createRouter, jsonBody, problems, requireIntegration, type Services, wholeNumber } from '../http.ts';
import { keyHeader, keyRefusals, once } from '../idempotency.ts';
import { address, body, idParams, json, label, listQuery, paged } from '../resource.ts';

const currencyType = z.enum(['token', 'fiat']);

const currencyResponse = z
  .object({
    id: z.uuid(),
    type: currencyType,
    network_id: z.uuid().nullable(),
    code: z.string(),
    name: z.string(),
    decimals: z.int(),
    token_address: z.string().nullable(),
    archived_at: z.string().nullable(),
  })
  .openapi('Currency');

const code = z.string().regex(/^[A-Za-z0-9.]{1,16}$/, 'must be 1 to 16 letters, digits or dots');
const decimals = wholeNumber(0, 36).openapi({
  description: 'Checked against the chain, of fiat money against ISO 4217; left out: as these say',
});

const createCurrency = z
  .strictObject({
    type: currencyType.default('token'),
    network_id: z.uuid().optional().openapi({ description: 'Of a token; fiat money has none' }),
    code,
    name: label,
    token_address: address.optional().openapi({ description: 'Of a token; fiat money has none' }),
    decimals: decimals.optional(),
  })
  .openapi('CreateCurrency');

const patchCurrency = z
  .strictObject({
    code: code.optional(),
    name: label.optional(),
    token_address: address.optional().openapi({ description: 'Immutable once a payment was made in it' }),
    decimals: decimals.optional(),
  })
  .openapi('PatchCurrency');

/** Mounts the routes of currencies. */
export function currencyRoutes(services: Services) {
  const { sql } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Currencies'], security: [{ integration: [] }] };
  const refusals = ['invalid_request', 'unauthenticated', 'forbidden', 'not_found'] as const;

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/currencies',
      summary: "Add a token that the network's escrow allows, or fiat money (operators)",
      middleware: [authenticated, jsonBody()] as const,
      request: { headers: keyHeader, body: body(createCurrency) },
      responses: {
        201: json(currencyResponse, 'The currency'),
        ...problems(
          ...(['invalid_request', 'unauthenticated', 'forbidden', 'conflict', 'payload_too_large'] as const),
          'upstream_unavailable',
          ...keyRefusals,
        ),
      },
    }),
    (c) => {
      const { network_id, token_address, ...rest } = c.req.valid('json');
      const request = { networkId: network_id, tokenAddress: token_address, ...rest };
      return once(c, services, 201, async (tx) => render(await addCurrency(tx, c.get('integration'), request)));
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/currencies',
      summary: 'List the currencies, newest first',
      middleware: authenticated,
      request: { query: z.object({ network_id: z.uuid().optional(), type: currencyType.optional(), ...listQuery }) },
      responses: {
        200: json(paged(currencyResponse), 'A page of currencies'),
        ...problems('invalid_request', 'unauthenticated', 'forbidden'),
      },
    }),
    async (c) => {
      const { network_id, type, archived, page, per_page } = c.req.valid('query');
      const filter = { networkId: network_id, type, archived };
      const { rows, total } = await pageCurrencies(sql, filter, { page, perPage: per_page });
      return c.json({ items: rows.map(render), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/currencies/{id}',
      summary: 'Get a currency',
      middleware: authenticated,
      request: { params: idParams },
      responses: { 200: json(currencyResponse, 'The currency'), ...problems(...refusals) },
    }),
    async (c) => c.json(render(await findCurrency(sql, c.req.valid('param').id)), 200),
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/currencies/{id}',
      summary: 'Change a currency (operators)',
      middleware: [authenticated, jsonBody()] as const,
      request: { params: idParams, body: body(patchCurrency) },
      responses: {
        200: json(currencyResponse, 'The currency'),
        ...problems(...refusals, 'conflict', 'payload_too_large', 'upstream_unavailable'),
      },
    }),
    async (c) => {
      const { token_address, ...rest } = c.req.valid('json');
      const patch = { tokenAddress: token_address, ...rest };
      return c.json(render(await updateCurrency(sql, c.get('integration'), c.req.valid('param').id, patch)), 200);
    },
  );

  for (const [verb, archived, summary] of [
    ['archive', true, 'Archive a currency: no new payments in it; those there are go on (operators)'],
    ['restore', false, 'Restore an archived currency (operators)'],
  ] as const) {
    router.openapi(
      createRoute({
        ...shared,
        method: 'post',
        path: `/currencies/{id}/${verb}`,
        summary,
        middleware: authenticated,
        request: { headers: keyHeader, params: idParams },
        responses: { 200: json(currencyResponse, 'The currency'), ...problems(...refusals, ...keyRefusals) },
      }),
      (c) =>
        once(c, services, 200, async (tx) =>
          render(await setCurrencyArchived(tx, c.get('integration'), c.req.valid('param').id, archived)),
        ),
    );
  }

  return router;
}

function render(currency: CurrencyRow): z.input<typeof currencyResponse> {
  return {
    id: currency.id,
    type: currency.type,
    network_id: currency.networkId,
    code: currency.code,
    name: currency.name,
    decimals: currency.decimals,
    token_address: currency.tokenAddress,
    archived_at: currency.archivedAt?.toISOString() ?? null,
  };
}
