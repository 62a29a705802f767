// Cards through a provider: the real sandbox process with its page, its callbacks in any order, and its deaths.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callbackSignature } from '../../api/providers/sandbox.ts';
import { CARDS, openTill, type Till } from '../support/till.ts';
import type { Json } from './marketplace.ts';

let till: Till;
beforeAll(async () => {
  till = await openTill();
});
afterAll(() => till.stop());

const events = async (id: string) => (await till.logs(id)).map((entry: Json) => entry.event_type);

describe('a card payment', () => {
  test('is authorized on the page of its provider, captured, held by memo and released', async () => {
    const payment = await till.open('credit_card');
    expect(payment).toMatchObject({ status: 'awaiting_deposit', rail: { provider: 'sandbox', attempt: 1 } });
    const widget = (await till.get(`/widget/payments/${payment.id}`, payment.access_token)).json;
    expect(widget).toMatchObject({ payment_method: 'credit_card', contract: null });
    expect(widget.rail.page_url).toBe(payment.rail.page_url);

    expect((await till.typeCard(payment, CARDS.succeeds)).status).toBe(200);
    await till.untilStatus(payment.id, 'funded');
    expect(await till.balances(payment.id)).toEqual({ payer: -2550, escrow: 2550 });
    const names = await till.sql`
      select name, source from ledger_entry where payment_id = ${payment.id} order by id`;
    expect(names.map(({ name }) => name)).toEqual(['Authorized', 'Captured:0']);
    const held = (await till.get(`/accounts?node_id=${till.nodeId}&owner=${payment.id}&type=escrow`)).json.items;
    expect(held).toMatchObject([{ held_by: 'sandbox', balance_units: '2550' }]);

    const { status, json } = await till.post(`/payments/${payment.id}/release`);
    expect([status, json.operation.status]).toEqual([202, 'done']);
    await till.untilStatus(payment.id, 'released');
    expect(await till.balances(payment.id)).toEqual({ payer: -2550, payee: 2525, fee: 25 });
  });

  test('is refunded in parts and whole through the provider', async () => {
    const payment = await till.open('credit_card');
    await till.typeCard(payment, CARDS.succeeds);
    await till.untilStatus(payment.id, 'funded');
    await till.post(`/payments/${payment.id}/refund`, { amount: 5.5 });
    await till.until(payment.id, 'refunded in part', ({ deal }) => deal.refunded_units === '550');
    await till.post(`/payments/${payment.id}/refund`);
    await till.untilStatus(payment.id, 'refunded');
    expect(await till.balances(payment.id)).toEqual({});
    const { items } = (await till.get(`/payments/${payment.id}/attempts`)).json;
    expect(items.map(({ execution, status }: Json) => `${execution} ${status}`)).toEqual([
      'charge captured',
      'refund done',
      'refund done',
    ]);
  });

  test('that is declined has failed, and succeeds with its next attempt', async () => {
    const payment = await till.open('credit_card');
    await till.typeCard(payment, CARDS.declined);
    const failed = await till.untilStatus(payment.id, 'failed');
    expect(failed.rail).toMatchObject({ status: 'declined', reason: 'The card was declined.', page_url: null });
    expect(await till.balances(payment.id)).toEqual({});
    expect((await till.post(`/payments/${payment.id}/attempts`)).json.items).toHaveLength(2);
    const again = await till.until(payment.id, 'open again', ({ rail }) => rail.page_url !== null);
    expect(again.rail.page_url).not.toBe(payment.rail.page_url);
    await till.typeCard(again, CARDS.succeeds);
    await till.untilStatus(payment.id, 'funded');
    const { status, json } = await till.post(`/payments/${payment.id}/attempts`);
    expect([status, json.code]).toEqual([400, 'not_retryable']);
  });

  test('that is held for review is confirming until the provider has decided', async () => {
    const payment = await till.open('credit_card');
    await till.typeCard(payment, CARDS.held);
    expect((await till.untilStatus(payment.id, 'confirming')).rail.status).toBe('held');
    await till.form(`${payment.rail.page_url}/review`, { approved: 'true' });
    await till.untilStatus(payment.id, 'funded');
  });

  test('that is cancelled is voided at the provider, whose page takes no card any more', async () => {
    const payment = await till.open('credit_card');
    expect((await till.post(`/payments/${payment.id}/cancel`)).status).toBe(202);
    await till.untilStatus(payment.id, 'cancelled');
    await till.until(payment.id, 'voided', ({ rail }) => rail.status === 'voided');
    expect((await till.typeCard(payment, CARDS.succeeds)).status).toBe(409);
    expect(await till.balances(payment.id)).toEqual({});
  });

  test('with a card that is none stays where it was, and says what is wrong on the page', async () => {
    const payment = await till.open('credit_card');
    const typed = await till.typeCard(payment, '4111 1111 1111 1112');
    expect(typed).toMatchObject({ status: 400, text: expect.stringContaining('The card number is not one.') });
    expect(typed.text).not.toContain('1112');
    expect((await till.get(`/payments/${payment.id}`)).json.status).toBe('awaiting_deposit');
  });

  test('names every wrong field, and no provider is asked', async () => {
    const body = { payment_method: 'credit_card', price: 25.555, paid_price: 25.5 };
    const { status, json } = await till.post('/payments', till.paymentBody({ ...body, currency_id: till.euroId }));
    expect([status, json.errors]).toEqual([400, [{ pointer: '/price', message: 'has more than 2 decimals' }]]);
    const token = await till.post('/payments', till.paymentBody({ payment_method: 'credit_card' }));
    expect(token.json.errors).toEqual([{ pointer: '/currency_id', message: 'must be fiat money for credit_card' }]);
  });

  test('cannot be disputed, settled or returned: no escrow holds it', async () => {
    const payment = await till.open('credit_card');
    const { status, json } = await till.post(`/payments/${payment.id}/dispute`, { as: 'payer' });
    expect([status, json.code]).toEqual([409, 'illegal_transition']);
  });
});

describe('callbacks', () => {
  test.each(['repeated', 'reversed'] as const)('that come %s change what they change once', async (behaviour) => {
    await till.misbehave(behaviour);
    const payment = await till.open('credit_card');
    await till.typeCard(payment, CARDS.succeeds);
    await till.untilStatus(payment.id, 'funded');
    await till.misbehave('prompt');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await till.balances(payment.id)).toEqual({ payer: -2550, escrow: 2550 });
    expect((await events(payment.id)).filter((type) => type === 'payment.funded')).toHaveLength(1);
  });

  test('that are lost are made up for by asking, which the log says', async () => {
    await till.misbehave('lost');
    const payment = await till.open('credit_card');
    await till.typeCard(payment, CARDS.succeeds);
    await till.sql`update rail_attempt set next_step_at = now() where payment_id = ${payment.id}`;
    await till.untilStatus(payment.id, 'funded');
    await till.misbehave('prompt');
    expect(await events(payment.id)).toContain('payment.reconciled');
  });

  test('that are unsigned, old, altered or of a foreign charge are refused and change nothing', async () => {
    const payment = await till.open('credit_card');
    const [row] = await till.sql`select id, provider_reference from rail_attempt where payment_id = ${payment.id}`;
    const body = {
      ...{ reference: row?.providerReference, merchant_reference: row?.id, sequence: 9, state: 'captured' },
      ...{ amount: '2550', currency: 'EUR', received: '2550', reason: null },
    };
    const seconds = Math.floor(Date.now() / 1000);
    async function tell(changes: Json, { at = seconds, sign = changes as Json | null } = {}): Promise<number> {
      const text = JSON.stringify({ ...body, ...changes });
      const signed = JSON.stringify({ ...body, ...sign });
      const signature = `t=${at},v1=${callbackSignature(till.access.secret, String(at), signed)}`;
      const headers = { 'Content-Type': 'application/json', ...(sign && { 'Sandbox-Signature': signature }) };
      const url = `${till.apiUrl}/api/v1/providers/sandbox/callbacks`;
      return (await fetch(url, { method: 'POST', headers, body: text })).status;
    }
    expect(await tell({}, { sign: null })).toBe(401);
    expect(await tell({}, { at: seconds - 301 })).toBe(401);
    expect(await tell({ received: '1' }, { sign: {} })).toBe(401);
    expect(await tell({ reference: 'ch_other' })).toBe(404);
    expect(await tell({ merchant_reference: crypto.randomUUID() })).toBe(404);
    expect(await tell({ amount: '1', received: '1' })).toBe(400);
    expect(await tell({ currency: 'USD' })).toBe(400);
    expect((await till.get(`/payments/${payment.id}`)).json.status).toBe('awaiting_deposit');
    expect((await till.post('/providers/nobody/callbacks', {}, null)).status).toBe(404);
  });
});

describe('processes that die', () => {
  test('a sandbox that is killed after a card was typed comes back, and the payment goes on', async () => {
    await till.misbehave('lost');
    const payment = await till.open('credit_card');
    await till.typeCard(payment, CARDS.succeeds);
    await till.killSandbox();
    await till.sql`update rail_attempt set next_step_at = now() where payment_id = ${payment.id}`;
    const waiting = await till.create('credit_card');
    await till.restartSandbox();
    await till.sql`update rail_attempt set next_step_at = now() where payment_id = ${payment.id}`;
    await till.untilStatus(payment.id, 'funded');
    await till.until(waiting.id, 'open', ({ rail }) => rail.page_url !== null);
  });

  test('a worker that is killed in between makes no second charge', async () => {
    const payments = await Promise.all([1, 2, 3, 4].map(() => till.create('credit_card')));
    await till.killWorker();
    // What the dead worker held is somebody else's once its lease is over.
    await till.sql`update rail_attempt set next_step_at = now() where status = 'creating'`;
    await till.restartWorker();
    for (const { id } of payments) await till.until(id, 'open', ({ rail }) => rail.page_url !== null);
    const rows = await till.sql`
      select count(*)::int as charges, count(distinct provider_reference)::int as known from rail_attempt
      where payment_id in ${till.sql(payments.map(({ id }) => id))}`;
    expect(rows).toEqual([{ charges: 4, known: 4 }]);
  });
});
