// What a price is worth, by a source that may be slow, wrong, old or hostile: then there is no estimate, and nothing else happens.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RateSettingError, Rates } from '../../api/core/platform/rates.ts';

let server: Server;
let url: string;
let now: number;
let asked: number;
let troubles: string[];
/** What the source answers; null: nothing, for ever. */
let answer: { status?: number; headers?: Record<string, string>; body: string } | null;

const saying = (rates: unknown, asOf = new Date(now).toISOString()) => ({
  body: JSON.stringify({ as_of: asOf, rates }),
});
const open = (currency = 'EUR') =>
  new Rates({ url, currency, now: () => now, onTrouble: (reason) => troubles.push(reason) });

beforeEach(async () => {
  [now, asked, troubles] = [Date.parse('2026-11-25T12:00:00Z'), 0, []];
  server = createServer((_, response) => {
    asked += 1;
    if (answer) response.writeHead(answer.status ?? 200, answer.headers).end(answer.body);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/rates`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

describe('an estimate', () => {
  test('is exact to the currency’s last digit, by half up, whatever the token’s decimals', async () => {
    answer = saying({ USDC: '0.9187', WEI: '0.000000000000000001', HALF: '0.005' });
    const rates = open();
    expect(rates.estimate('USDC', 25_500_000n, 6)).toBeNull();
    await rates.refresh();
    expect(rates.estimate('USDC', 25_500_000n, 6)).toEqual({
      currency: 'EUR',
      amount: '23.43',
      asOf: '2026-11-25T12:00:00.000Z',
    });
    expect(rates.estimate('USDC', 9_007_199_254_740_993_000_001n, 18)?.amount).toBe('8274.91');
    expect(rates.estimate('HALF', 1n, 0)?.amount).toBe('0.01');
    expect(rates.estimate('WEI', 1n, 0)).toBeNull();
    expect(rates.estimate('USDT', 25_500_000n, 6)).toBeNull();
    const yen = open('JPY');
    await yen.refresh();
    expect(yen.estimate('USDC', 25_500_000n, 6)?.amount).toBe('23');
  });

  test('asks once at a time and once a minute, and is over a quarter of an hour after its rate', async () => {
    answer = saying({ USDC: '1' });
    const rates = open();
    await Promise.all([rates.refresh(), rates.refresh(), rates.refresh()]);
    expect(asked).toBe(1);
    now += 59_000;
    await rates.refresh();
    expect(asked).toBe(1);
    answer = { status: 500, body: '' };
    now += 14 * 60_000;
    await rates.refresh();
    expect(asked).toBe(2);
    expect(rates.estimate('USDC', 1_000_000n, 6)?.amount).toBe('1.00');
    now += 2_000;
    expect(rates.estimate('USDC', 1_000_000n, 6)).toBeNull();
  });
});

describe('a source that cannot be believed leaves no estimate', () => {
  test.each<[string, () => typeof answer]>([
    ['numbers in place of text', () => saying({ USDC: 0.9187 })],
    ['no number', () => saying({ USDC: 'NaN' })],
    ['a negative one', () => saying({ USDC: '-1' })],
    ['nothing', () => saying({ USDC: '0.0' })],
    ['an exponent', () => saying({ USDC: '1e9' })],
    ['too many digits', () => saying({ USDC: '1234567890' })],
    ['a worth beyond all prices', () => saying({ USDC: '999999999' })],
    ['an object', () => saying({ USDC: { toString: '1' } })],
    ['no rates', () => saying(null)],
    ['text', () => ({ body: 'USDC=1' })],
    ['null', () => ({ body: 'null' })],
    ['no time', () => saying({ USDC: '1' }, 'yesterday')],
    ['an old time', () => saying({ USDC: '1' }, '2026-11-25T11:44:00Z')],
    ['a time to come', () => saying({ USDC: '1' }, '2026-11-25T12:02:00Z')],
    ['an error', () => ({ ...saying({ USDC: '1' }), status: 503 })],
    ['a way elsewhere', () => ({ status: 302, headers: { Location: url }, body: '' })],
    ['more than it may', () => ({ body: `${saying({ USDC: '1' }).body}${' '.repeat(70_000)}` })],
  ])('%s', async (_, say) => {
    answer = say();
    const rates = open();
    await rates.refresh();
    expect(asked).toBe(1);
    expect(rates.estimate('USDC', 1_000_000_000_000_000n, 6)).toBeNull();
  });

  test('silence: nobody waits for it, and it ends', { timeout: 30_000 }, async () => {
    answer = null;
    const rates = open();
    expect(rates.estimate('USDC', 1n, 0)).toBeNull();
    await rates.refresh();
    expect(troubles).toEqual(['No answer within 5000 ms.']);
  });

  test('a private address, another protocol', async () => {
    for (const hidden of ['http://10.0.0.1/', 'https://127.0.0.1/', 'http://localhost:1/', 'ftp://example.com/']) {
      const rates = new Rates({ url: hidden, currency: 'EUR', onTrouble: (reason) => troubles.push(reason) });
      await rates.refresh();
    }
    expect(troubles).toHaveLength(4);
    expect(troubles.every((trouble) => trouble.startsWith('The URL must'))).toBe(true);
  });

  test('an older time than before: the newer rate stays', async () => {
    answer = saying({ USDC: '1' });
    const rates = open();
    await rates.refresh();
    now += 60_000;
    answer = saying({ USDC: '2' }, '2026-11-25T11:59:00Z');
    await rates.refresh();
    expect(rates.estimate('USDC', 1_000_000n, 6)?.amount).toBe('1.00');
  });
});

test('settings that are none are refused when the process starts', () => {
  expect(() => new Rates({ url: 'rates', currency: 'EUR' })).toThrow(RateSettingError);
  expect(() => new Rates({ url, currency: 'euro' })).toThrow('RATES_CURRENCY must be an ISO 4217 code');
});
