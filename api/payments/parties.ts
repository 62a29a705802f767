// The party resource: people and firms, where they can be paid, all that is held on them, and their erasure.
import { createRoute, z } from '@hono/zod-openapi';
import { CoreError } from '../core/errors.ts';
import type { Instrument, InstrumentRow } from '../core/instruments.ts';
import {
  addPayoutInstrument,
  createParty,
  eraseParty,
  exportParty,
  getParty,
  listParties,
  type Party,
  type PartyExport,
  type PartyPatch,
  partyNode,
  removePayoutInstrument,
  updateParty,
} from '../core/parties.ts';
import type { PartyKey } from '../core/personal.ts';
import { type Integration, mayActOn } from '../core/platform.ts';
import { createRouter, jsonBody, pageQuery, problems, requireIntegration, type Services } from '../http.ts';

const json = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});
const body = <Schema extends z.ZodType>(schema: Schema) => ({
  required: true,
  content: { 'application/json': { schema } },
});

const kind = z.enum(['person', 'firm']);
const verificationLevel = z.enum(['none', 'basic', 'full']);
const surface = z.enum(['payments', 'milestones', 'trades', 'orders', 'items']);
const text = z.string().nullable();

// Only the shape is checked here; core says what is wrong with the values, all of them at once.
const partyFields = {
  verification_level: verificationLevel.optional(),
  external_ids: z
    .strictObject({
      payments: text.optional().openapi({ description: "A payment's member.external_id", example: 'm-1001' }),
      milestones: text.optional(),
      trades: text.optional(),
      orders: text.optional(),
      items: text.optional(),
    })
    .optional()
    .openapi({ description: 'What each surface calls it; unique per node and surface. Not sealed: put no names here' }),
  name: text.optional().openapi({ description: "A person's given name, a firm's registered name", example: 'Ada' }),
  surname: text.optional().openapi({ description: 'Persons only', example: 'Byron' }),
  email: text.optional().openapi({ format: 'email', example: 'ada@example.com' }),
  phone: text.optional().openapi({ description: 'E.164', example: '+4930123456' }),
  address: z
    .strictObject({
      lines: z.array(z.string()).nullable().optional(),
      city: text.optional(),
      postcode: text.optional(),
      country: text.optional().openapi({ description: 'ISO 3166-1 alpha-2', example: 'DE' }),
    })
    .nullable()
    .optional(),
  date_of_birth: text.optional().openapi({ format: 'date', description: 'Persons only' }),
  company_number: text.optional().openapi({ description: 'Firms only' }),
  tax_number: text.optional(),
};

const createRequest = z.strictObject({ node_id: z.uuid(), kind, ...partyFields }).openapi('CreateParty');
const patchRequest = z.strictObject({ kind: kind.optional(), ...partyFields }).openapi('PatchParty', {
  description: 'A merge patch (RFC 7396): what is left out stays, null takes away',
});

const instrumentRequest = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('wallet'), address: z.string().openapi({ description: 'EVM' }) }),
    z.strictObject({ type: z.literal('iban'), iban: z.string(), bic: text.optional(), holder: text.optional() }),
    z.strictObject({
      type: z.literal('account'),
      country: z.string().openapi({ description: "The bank's, ISO 3166-1 alpha-2" }),
      routing_number: text.optional().openapi({ description: 'ABA number, sort code, BSB and the like' }),
      account_number: z.string(),
      holder: text.optional(),
    }),
  ])
  .openapi('PayoutInstrumentRequest');

const instrumentFields = {
  id: z.uuid(),
  type: z.enum(['wallet', 'iban', 'account']),
  redacted: z.string().openapi({ example: '••••3000' }),
  created_at: z.string(),
};
const instrumentResponse = z.object(instrumentFields).openapi('PayoutInstrument');

const partyResponse = z
  .object({
    id: z.uuid(),
    node_id: z.uuid(),
    kind,
    verification_level: verificationLevel,
    external_ids: z.partialRecord(surface, z.string()),
    name: text,
    surname: text,
    email: text,
    phone: text,
    address: z.object({ lines: z.array(z.string()), city: z.string(), postcode: text, country: z.string() }).nullable(),
    date_of_birth: text,
    company_number: text,
    tax_number: text,
    payout_instruments: z.array(instrumentResponse),
    created_at: z.string(),
    updated_at: z.string(),
    erased_at: text,
  })
  .openapi('Party');

const units = z.string().regex(/^-?\d+$/);
const exportResponse = z
  .object({
    party: partyResponse,
    payout_instruments: z.array(
      z.object({
        ...instrumentFields,
        address: z.string().optional(),
        iban: z.string().optional(),
        bic: text.optional(),
        country: z.string().optional(),
        routing_number: text.optional(),
        account_number: z.string().optional(),
        holder: text.optional(),
      }),
    ),
    payments: z.array(
      z.object({
        id: z.uuid(),
        external_id: z.string(),
        status: z.string(),
        currency_id: z.uuid(),
        price_units: units,
        paid_price_units: units,
        payment_method: z.string(),
        payment_address: z.string(),
        items: z.array(z.object({ name: text, price: text, external_id: text })),
        metadata: text,
        client_ip: text,
        transaction_hash: text,
        created_at: z.string(),
      }),
    ),
    accounts: z.array(
      z.object({ id: z.uuid(), type: z.string(), owner: z.string(), currency_id: z.uuid(), balance_units: units }),
    ),
  })
  .openapi('PartyExport');

/** Mounts the routes of parties. */
export function partyRoutes(services: Services) {
  const { sql, vault } = services;
  const router = createRouter();
  const authenticated = requireIntegration(services);
  const shared = { tags: ['Parties'], security: [{ integration: [] }] };
  const params = z.object({ id: z.uuid() });
  const refusals = ['invalid_request', 'unauthenticated', 'not_found'] as const;

  async function authorizeNode(integration: Integration, nodeId: string): Promise<void> {
    if (!(await mayActOn(sql, integration, nodeId))) throw new CoreError('not_found', 'The node does not exist.');
  }

  async function authorizeParty(integration: Integration, partyId: string): Promise<PartyKey> {
    const nodeId = await partyNode(sql, partyId);
    if (!nodeId || !(await mayActOn(sql, integration, nodeId))) {
      throw new CoreError('not_found', 'The party does not exist.');
    }
    return { nodeId, partyId };
  }

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/parties',
      summary: 'Create a party',
      middleware: [authenticated, jsonBody()] as const,
      request: { body: body(createRequest) },
      responses: {
        201: json(partyResponse, 'The party'),
        ...problems(...refusals, 'conflict', 'payload_too_large'),
      },
    }),
    async (c) => {
      const { node_id, kind: partyKind, ...fields } = c.req.valid('json');
      await authorizeNode(c.get('integration'), node_id);
      const party = await createParty(sql, vault, { ...toPatch(fields), nodeId: node_id, kind: partyKind });
      return c.json(renderParty(party), 201);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/parties',
      summary: "List a node's parties, newest first",
      middleware: authenticated,
      request: {
        query: z.object({
          node_id: z.uuid(),
          kind: kind.optional(),
          surface: surface.optional(),
          external_id: z.string().max(255).optional().openapi({ description: 'On the surface' }),
          ...pageQuery,
        }),
      },
      responses: {
        200: json(
          z.object({ items: z.array(partyResponse), page: z.int(), per_page: z.int(), total: z.int() }),
          'A page of parties',
        ),
        ...problems(...refusals),
      },
    }),
    async (c) => {
      const { node_id, external_id, page, per_page, ...rest } = c.req.valid('query');
      await authorizeNode(c.get('integration'), node_id);
      const filter = { nodeId: node_id, externalId: external_id, ...rest };
      const { parties, total } = await listParties(sql, vault, filter, { page, perPage: per_page });
      return c.json({ items: parties.map(renderParty), page, per_page, total }, 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/parties/{id}',
      summary: 'Get a party',
      middleware: authenticated,
      request: { params },
      responses: { 200: json(partyResponse, 'The party'), ...problems(...refusals) },
    }),
    async (c) => {
      const key = await authorizeParty(c.get('integration'), c.req.valid('param').id);
      return c.json(renderParty(await getParty(sql, vault, key)), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'patch',
      path: '/parties/{id}',
      summary: 'Change a party',
      middleware: [authenticated, jsonBody()] as const,
      request: { params, body: body(patchRequest) },
      responses: {
        200: json(partyResponse, 'The party'),
        ...problems(...refusals, 'conflict', 'illegal_transition', 'payload_too_large'),
      },
    }),
    async (c) => {
      const key = await authorizeParty(c.get('integration'), c.req.valid('param').id);
      return c.json(renderParty(await updateParty(sql, vault, key, toPatch(c.req.valid('json')))), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'delete',
      path: '/parties/{id}',
      summary: 'Erase a party: personal data, external ids and payout instruments; payments and ledger stay',
      middleware: authenticated,
      request: { params },
      responses: { 204: { description: 'Erased; asking again answers the same' }, ...problems(...refusals) },
    }),
    async (c) => {
      await eraseParty(sql, await authorizeParty(c.get('integration'), c.req.valid('param').id));
      return c.body(null, 204);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'get',
      path: '/parties/{id}/export',
      summary: 'Everything held on a party, payout instruments in full',
      middleware: authenticated,
      request: { params },
      responses: { 200: json(exportResponse, 'Everything held'), ...problems(...refusals) },
    }),
    async (c) => {
      const key = await authorizeParty(c.get('integration'), c.req.valid('param').id);
      c.header('Cache-Control', 'no-store');
      return c.json(renderExport(await exportParty(sql, vault, key)), 200);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'post',
      path: '/parties/{id}/payout-instruments',
      summary: 'Add a payout instrument',
      middleware: [authenticated, jsonBody()] as const,
      request: { params, body: body(instrumentRequest) },
      responses: {
        201: json(instrumentResponse, 'The instrument, redacted; the same one again answers with the one there is'),
        ...problems(...refusals, 'conflict', 'illegal_transition', 'payload_too_large'),
      },
    }),
    async (c) => {
      const key = await authorizeParty(c.get('integration'), c.req.valid('param').id);
      const row = await addPayoutInstrument(sql, vault, key, toInstrument(c.req.valid('json')));
      return c.json(renderInstrument(row), 201);
    },
  );

  router.openapi(
    createRoute({
      ...shared,
      method: 'delete',
      path: '/parties/{id}/payout-instruments/{instrument_id}',
      summary: 'Remove a payout instrument',
      middleware: authenticated,
      request: { params: params.extend({ instrument_id: z.uuid() }) },
      responses: { 204: { description: 'Removed' }, ...problems(...refusals) },
    }),
    async (c) => {
      const { id, instrument_id } = c.req.valid('param');
      await removePayoutInstrument(sql, await authorizeParty(c.get('integration'), id), instrument_id);
      return c.body(null, 204);
    },
  );

  return router;
}

function toPatch(fields: z.output<typeof patchRequest>): PartyPatch {
  const {
    kind: partyKind,
    verification_level,
    external_ids,
    date_of_birth,
    company_number,
    tax_number,
    ...rest
  } = fields;
  return {
    kind: partyKind,
    verificationLevel: verification_level,
    externalIds: external_ids,
    data: { ...rest, dateOfBirth: date_of_birth, companyNumber: company_number, taxNumber: tax_number },
  };
}

function toInstrument(request: z.output<typeof instrumentRequest>): Instrument {
  if (request.type === 'wallet') return request;
  const holder = request.holder ?? null;
  if (request.type === 'iban') return { type: 'iban', iban: request.iban, bic: request.bic ?? null, holder };
  return {
    type: 'account',
    country: request.country,
    routingNumber: request.routing_number ?? null,
    accountNumber: request.account_number,
    holder,
  };
}

function renderInstrument({ id, type, redacted, createdAt }: InstrumentRow) {
  return { id, type, redacted, created_at: createdAt.toISOString() };
}

function renderParty(party: Party): z.input<typeof partyResponse> {
  const { data } = party;
  return {
    id: party.id,
    node_id: party.nodeId,
    kind: party.kind,
    verification_level: party.verificationLevel,
    external_ids: party.externalIds,
    name: data.name,
    surname: data.surname,
    email: data.email,
    phone: data.phone,
    address: data.address,
    date_of_birth: data.dateOfBirth,
    company_number: data.companyNumber,
    tax_number: data.taxNumber,
    payout_instruments: party.instruments.map(renderInstrument),
    created_at: party.createdAt.toISOString(),
    updated_at: party.updatedAt.toISOString(),
    erased_at: party.erasedAt?.toISOString() ?? null,
  };
}

function renderOpen(instrument: Instrument) {
  if (instrument.type !== 'account') return instrument;
  const { routingNumber, accountNumber, ...rest } = instrument;
  return { ...rest, routing_number: routingNumber, account_number: accountNumber };
}

function renderExport({ party, instruments, payments, accounts }: PartyExport): z.input<typeof exportResponse> {
  return {
    party: renderParty(party),
    payout_instruments: instruments.map((row) => ({ ...renderInstrument(row), ...renderOpen(row.instrument) })),
    payments: payments.map((payment) => ({
      id: payment.id,
      external_id: payment.externalId,
      status: payment.status,
      currency_id: payment.currencyId,
      price_units: payment.priceUnits.toString(),
      paid_price_units: payment.paidPriceUnits.toString(),
      payment_method: payment.paymentMethod,
      payment_address: payment.paymentAddress,
      items: (payment.items ?? []).map((item) => ({
        name: item.name,
        price: item.price,
        external_id: item.externalId,
      })),
      metadata: payment.metadata,
      client_ip: payment.clientIp,
      transaction_hash: payment.transactionHash,
      created_at: payment.createdAt.toISOString(),
    })),
    accounts: accounts.map((account) => ({
      id: account.id,
      type: account.type,
      owner: account.owner,
      currency_id: account.currencyId,
      balance_units: account.balanceUnits.toString(),
    })),
  };
}
