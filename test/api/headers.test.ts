import { createRoute } from '@hono/zod-openapi';
import { beforeAll, describe, expect, test } from 'vitest';
import { completeDocument } from '../../api/document.ts';
import { createRouter } from '../../api/http.ts';
import { deprecated, versions } from '../../api/versions.ts';
import { type Json, type Marketplace, openMarketplace } from './marketplace.ts';

let market: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
});

const request = (headers: Record<string, string>) =>
  market.app.request(`/api/v1/payments?node_id=${market.nodeId}`, {
    headers: { Authorization: `Bearer ${market.token}`, ...headers },
  });

describe('X-Correlation-Id', () => {
  test('of a request is the id of its answer and its problem document', async () => {
    const response = await market.app.request('/api/v1/payments', { headers: { 'X-Correlation-Id': 'checkout-7f3a' } });
    expect(response.headers.get('X-Correlation-Id')).toBe('checkout-7f3a');
    expect(response.headers.get('X-Request-Id')).toBe('checkout-7f3a');
    expect(await response.json()).toMatchObject({ status: 401, request_id: 'checkout-7f3a' });
  });

  test('is one of ours when there is none, or one that does not belong into a log', async () => {
    for (const given of [undefined, 'a b', 'ä', 'x'.repeat(129), 'a\tb']) {
      const response = await request(given === undefined ? {} : { 'X-Correlation-Id': given });
      expect(response.headers.get('X-Correlation-Id')).toMatch(/^[0-9a-f-]{36}$/);
      expect(response.headers.get('X-Request-Id')).toBe(response.headers.get('X-Correlation-Id'));
    }
  });
});

describe('Dealkeep-Version', () => {
  test('is in each answer, also in errors, and may be pinned', async () => {
    const [newest] = versions;
    expect((await request({})).headers.get('Dealkeep-Version')).toBe(newest);
    expect((await market.app.request('/api/v1/nowhere')).headers.get('Dealkeep-Version')).toBe(newest);
    for (const version of versions) {
      const response = await request({ 'Dealkeep-Version': version });
      expect([response.status, response.headers.get('Dealkeep-Version')]).toEqual([200, version]);
    }
  });

  test('400: one that there is not, with those that there are', async () => {
    for (const version of ['2019-01-01', 'latest', '']) {
      const response = await request({ 'Dealkeep-Version': version });
      expect(response.status).toBe(400);
      expect((await response.json()) as Json).toMatchObject({
        code: 'invalid_request',
        errors: [{ pointer: '/Dealkeep-Version', message: `must be one of ${versions.join(', ')}` }],
      });
    }
  });
});

describe('a deprecated operation', () => {
  const since = new Date('2026-12-01T00:00:00Z');
  const sunset = new Date('2027-06-01T00:00:00Z');
  const router = createRouter().openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/old-things',
      summary: 'List the things as they were',
      deprecated: true,
      middleware: deprecated({ since, sunset, successor: '/api/v1/things' }),
      responses: { 204: { description: 'Nothing' } },
    }),
    (c) => c.body(null, 204),
  );

  test('says since when, until when, and what stands in its place', async () => {
    const { headers } = await router.request('/api/v1/old-things');
    expect(headers.get('Deprecation')).toBe(`@${since.getTime() / 1000}`);
    expect(headers.get('Sunset')).toBe('Tue, 01 Jun 2027 00:00:00 GMT');
    expect(headers.get('Link')).toBe('</api/v1/things>; rel="successor-version"');
  });

  test('is marked in the document, its headers too', () => {
    const info = { title: 'Things', version: '1' };
    const document: Json = completeDocument(router.getOpenAPI31Document({ openapi: '3.1.0', info }));
    const operation = document.paths['/api/v1/old-things'].get;
    expect(operation).toMatchObject({ deprecated: true, operationId: 'listOldThings' });
    expect(Object.keys(operation.responses[204].headers)).toEqual(expect.arrayContaining(['Deprecation', 'Sunset']));
  });
});
