// The widget's data says what a price is worth where a rate source can be believed, and waits for none.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { Rates } from '../../api/core/platform/rates.ts';
import { openMarketplace } from './marketplace.ts';

test('fiat_estimate: exact, with the rate’s time; null while no rate is known, and without a source', async () => {
  let isSilent = true;
  const asOf = new Date().toISOString();
  const source = createServer((_, response) => {
    if (!isSilent) response.end(JSON.stringify({ as_of: asOf, rates: { USDC: '0.9187' } }));
  });
  await new Promise<void>((resolve) => void source.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(source.address() as AddressInfo).port}/`;
  let minutes = 0;
  const rates = new Rates({ url, currency: 'EUR', now: () => Date.now() + minutes * 60_000 });
  const market = await openMarketplace({ rates });
  const { payment } = await market.payable();
  const read = async () => (await market.get(`/widget/payments/${payment.id}`, payment.access_token)).json;
  const unknown = await read();
  expect(unknown.price_units).toBe('25500000');
  expect(unknown.fiat_estimate).toBeNull();
  isSilent = false;
  await rates.refresh();
  minutes = 2;
  await rates.refresh();
  expect((await read()).fiat_estimate).toEqual({ currency: 'EUR', amount: '23.43', as_of: asOf });
  minutes = 20;
  expect((await read()).fiat_estimate).toBeNull();
  source.closeAllConnections();
  source.close();
  await market.close();

  const without = await openMarketplace();
  const other = (await without.payable()).payment;
  const { json } = await without.get(`/widget/payments/${other.id}`, other.access_token);
  expect(json.fiat_estimate).toBeNull();
  await without.close();
});
