// Owns the party resource's shape over HTTP: the requests as they come, the responses as they go.
import { z } from '@hono/zod-openapi';
import type { Instrument, InstrumentRow } from '../core/people/instruments.ts';
import type { Party, PartyExport, PartyPatch } from '../core/people/parties.ts';

/** A party is one or the other. */
export const kind = z.enum(['person', 'firm']);
const verificationLevel = z.enum(['none', 'basic', 'full']);
/** Where an external id is used. */
export const surface = z.enum(['payments', 'milestones', 'trades', 'orders', 'items']);
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

/** The body of `POST /api/v1/parties`. */
export const createRequest = z.strictObject({ node_id: z.uuid(), kind, ...partyFields }).openapi('CreateParty');
/** The body of `PATCH /api/v1/parties/{id}`. */
export const patchRequest = z.strictObject({ kind: kind.optional(), ...partyFields }).openapi('PatchParty', {
  description: 'A merge patch (RFC 7396): what is left out stays, null takes away',
});

/** The body of `POST /api/v1/parties/{id}/payout-instruments`. */
export const instrumentRequest = z
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
/** A payout instrument, redacted. */
export const instrumentResponse = z.object(instrumentFields).openapi('PayoutInstrument');

/** A party as every read returns it. */
export const partyResponse = z
  .object({
    id: z.uuid(),
    node_id: z.uuid(),
    kind,
    verification_level: verificationLevel,
    external_ids: z.partialRecord(surface, z.string()),
    seller_id: z.int().nullable().openapi({
      description: 'Its id as a seller on the orders surface; given with the first `external_ids.orders`',
      format: 'int32',
      example: 123_456_789,
    }),
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
/** Everything held on a party. */
export const exportResponse = z
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
        payment_address: z.string().nullable(),
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

/** Translates a request's fields into core's words. */
export function toPatch(fields: z.output<typeof patchRequest>): PartyPatch {
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

/** Translates a request into core's words. */
export function toInstrument(request: z.output<typeof instrumentRequest>): Instrument {
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

/** Renders a payout instrument by its last characters. */
export function renderInstrument({ id, type, redacted, createdAt }: InstrumentRow) {
  return { id, type, redacted, created_at: createdAt.toISOString() };
}

/** Renders a party with its personal data. */
export function renderParty(party: Party): z.input<typeof partyResponse> {
  const { data } = party;
  return {
    id: party.id,
    node_id: party.nodeId,
    kind: party.kind,
    verification_level: party.verificationLevel,
    external_ids: party.externalIds,
    seller_id: party.sellerNumber,
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

/** Renders an export, payout instruments in full. */
export function renderExport({ party, instruments, payments, accounts }: PartyExport): z.input<typeof exportResponse> {
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
