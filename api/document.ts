// Owns what the OpenAPI document says of every operation alike, so that no route repeats it: names, shared headers and
// parameters, and an example of each body. A route brings its summary, its tag and its schemas.
import type { OpenAPIHono } from '@hono/zod-openapi';
import { exampleOf, type Schema } from './examples.ts';
import { VERSION_HEADER, versions } from './versions.ts';

type Document = ReturnType<OpenAPIHono['getOpenAPI31Document']>;
type Reference = { $ref: string };
type Media = { schema?: Schema; example?: unknown; examples?: unknown };
type Parameter = { name: string; in: string; schema?: Schema; example?: unknown };
type Answer = { headers?: Record<string, unknown>; content?: Record<string, Media> };
type Operation = {
  operationId?: string;
  summary?: string;
  description?: string;
  deprecated?: boolean;
  security?: unknown[];
  parameters?: (Parameter | Reference)[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, Answer>;
};

const text = (description: string, example: string) => ({ description, schema: { type: 'string' }, example });

const headers = {
  'X-Request-Id': text('The id of this request, also in problem documents', '0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d'),
  'X-Correlation-Id': text("The request's own X-Correlation-Id, else the id of this request", 'checkout-7f3a'),
  [VERSION_HEADER]: text('The version that answered', versions[0]),
  'RateLimit-Policy': text(
    'Requests (`q`) in as many seconds (`w`) of this integration, or of this address where no integration is known',
    '"integration";q=60000;w=60',
  ),
  RateLimit: text('Requests that remain (`r`) for so many seconds (`t`)', '"integration";r=59999;t=60'),
  'Retry-After': text('Seconds to wait', '42'),
  'Idempotent-Replayed': text('`true`: the answer that the first request with this Idempotency-Key got', 'true'),
  Deprecation: text('Since when this operation is deprecated (RFC 9745)', '@1798761600'),
  Sunset: text('From when it may be gone (RFC 8594)', 'Fri, 01 Jan 2027 00:00:00 GMT'),
};

const parameters = {
  CorrelationId: {
    name: 'X-Correlation-Id',
    in: 'header',
    required: false,
    description:
      'An id of your own, 1 to 128 visible ASCII characters; the answer, problem documents and our log repeat it',
    schema: { type: 'string', maxLength: 128, pattern: '^[\\x21-\\x7e]+$' },
    example: 'checkout-7f3a',
  },
  Version: {
    name: VERSION_HEADER,
    in: 'header',
    required: false,
    description: 'Pins a version; left out: the newest',
    schema: { type: 'string', enum: [...versions] },
    example: versions[0],
  },
};

const headerRef = (name: keyof typeof headers) => ({ $ref: `#/components/headers/${name}` });
const parameterRef = (name: keyof typeof parameters) => ({ $ref: `#/components/parameters/${name}` });

/**
 * Completes a document that was made from routes; `versioned`: its operations take and answer with our version header.
 * @throws Error when two operations would bear one name.
 */
export function completeDocument(document: Document, { versioned = true }: { versioned?: boolean } = {}): Document {
  const components = (document.components?.schemas ?? {}) as Record<string, Schema>;
  const names = new Set<string>();
  const used = new Set<keyof typeof headers>();
  for (const [path, methods] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(methods) as [string, Operation][]) {
      operation.operationId ??= operationName(method, path, operation);
      if (names.has(operation.operationId)) throw new Error(`Two operations are called ${operation.operationId}.`);
      names.add(operation.operationId);
      operation.security ??= [];
      // The body of a GET is never read.
      if (method === 'get') delete operation.responses['413'];
      if (!operation.requestBody) delete operation.responses['415'];
      completeParameters(operation, components);
      operation.parameters?.push(parameterRef('CorrelationId'), ...(versioned ? [parameterRef('Version')] : []));
      completeBodies(operation, components);
      for (const name of completeHeaders(operation, versioned)) used.add(name);
    }
  }
  return {
    ...document,
    components: {
      ...document.components,
      headers: Object.fromEntries([...used].map((name) => [name, headers[name]])) as never,
      parameters: {
        ...document.components?.parameters,
        CorrelationId: parameters.CorrelationId,
        ...(versioned && { Version: parameters.Version }),
      } as never,
    },
  };
}

const LIST = /^List\b/;

/** `createPayment` for `POST /payments`, `releasePayment` for `POST /payments/{id}/release`, and so on. */
function operationName(method: string, path: string, { summary = '' }: Operation): string {
  const parts = path.split('/').slice(3);
  const nouns = parts.filter((part) => !part.startsWith('{'));
  const last = nouns.at(-1) ?? '';
  const isItem = parts.at(-1)?.startsWith('{') ?? false;
  const owner = nouns.slice(0, -1).map(singular);
  if (method === 'get' && LIST.test(summary)) return camel('list', ...owner, last);
  if (method === 'get') return camel('get', ...owner, isItem ? singular(last) : last);
  if (method === 'post' && last === nouns[0]) return camel('create', singular(last));
  if (method === 'post') {
    // A thing that is added to a resource, or a verb on it: `rotate-secret` of an integration is rotateIntegrationSecret.
    if (last.endsWith('s')) return camel('create', ...owner, singular(last));
    const [verb = '', ...rest] = last.split('-');
    return camel(verb, ...owner, ...rest);
  }
  return camel(method === 'patch' ? 'update' : method, ...owner, singular(last));
}

function singular(noun: string): string {
  return noun.replace(/ies$/, 'y').replace(/s$/, '');
}

function camel(...words: string[]): string {
  const parts = words.flatMap((word) => word.split(/[^A-Za-z0-9]+/)).filter((part) => part !== '');
  return parts.map((part, index) => (index === 0 ? part : part[0]?.toUpperCase() + part.slice(1))).join('');
}

function completeParameters(operation: Operation, components: Record<string, Schema>): void {
  for (const parameter of operation.parameters ?? []) {
    if ('$ref' in parameter || !parameter.schema) continue;
    parameter.example ??= exampleOf(parameter.schema, components, { name: parameter.name });
  }
  operation.parameters = [...(operation.parameters ?? [])];
}

function completeBodies(operation: Operation, components: Record<string, Schema>): void {
  const complete = (media: Media, sparse: boolean) => {
    if (media.schema && media.example === undefined && media.examples === undefined) {
      media.example = exampleOf(media.schema, components, { sparse });
    }
  };
  for (const media of Object.values(operation.requestBody?.content ?? {})) complete(media, true);
  for (const { content } of Object.values(operation.responses)) {
    for (const media of Object.values(content ?? {})) complete(media, false);
  }
}

function completeHeaders(operation: Operation, versioned: boolean): (keyof typeof headers)[] {
  const keyed = operation.parameters?.some((parameter) => 'name' in parameter && parameter.name === 'Idempotency-Key');
  const always = [
    ...(['X-Request-Id', 'X-Correlation-Id'] as const),
    ...(versioned ? ([VERSION_HEADER] as const) : []),
    ...(['RateLimit-Policy', 'RateLimit'] as const),
  ] as const;
  const used = new Set<keyof typeof headers>();
  for (const [status, answer] of Object.entries(operation.responses)) {
    const here = [
      ...always,
      ...(keyed && status.startsWith('2') ? (['Idempotent-Replayed'] as const) : []),
      ...(status === '429' ? (['Retry-After'] as const) : []),
      ...(operation.deprecated ? (['Deprecation', 'Sunset'] as const) : []),
    ];
    for (const name of here) used.add(name);
    answer.headers = { ...Object.fromEntries(here.map((name) => [name, headerRef(name)])), ...answer.headers };
  }
  return [...used];
}
