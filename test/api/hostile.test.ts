/**
 * Requests as nobody should send them: each is a good one of the OpenAPI document, made bad in one to three places. Whatever
 * comes, there is no 500, a refusal is a documented problem document, and a refused request has written nothing: triggers
 * note every row of every table that a transaction wrote and kept.
 * LONG_TESTS=1 sends 20,000 (2,000); HOSTILE_RUNS another number; FAST_CHECK_SEED takes another seed than the
 * fixed one, or `random`.
 */
import { type Ajv2020, Ajv2020 as AjvOf2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import fc from 'fast-check';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { migrate } from '../../api/core/database/db.ts';
import { createDatabase } from '../../scripts/dev/postgres.ts';
import type { Stack } from '../support/stack.ts';
import { type Json, type Marketplace, openMarketplace, wholePath } from './marketplace.ts';
import { DOCUMENTS, type Operation, openOperations } from './operations.ts';

const RUNS = Number(process.env.HOSTILE_RUNS ?? (process.env.LONG_TESTS ? 20_000 : 2_000));
const SEED = process.env.FAST_CHECK_SEED ?? (process.env.LONG_TESTS ? 'random' : '7');

// What a refused request may write: that a login failed, and how many requests there were.
const NOT_BUSINESS = ['login_failure', 'request_count', 'written'];

// The clock is everybody's; the token of RFC 6749 has refusals of its own (orders/token.test.ts).
const ELSEWHERE = ['post /test-clock', 'post /orders/v1/oauth/token'];

// So many requests meet one marketplace: some are good enough to archive or disable a part of it.
const PER_MARKETPLACE = 100;

let stack: Stack;
let market: Marketplace;
let operations: Operation[];
let ajv: Ajv2020;

beforeAll(async () => {
  const databaseUrl = await createDatabase(inject('stack').databaseUrl, `hostile_${Date.now()}`);
  await migrate(databaseUrl);
  stack = { ...inject('stack'), databaseUrl };
  market = await openMarketplace({ stack });
  await noteWrites();
  ajv = new AjvOf2020({ strict: false, allErrors: true });
  formats.default(ajv);
  for (const document of DOCUMENTS) {
    const { components }: Json = await (await market.app.request(document)).json();
    ajv.addSchema(absolute({ components }, document), document);
  }
});

async function openNextMarketplace(): Promise<void> {
  await market.close();
  market = await openMarketplace({ stack, confirmations: 1 });
  // A move that is good enough would take the chain of all other tests along; transfers.test.ts has a chain of its own for it.
  operations = (await openOperations(market)).operations.filter(({ key }) => !ELSEWHERE.includes(key));
  await written();
}

const absolute = (schema: Json, document: string) =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/', `"${document}#/`));

async function noteWrites(): Promise<void> {
  const { sql } = market;
  await sql`create table written (what text)`;
  await sql.unsafe(`create function note_write() returns trigger language plpgsql as $$
    begin insert into public.written values (tg_op || ' ' || tg_table_name); return null; end $$`);
  // A partition has the triggers of its table.
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'graphile_worker') and c.relkind in ('r', 'p') and not c.relispartition
      and not c.relname = any(${NOT_BUSINESS})`;
  expect(tables.length).toBeGreaterThan(20);
  for (const { name } of tables) {
    await sql.unsafe(`create trigger note_write after insert or update or delete on ${name}
      for each row execute function note_write()`);
  }
}

/** What was written since the last time. */
async function written(): Promise<string[]> {
  return (await market.sql<{ what: string }[]>`delete from written returning what`).map(({ what }) => what);
}

type Request = {
  method: string;
  path: Record<string, string>;
  query: [string, string][];
  headers: Record<string, string>;
  /** As text, so that it can say what no value can. */
  body: string | undefined;
};

function goodRequest({ method, parameters, opensBy, body }: Operation): Request {
  const of = (place: string) =>
    parameters
      .filter((parameter) => parameter.in === place && (place === 'path' || parameter.required))
      .map(({ name, example }): [string, string] => [name, String(example)]);
  return {
    method: method.toUpperCase(),
    path: Object.fromEntries(of('path')),
    query: of('query'),
    headers: {
      ...(opensBy === 'integration' && { Authorization: `Bearer ${market.token}` }),
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  };
}

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

/** Values as JSON text. */
const value = fc.oneof(
  fc.constantFrom(
    ...['null', 'true', 'false', '0', '-0', '-1', '1.5', '1e400', '-1e400', '1e-400', '1e3', '1.10', '0.0000000000001'],
    ...['9007199254740993', '2147483648', '-9223372036854775809', '1'.repeat(400), `0.${'1'.repeat(400)}`],
    ...['""', '" "', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udfff x"', '"\\uffff"', '"😀"', '"\\u202e"', '"ﷺ"'],
    ...['"x"', `"${'x'.repeat(256)}"`, `"${'x'.repeat(20_000)}"`, `"${'😀'.repeat(255)}"`, `"${UNKNOWN_ID}"`],
    ...['"0x"', `"0x${'0'.repeat(40)}"`, `"0x${'F'.repeat(40)}"`, '"\'; drop table payment; --"', '"{{7*7}}"', '"%00"'],
    ...['"2027-02-30T00:00:00Z"', '"9999-12-31T23:59:59Z"', '"+275760-09-13T00:00:00.000Z"', '"0000-01-01T00:00:00Z"'],
    ...[
      '"2026-12-31T23:59:60Z"',
      '"1e400"',
      '"Infinity"',
      '"NaN"',
      '"1,5"',
      '"http://127.0.0.1:1"',
      '"file:///etc/passwd"',
    ],
    ...['[]', '{}', '[null]', '[{}]', '[[]]', '{"__proto__":{"x":1}}', '{"constructor":{"prototype":{}}}', '{"":""}'],
    ...['{"toString":1}', '{"then":1}', '{"length":-1}', deep(64), deep(500), `[${'0,'.repeat(1_000)}0]`],
  ),
  fc.jsonValue().map((drawn) => JSON.stringify(drawn)),
);

/** Values of a parameter or a header, not yet encoded. */
const text = fc.oneof(
  fc.constantFrom(
    ...[
      '',
      ' ',
      '0',
      '-1',
      '1.5',
      '1e3',
      '999999999999999999999',
      'NaN',
      'null',
      'true',
      'x',
      '\0',
      'a\0b',
      '%',
      '%00',
    ],
    ...['../..', '..%2f', "'", '"', 'ä', '😀', '\ud800', 'x'.repeat(3_000), UNKNOWN_ID, UNKNOWN_ID.toUpperCase()],
    ...[`0x${'0'.repeat(64)}`, `0x${'g'.repeat(64)}`, '2027-13-01T00:00:00Z', '275761-01-01T00:00:00Z', '__proto__'],
    ...['constructor', '[object Object]', ',', '{}', '[]'],
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
);

const headerText = text.map((drawn) => drawn.replace(/[^\x20-\x7e\x80-\xff]/g, '').trim());
const where = fc.nat(10_000);

/** One thing that is wrong, applied to a request; `where` picks among what the request has. */
type Mutation = (request: Request, operation: Operation) => Request;

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(where, value).map(([at, by]) => inBody((slots) => replaceAt(slots, at, by))) },
  { weight: 2, arbitrary: where.map((at) => inBody((slots) => replaceAt(slots, at, undefined))) },
  {
    weight: 2,
    arbitrary: fc.tuple(fieldName(), value).map(([name, by]) => inBody((slots) => addField(slots, name, by))),
  },
  { weight: 2, arbitrary: fc.tuple(where, value).map(([at, by]) => inBody((slots) => twice(slots, at, by))) },
  {
    weight: 2,
    arbitrary: value.map(
      (by): Mutation =>
        (request) =>
          withBody(request, by),
    ),
  },
  { weight: 2, arbitrary: fc.tuple(where, fc.constantFrom('', ',', '}', '\0', '//', "'")).map(brokenAt) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('', ' ', deep(100_000), '{"a":'.repeat(20_000), '\ufeff{}', '{', 'NaN', '{"a":}', "{'a':1}")
      .map(
        (by): Mutation =>
          (request) =>
            withBody(request, by),
      ),
  },
  { weight: 2, arbitrary: contentType() },
  { weight: 4, arbitrary: fc.tuple(where, text).map(inPath) },
  { weight: 4, arbitrary: fc.tuple(where, text).map(inQuery) },
  {
    weight: 1,
    arbitrary: fc.tuple(text, text).map(
      ([name, by]): Mutation =>
        (request) => ({ ...request, query: [...request.query, [name, by]] }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(hostileHeader(), headerText).map(
      ([name, by]): Mutation =>
        (request) => ({ ...request, headers: { ...request.headers, [name]: by } }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS').map(otherMethod),
  },
);

function fieldName() {
  return fc.constantFrom(
    'extra',
    '__proto__',
    'constructor',
    'toJSON',
    'id',
    'status',
    '',
    '\0',
    'x'.repeat(300),
    'node_id',
  );
}

function hostileHeader() {
  return fc.constantFrom(
    ...['Idempotency-Key', 'X-Correlation-Id', 'Dealkeep-Version', 'X-Forwarded-For', 'Accept', 'Accept-Encoding'],
    ...[
      'Authorization',
      'If-None-Match',
      'Origin',
      'Content-Length',
      'Transfer-Encoding',
      'X-HTTP-Method-Override',
      'Range',
    ],
  );
}

function contentType(): fc.Arbitrary<Mutation> {
  const types = ['', 'text/plain', 'application/xml', 'multipart/form-data', 'application/x-www-form-urlencoded'];
  const odd = [
    'application/json; charset=utf-16',
    'application/json;;;',
    'APPLICATION/JSON',
    'application/problem+json',
  ];
  return fc.constantFrom(...types, ...odd).map(
    (type): Mutation =>
      (request) => ({ ...request, headers: { ...request.headers, 'Content-Type': type } }),
  );
}

function withBody(request: Request, body: string): Request {
  return /^(GET|HEAD)$/.test(request.method) ? request : { ...request, body };
}

function otherMethod(method: string): Mutation {
  return ({ body, ...request }) => ({ ...request, method, body: /^(GET|HEAD)$/.test(method) ? undefined : body });
}

function brokenAt([at, by]: [number, string]): Mutation {
  return (request) => {
    if (!request.body) return request;
    const place = at % request.body.length;
    return { ...request, body: request.body.slice(0, place) + by + request.body.slice(place + 1) };
  };
}

function inPath([at, by]: [number, string]): Mutation {
  return (request) => {
    const names = Object.keys(request.path);
    const name = names[at % Math.max(1, names.length)];
    return name === undefined ? request : { ...request, path: { ...request.path, [name]: by } };
  };
}

function inQuery([at, by]: [number, string]): Mutation {
  return (request, { parameters }) => {
    const names = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name);
    const name = names[at % Math.max(1, names.length)];
    if (name === undefined) return request;
    // One time in three beside the good one.
    const rest = at % 3 === 0 ? request.query : request.query.filter(([other]) => other !== name);
    return { ...request, query: [...rest, [name, by]] };
  };
}

/** A body as text with a slot for each value, so that a slot can hold what JSON.stringify never writes. */
type Slots = { fields: { owner: Json; key: string }[]; root: Json; render(): string };

function slotsOf(body: string): Slots | null {
  const fields: Slots['fields'] = [];
  const walk = (owner: Json) => {
    if (typeof owner !== 'object' || owner === null) return;
    for (const key of Object.keys(owner)) {
      fields.push({ owner, key });
      walk(owner[key]);
    }
  };
  try {
    const root = JSON.parse(body);
    walk(root);
    const render = () => JSON.stringify(root).replace(/"@raw(.*?)raw@"/g, (_all, text) => decodeURIComponent(text));
    return { fields, root, render };
  } catch {
    // Broken already, or deeper than the stack.
    return null;
  }
}

const raw = (json: string) => `@raw${encodeURIComponent(json.toWellFormed())}raw@`;

function inBody(change: (slots: Slots) => void): Mutation {
  return (request) => {
    const slots = request.body === undefined ? null : slotsOf(request.body);
    if (!slots || typeof slots.root !== 'object' || slots.root === null) return request;
    change(slots);
    return { ...request, body: slots.render() };
  };
}

function replaceAt({ fields }: Slots, at: number, by: string | undefined): void {
  const field = fields[at % Math.max(1, fields.length)];
  if (!field) return;
  if (by === undefined) delete field.owner[field.key];
  else field.owner[field.key] = raw(by);
}

function addField({ root }: Slots, name: string, by: string): void {
  Object.defineProperty(root, name, { value: raw(by), enumerable: true, configurable: true, writable: true });
}

/** The same key twice in one object, the second time with another value. */
function twice({ fields }: Slots, at: number, by: string): void {
  const field = fields[at % Math.max(1, fields.length)];
  if (!field) return;
  field.owner[field.key] = raw(`${JSON.stringify(field.owner[field.key])},${JSON.stringify(field.key)}:${by}`);
}

async function send(request: Request, { path }: Operation): Promise<Response> {
  const encode = (part: string) => encodeURIComponent(part.toWellFormed());
  const url = path.replace(/\{(\w+)\}/g, (_all, name) => encode(request.path[name] ?? ''));
  const query = request.query.map(([name, by]) => `${encode(name)}=${encode(by)}`).join('&');
  return await market.app.request(`${wholePath(url)}${query && `?${query}`}`, {
    method: request.method,
    headers: request.headers,
    ...(request.body !== undefined && { body: request.body }),
  });
}

/** What is wrong with an answer, or null. */
async function faultOf(operation: Operation, request: Request, response: Response): Promise<string | null> {
  const { status, headers } = response;
  if (headers.get('Content-Type')?.startsWith('text/event-stream')) {
    // It goes on for as long as somebody listens.
    await response.body?.cancel();
    return null;
  }
  const body = await response.text();
  const wrote = await written();
  const type = headers.get('Content-Type') ?? '';
  if (status === 500) return 'answered 500';
  const isOurs = request.method.toLowerCase() === operation.method;
  const documented = operation.responses[status];
  if (status < 400) {
    const schema = documented?.content?.['application/json']?.schema;
    if (!isOurs || !schema) return null;
    return ajv.validate(absolute(schema, operation.document), JSON.parse(body))
      ? null
      : `answered ${status} with ${ajv.errorsText()}: ${body}`;
  }
  if (wrote.length > 0) return `answered ${status} and wrote ${wrote.join(', ')}`;
  if (request.method === 'HEAD') return null;
  if (type !== 'application/problem+json') return `answered ${status} as ${type}: ${body.slice(0, 200)}`;
  const problem = JSON.parse(body);
  if (!ajv.validate({ $ref: `${operation.document}#/components/schemas/Problem` }, problem))
    return `no problem document: ${body}`;
  if (problem.status !== status || problem.request_id !== headers.get('X-Request-Id')) return `does not fit: ${body}`;
  if (!isOurs || problem.detail === 'There is nothing at this path.') return null;
  const codes = Object.keys(documented?.content?.['application/problem+json']?.examples ?? {});
  return codes.includes(problem.code) ? null : `answered ${status} ${problem.code}, which is not documented`;
}

describe('hostile requests', () => {
  test('get a documented problem document and change nothing', { timeout: 3_600_000 }, async () => {
    const seed = SEED === 'random' ? Date.now() % 2 ** 31 : Number(SEED);
    console.log(`${RUNS} hostile requests, FAST_CHECK_SEED=${seed}`);
    const statuses = new Map<number, number>();
    let sent = 0;
    const draw = fc.record({ at: where, mutations: fc.array(mutation, { minLength: 1, maxLength: 3 }) });
    await fc.assert(
      fc.asyncProperty(draw, async ({ at, mutations }) => {
        if (sent % PER_MARKETPLACE === 0) await openNextMarketplace();
        sent += 1;
        const operation = operations[at % operations.length];
        if (!operation) return;
        const request = mutations.reduce((made, mutate) => mutate(made, operation), goodRequest(operation));
        const response = await send(request, operation);
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
        const fault = await faultOf(operation, request, response);
        if (fault) throw new Error(`${operation.key} ${fault}\n${JSON.stringify(request).slice(0, 4_000)}`);
      }),
      { seed, numRuns: RUNS, endOnFailure: true },
    );
    const most = Object.fromEntries([...statuses].sort(([a], [b]) => a - b));
    console.log(JSON.stringify(most));
    expect(most[400]).toBeGreaterThan(RUNS / 4);
  });

  test('400: moments that PostgreSQL cannot hold, found by the above', async () => {
    await openNextMarketplace();
    const endpoint = await market.post('/webhook-endpoints', { node_id: market.nodeId, url: 'http://127.0.0.1:9/' });
    const answers = [
      await market.post(`/webhook-endpoints/${endpoint.json.id}/replay`, { from: '0000-01-01T00:00:00Z' }),
      await market.get(`/accounts?node_id=${market.nodeId}&as_of=0000-01-01T00:00:00Z`),
      await market.get(`/payments?node_id=${market.nodeId}&created_from=0001-01-01T00:00:00%2B23:59`),
    ];
    const message = 'must not be before 1970';
    expect(answers.map(({ status, json }) => [status, json.errors])).toEqual(
      ['/from', '/as_of', '/created_from'].map((pointer) => [400, [{ pointer, message }]]),
    );
  });
});
