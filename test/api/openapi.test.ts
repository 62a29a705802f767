// The OpenAPI documents, as those who build on them read them. A new route is covered by existing.
import { createConfig, lintFromString } from '@redocly/openapi-core';
import spectral from '@stoplight/spectral-core';
import rulesets from '@stoplight/spectral-rulesets';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { beforeAll, describe, expect, test } from 'vitest';
import { UNEXPLAINED } from '../../api/examples.ts';
import { isFresh, openApiDocument } from '../../scripts/openapi.ts';
import { type Json, openMarketplace } from './marketplace.ts';
import { DOCUMENTS } from './operations.ts';

const ajv = new Ajv2020({ strict: false, allErrors: true });
formats.default(ajv);

describe.each([
  [DOCUMENTS[0], 500],
  [DOCUMENTS[1], 100],
])('GET %s', (path, fewestExamples) => {
  let document: Json;
  let operations: { name: string; operation: Json }[];
  beforeAll(async () => {
    const { app, close } = await openMarketplace();
    document = await (await app.request(path)).json();
    await close();
    operations = Object.entries<Json>(document.paths).flatMap(([where, methods]) =>
      Object.entries<Json>(methods).map(([method, operation]) => ({ name: `${method} ${where}`, operation })),
    );
  });

  test("has nothing that Spectral's rules for OpenAPI warn of", async () => {
    const linter = new spectral.Spectral();
    linter.setRuleset({ extends: [[rulesets.oas as never, 'recommended']] });
    const findings = await linter.run(document);
    expect(findings.map(({ code, path, message }) => `${code} at ${path.join('/')}: ${message}`)).toEqual([]);
  });

  test("has nothing that Redocly's recommended rules warn of", async () => {
    const config = await createConfig({ extends: ['recommended'] });
    const findings = await lintFromString({
      source: JSON.stringify(document),
      absoluteRef: '/openapi.json',
      config,
    });
    expect(findings.map(({ ruleId, location, message }) => `${ruleId} at ${location[0]?.pointer}: ${message}`)).toEqual(
      [],
    );
  });

  test('shows an example of every body and parameter, each valid under its schema', () => {
    const absolute = (schema: Json) => JSON.parse(JSON.stringify(schema).replaceAll('"#/', `"${path}#/`));
    ajv.addSchema(absolute({ components: document.components }), path);
    const faults: string[] = [];
    let checked = 0;
    const check = (where: string, schema: Json, example: Json) => {
      checked += 1;
      if (example === undefined) faults.push(`${where} has no example`);
      else if (!ajv.validate(absolute(schema), example)) faults.push(`${where}: ${ajv.errorsText()}`);
      const unexplained = new RegExp(`${UNEXPLAINED}[\\w-]*`, 'g');
      for (const [what] of new Set(JSON.stringify(example ?? null).matchAll(unexplained))) {
        faults.push(`${where}: ${what}; give it one in its schema or in api/examples.ts`);
      }
    };
    const checkContent = (where: string, content: Json) => {
      for (const [type, media] of Object.entries<Json>(content ?? {})) {
        const examples = media.examples
          ? Object.values<Json>(media.examples).map(({ value }) => value)
          : [media.example];
        for (const example of examples) check(`${where} ${type}`, media.schema, example);
      }
    };
    for (const { name, operation } of operations) {
      for (const parameter of operation.parameters) {
        if (!parameter.$ref) check(`${name} ${parameter.name}`, parameter.schema, parameter.example);
      }
      checkContent(`${name} request`, operation.requestBody?.content);
      for (const [status, { content }] of Object.entries<Json>(operation.responses)) {
        checkContent(`${name} ${status}`, content);
      }
    }
    for (const parameter of Object.values<Json>(document.components.parameters)) {
      check(parameter.name, parameter.schema, parameter.example);
    }
    expect(faults).toEqual([]);
    expect(checked).toBeGreaterThan(fewestExamples);
  });

  test('names what any operation may answer, and each code with an example', () => {
    for (const { name, operation } of operations) {
      // RFC 6749 has refusals of its own.
      if (name === 'post /orders/v1/oauth/token') continue;
      const problems = Object.entries<Json>(operation.responses).filter(([status]) => Number(status) >= 400);
      expect(
        problems.map(([status]) => status),
        name,
      ).toEqual(expect.arrayContaining(['400', '429', '500']));
      for (const [status, { description, content }] of problems) {
        const { examples } = content['application/problem+json'];
        expect(Object.keys(examples).length, `${name} ${status}`).toBeGreaterThan(0);
        for (const [code, { value }] of Object.entries<Json>(examples)) {
          expect([value.code, value.status], name).toEqual([code, Number(status)]);
          expect(description, name).toContain(`(${code})`);
        }
      }
      // What a widget or a provider brings is the same whenever it comes again: a signature, a hash, a charge.
      const takesKey = operation.parameters.some((parameter: Json) => parameter.name === 'Idempotency-Key');
      expect(takesKey, `${name} takes an Idempotency-Key`).toBe(
        name.startsWith('post ') &&
          operation.operationId !== 'createToken' &&
          !/^post \/api\/v1\/(widget|providers)\//.test(name),
      );
    }
  });
});

describe('contracts/api.ts', () => {
  test('was made from the document of /api/v1; if not, run npm run build:client', async () => {
    expect(await isFresh(await openApiDocument())).toBe(true);
  });
});
