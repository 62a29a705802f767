// Owns the examples of the OpenAPI document: each is made from its schema, and a value comes from the schema's own `example` or
// from one table by field name, so that the same thing looks the same everywhere. Invents nothing: a text
// without either is reported, and a test fails.

/** A JSON Schema as the OpenAPI document holds it. */
export type Schema = {
  $ref?: string;
  type?: string | string[];
  format?: string;
  enum?: unknown[];
  const?: unknown;
  example?: unknown;
  default?: unknown;
  minimum?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
};

const HASH = '0x7d5a99f603f231d53a4f39d1521f98d2e8bb279cf29bebfd0687dc98458e7f89';
const MOMENT = '2027-01-01T12:00:00.000Z';

const byFormat: Readonly<Record<string, string>> = {
  uuid: '0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d',
  'date-time': MOMENT,
  date: '1990-12-10',
  email: 'ada@example.com',
  ipv4: '203.0.113.7',
  uri: 'https://shop.example.com/hooks',
};

// The first pattern that fits a field's name counts.
const byName: readonly (readonly [RegExp, string | number])[] = [
  [/^settlement_deadline$/, '2027-01-31T12:00:00.000Z'],
  [/^resolution_deadline$/, '2027-02-14T12:00:00.000Z'],
  [/(_at|_until|_deadline)$/, MOMENT],
  [/^(diamond_address|diamond)$/, '0x5fbdb2315678afecb367f032d93f642f64180aa3'],
  [/^(operator|operator_address)$/, '0x70997970c51812dc3a010c7d01b50e0d17dc79c8'],
  [/^(token|token_address)$/, '0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48'],
  [/^(payer|owner)$/, '0x15d34aaf54267db7d7c367839aaf71a00a2c6a65'],
  [/^(fee_recipient|arbiter)$/, '0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc'],
  [/(address|^payee)$/, '0x90f79bf6eb2c4f870365e785982e1f101e93b906'],
  [/((^|_)hash|^transaction|^deal)$/, HASH],
  [/^ref$/, '6540646350379516470893352131735217498215293466216399044688904'],
  [/^fee_units$/, '382500'],
  [/^(released|refunded)_units$/, '0'],
  [/_units$/, '25500000'],
  [/^price$/, '25.50'],
  [/^(price|paid_price)$/, 25.5],
  [/^fee_bps$/, 150],
  [/^fee_fixed$/, 0.1],
  [/^settlement_period_seconds$/, 2_592_000],
  [/^resolution_period_seconds$/, 1_209_600],
  [/^eip155_id$/, 31_337],
  [/decimals$/, 6],
  [/^deal_id$/, 1_042],
  [/^max_fee_gwei$/, '150'],
  [/^leg$/, 0],
  [/^per_page$/, 10],
  [/^expires_in$/, 3_600],
  [/^(block_number|confirmations)$/, '12'],
  [/^external_id$/, 'order-1001'],
  [/^(code|currency)$/, 'USDC'],
  [/^name$/, 'Lamps and more'],
  [/^network$/, 'Ethereum'],
  [/^label$/, 'Payouts'],
  [/^surname$/, 'Byron'],
  [/^email$/, 'ada@example.com'],
  [/^phone$/, '+4930123456'],
  [/^lines$/, '1 Main Street'],
  [/^city$/, 'Berlin'],
  [/^postcode$/, '10115'],
  [/^country$/, 'DE'],
  [/^date_of_birth$/, '1990-12-10'],
  [/^company_number$/, 'HRB 12345'],
  [/^tax_number$/, 'DE123456789'],
  [/^(payments|milestones|trades|orders|items)$/, 'm-1001'],
  [/^iban$/, 'DE89370400440532013000'],
  [/^bic$/, 'COBADEFFXXX'],
  [/^holder$/, 'Ada Byron'],
  [/^routing_number$/, '021000021'],
  [/^account_number$/, '000123456789'],
  [/url$/, 'https://shop.example.com/hooks'],
  [/^metadata$/, '{"basket":"b-77"}'],
  [/^client_ip$/, '203.0.113.7'],
  [/^allowed_ips$/, '203.0.113.0/24'],
  [/^client_id$/, 'client_0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'],
  [/^client_secret$/, 'dk_0000000000000000000000000000000000000000000'],
  [/^access_token$/, 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMTk4In0.c2lnbmF0dXJl'],
  [/_url$/, 'https://shop.example.com/hooks'],
  [/^scope$/, 'payments:create payments:read'],
  [/^source$/, `31337:${HASH}:${HASH}:0`],
  [/^event_type$/, 'payment.created'],
  [/^(message|detail)$/, 'Created by the integration.'],
  [/^error$/, 'NotOperator'],
  [/^kid$/, '5e0c1a2b3d4f6789'],
  [/^x$/, '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'],
  [/^Idempotency-Key$/, 'create-order-1001'],
  [/^status$/, 'funded'],
  [/^payment_method$/, 'web3'],
  [/^type$/, 'payee'],
];

/** What stands in an example for a text that neither its schema nor the table explains, before the field's name. */
export const UNEXPLAINED = 'no example of ';

/**
 * An example of a schema; `components` resolves its references. Of a request's optional fields only those with an example of
 * their own are in it (`sparse`); a response shows all.
 */
export function exampleOf(
  schema: Schema,
  components: Readonly<Record<string, Schema>>,
  { name = '', sparse = false }: { name?: string; sparse?: boolean } = {},
): unknown {
  const inner = (part: Schema, partName = name) => exampleOf(part, components, { name: partName, sparse });
  if (schema.example !== undefined) return schema.example;
  if (schema.$ref !== undefined) return inner(components[schema.$ref.split('/').at(-1) ?? ''] ?? {});
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.allOf) return merged(schema.allOf.map((part) => inner(part)));
  const choice = schema.anyOf ?? schema.oneOf;
  if (choice) return inner(choice.find(({ type }) => type !== 'null') ?? {});
  switch ([schema.type].flat().find((type) => type !== 'null')) {
    case 'object': {
      const fields = Object.entries(schema.properties ?? {});
      const chosen = fields.filter(([field, part]) => schema.required?.includes(field) || part.example !== undefined);
      return Object.fromEntries(
        (sparse && chosen.length > 0 ? chosen : fields).map(([field, part]) => [field, inner(part, field)]),
      );
    }
    case 'array':
      return [inner(schema.items ?? {})];
    case 'boolean':
      return false;
    case 'integer':
    case 'number':
      return valueFor(name, 'number') ?? Math.max(schema.minimum ?? 1, 1);
    case 'string':
      return byFormat[schema.format ?? ''] ?? valueFor(name, 'string') ?? UNEXPLAINED + name;
    default:
      return {};
  }
}

function valueFor(name: string, type: 'number' | 'string'): string | number | undefined {
  return byName.find(([pattern, value]) => typeof value === type && pattern.test(name))?.[1];
}

function merged(parts: readonly unknown[]): unknown {
  return parts.every((part) => typeof part === 'object' && part !== null) ? Object.assign({}, ...parts) : parts[0];
}
