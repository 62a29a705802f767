import { Writable } from 'node:stream';
import { pino } from 'pino';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { createApp } from '../../api/app.ts';
import { Tokens } from '../../api/core/platform/auth.ts';
import { Vault } from '../../api/core/vault.ts';
import { type Json, type Marketplace, openMarketplace } from './marketplace.ts';

const WALLET = '0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045';
const NL_IBAN = 'NL91 ABNA 0417 1643 00';

let market: Marketplace;
let other: Marketplace;
beforeAll(async () => {
  market = await openMarketplace();
  other = await openMarketplace();
});

const partyBody = (fields: Record<string, unknown> = {}) => ({ node_id: market.nodeId, kind: 'person', ...fields });

async function createParty(fields: Record<string, unknown> = {}): Promise<Json> {
  const { status, json } = await market.post('/parties', partyBody(fields));
  if (status !== 201) throw new Error(`Creating a party failed: ${JSON.stringify(json)}`);
  return json;
}

async function countParties(): Promise<number> {
  return (await market.get(`/parties?node_id=${market.nodeId}`)).json.total;
}

const patch = (id: string, body: unknown) => market.call('PATCH', `/parties/${id}`, { body });
const erase = (id: string) => market.call('DELETE', `/parties/${id}`);
const addInstrument = (id: string, body: unknown) => market.post(`/parties/${id}/payout-instruments`, body);
const pointers = (json: Json) => json.errors.map((fault: { pointer: string }) => fault.pointer);

const address = { lines: ['1 Main Street', 'Flat 2'], city: 'Berlin', postcode: '10115', country: 'DE' };

describe('POST /api/v1/parties', () => {
  test('201: a person with everything that can be known', async () => {
    const external_ids = { payments: crypto.randomUUID(), orders: crypto.randomUUID() };
    const known = {
      verification_level: 'basic',
      external_ids,
      name: 'Ada',
      surname: 'Byron',
      email: 'ada@example.com',
      phone: '+4930123456',
      address,
      date_of_birth: '1990-02-28',
      tax_number: 'DE 12/345',
    };
    const party = await createParty(known);
    const rest = { company_number: null, payout_instruments: [], erased_at: null, kind: 'person' };
    expect(party).toMatchObject({ ...known, ...rest, node_id: market.nodeId });
    expect((await market.get(`/parties/${party.id}`)).json).toEqual(party);
  });

  test('201: a firm, and a party of which nothing is known', async () => {
    const firm = await createParty({ kind: 'firm', name: 'Ætheling & Søn A/S', company_number: 'CVR 123' });
    expect(firm).toMatchObject({ kind: 'firm', name: 'Ætheling & Søn A/S', company_number: 'CVR 123' });
    expect(await createParty()).toMatchObject({
      name: null,
      address: null,
      external_ids: {},
      verification_level: 'none',
    });
  });

  test.each<[string, Record<string, unknown>, string[]]>([
    [
      'each value that is wrong',
      { name: '', email: 'ada@', phone: '030 123', date_of_birth: '1990-02-30' },
      ['/name', '/email', '/phone', '/date_of_birth'],
    ],
    [
      'a NUL anywhere',
      { name: 'a\0', surname: '\0', external_ids: { items: 'x\0' }, address: { ...address, city: '\0' } },
      ['/external_ids/items', '/name', '/surname', '/address/city'],
    ],
    [
      'what is too long',
      { name: 'x'.repeat(256), tax_number: 'x'.repeat(256), external_ids: { payments: 'x'.repeat(256) } },
      ['/external_ids/payments', '/name', '/tax_number'],
    ],
    ['an empty external id', { external_ids: { payments: '' } }, ['/external_ids/payments']],
    ['an unknown country', { address: { ...address, country: 'QQ' } }, ['/address/country']],
    ['a country in small letters', { address: { ...address, country: 'de' } }, ['/address/country']],
    ['a country from the prototype', { address: { ...address, country: 'constructor' } }, ['/address/country']],
    [
      'an address that is incomplete',
      { address: { postcode: '1' } },
      ['/address/lines', '/address/city', '/address/country'],
    ],
    ['six lines of address', { address: { ...address, lines: ['1', '2', '3', '4', '5', '6'] } }, ['/address/lines']],
    ['a birth in the future or too long ago', { date_of_birth: '2999-01-01' }, ['/date_of_birth']],
    ['a birth too long ago', { date_of_birth: '1815-12-10' }, ['/date_of_birth']],
    ["a firm's fields on a person", { company_number: '1' }, ['/company_number']],
    [
      "a person's fields on a firm",
      { kind: 'firm', surname: 'B', date_of_birth: '1990-01-01' },
      ['/surname', '/date_of_birth'],
    ],
    [
      'what it does not know',
      { role: 'seller', external_ids: { web: '1' }, address: { ...address, planet: 'Earth' } },
      ['/external_ids/web', '/address/planet', '/role'],
    ],
    [
      'other types',
      { kind: 'robot', name: 1, verification_level: 'total', address: 'Berlin' },
      ['/kind', '/verification_level', '/name', '/address'],
    ],
  ])('400: %s, each field named, and nothing is written', async (_what, fields, faults) => {
    const before = await countParties();
    const { status, json } = await market.post('/parties', partyBody(fields));
    expect([status, json.code]).toEqual([400, 'invalid_request']);
    expect(pointers(json).sort()).toEqual([...faults].sort());
    expect(await countParties()).toBe(before);
  });

  test('404: unknown node; another’s node', async () => {
    for (const node_id of [crypto.randomUUID(), other.nodeId]) {
      expect((await market.post('/parties', partyBody({ node_id }))).status).toBe(404);
    }
  });

  test('409: of twenty racing requests with one external id, one is created; the same id elsewhere is free', async () => {
    const external_ids = { payments: crypto.randomUUID() };
    const before = await countParties();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => market.post('/parties', partyBody({ external_ids }))),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, ...Array.from({ length: 19 }, () => 409)]);
    const lost = answers.find((answer) => answer.status === 409);
    expect(lost?.json.errors).toEqual([{ pointer: '/external_ids/payments', message: 'is taken in this node' }]);
    expect(await countParties()).toBe(before + 1);
    expect((await createParty({ external_ids: { orders: external_ids.payments } })).id).toBeDefined();
    const node_id = await market.openChild();
    expect((await market.post('/parties', partyBody({ node_id, external_ids }))).status).toBe(201);
  });

  test('413: a body over 256 KB', async () => {
    expect((await market.post('/parties', partyBody({ name: 'x'.repeat(300_000) }))).status).toBe(413);
  });
});

describe('GET /api/v1/parties', () => {
  test('200: newest first, by page, kind, surface and external id', async () => {
    const node_id = await market.openChild();
    const ids: string[] = [];
    for (const fields of [{ kind: 'firm', external_ids: { orders: '7' } }, { external_ids: { orders: '8' } }, {}]) {
      ids.unshift((await createParty({ node_id, ...fields })).id);
    }
    const list = async (query: string) => {
      const { json } = await market.get(`/parties?node_id=${node_id}${query}`);
      return [json.total, json.items.map((item: Json) => item.id)];
    };
    expect(await list('')).toEqual([3, ids]);
    expect(await list('&per_page=1&page=2')).toEqual([3, [ids[1]]]);
    expect(await list('&kind=firm')).toEqual([1, [ids[2]]]);
    expect(await list('&surface=orders')).toEqual([2, [ids[1], ids[2]]]);
    expect(await list('&surface=orders&external_id=7')).toEqual([1, [ids[2]]]);
    expect(await list('&surface=items&external_id=7')).toEqual([0, []]);
  });

  test.each([
    ['&external_id=7', ['/surface']],
    ['&surface=orders&external_id=%00', ['/external_id']],
    ['&surface=web', ['/surface']],
    ['&per_page=101', ['/per_page']],
  ])('400: %s', async (query, faults) => {
    const { status, json } = await market.get(`/parties?node_id=${market.nodeId}${query}`);
    expect([status, pointers(json)]).toEqual([400, faults]);
  });
});

describe('PATCH /api/v1/parties/{id}', () => {
  test('200: what is left out stays, null takes away, an address merges field by field', async () => {
    const external_ids = { payments: crypto.randomUUID(), orders: crypto.randomUUID() };
    const party = await createParty({ name: 'Ada', email: 'ada@example.com', address, external_ids });
    const items = crypto.randomUUID();
    const { status, json } = await patch(party.id, {
      email: null,
      verification_level: 'full',
      address: { city: 'Bonn', postcode: null },
      external_ids: { orders: null, items },
    });
    expect(status).toBe(200);
    expect(json).toMatchObject({ name: 'Ada', email: null, verification_level: 'full' });
    expect(json.address).toEqual({ ...address, city: 'Bonn', postcode: null });
    expect(json.external_ids).toEqual({ payments: external_ids.payments, items });
    expect(Date.parse(json.updated_at)).toBeGreaterThan(Date.parse(party.updated_at));
    expect((await patch(party.id, { address: null })).json.address).toBeNull();
    expect((await patch(party.id, {})).json).toMatchObject({ name: 'Ada', external_ids: json.external_ids });
  });

  test('200: as application/merge-patch+json', async () => {
    const party = await createParty({ name: 'Ada' });
    const response = await market.app.request(`/api/v1/parties/${party.id}`, {
      method: 'PATCH',
      headers: { Authorization: `Bearer ${market.token}`, 'Content-Type': 'application/merge-patch+json' },
      body: '{"surname":"Byron"}',
    });
    expect([response.status, ((await response.json()) as Json).surname]).toEqual([200, 'Byron']);
  });

  test('400: what would be wrong after the change, and nothing is changed', async () => {
    const party = await createParty({ name: 'Ada', surname: 'Byron', address });
    const { status, json } = await patch(party.id, { kind: 'firm', name: 'Byron Ltd', address: { country: null } });
    expect([status, pointers(json)]).toEqual([400, ['/address/country', '/surname']]);
    expect((await market.get(`/parties/${party.id}`)).json).toEqual(party);
    expect((await patch(party.id, { kind: 'firm', name: 'Byron Ltd', surname: null })).json.kind).toBe('firm');
  });

  test('409: an external id that is taken, and nothing is changed', async () => {
    const taken = (await createParty({ external_ids: { payments: crypto.randomUUID() } })).external_ids.payments;
    const party = await createParty({ name: 'Ada', external_ids: { payments: crypto.randomUUID() } });
    const { status } = await patch(party.id, { name: 'Augusta', external_ids: { payments: taken } });
    expect(status).toBe(409);
    expect((await market.get(`/parties/${party.id}`)).json).toEqual(party);
  });
});

describe('/api/v1/parties/{id}/payout-instruments', () => {
  test('201: wallet, IBAN and account, each shown by its last characters only; the same again is the same', async () => {
    const { id } = await createParty();
    const requests = [
      [{ type: 'wallet', address: WALLET }, '••••6045'],
      [{ type: 'iban', iban: NL_IBAN, bic: 'ABNANL2A', holder: 'A. Byron' }, '••••4300'],
      [{ type: 'account', country: 'US', routing_number: '021000021', account_number: '123456789' }, '••••6789'],
      [{ type: 'account', country: 'AU', routing_number: '062-000', account_number: '1234' }, '••••34'],
    ] as const;
    const added: Json[] = [];
    for (const [body, redacted] of requests) {
      const { status, json } = await addInstrument(id, body);
      expect([status, json.redacted]).toEqual([201, redacted]);
      added.push(json);
    }
    expect((await addInstrument(id, { type: 'iban', iban: 'NL91ABNA0417164300' })).json).toEqual(added[1]);
    expect((await addInstrument(id, { type: 'wallet', address: WALLET.toLowerCase() })).json).toEqual(added[0]);
    const shown = await market.get(`/parties/${id}`);
    expect(shown.json.payout_instruments).toEqual(added);
    expect(JSON.stringify(shown.json)).not.toMatch(/0417|26964|12345|021000/);
  });

  test.each<[string, Record<string, unknown>, string[]]>([
    ['a wallet with a wrong checksum', { type: 'wallet', address: WALLET.replace('d8dA', 'D8dA') }, ['/address']],
    ['the zero address', { type: 'wallet', address: `0x${'0'.repeat(40)}` }, ['/address']],
    [
      'an IBAN with a wrong checksum and no BIC',
      { type: 'iban', iban: 'NL92ABNA0417164300', bic: 'NOPE' },
      ['/iban', '/bic'],
    ],
    ['an IBAN of the wrong length', { type: 'iban', iban: 'NL91ABNA041716430' }, ['/iban']],
    ['an IBAN of no country', { type: 'iban', iban: 'QQ91ABNA0417164300', holder: '\0' }, ['/iban', '/holder']],
    ['a huge IBAN', { type: 'iban', iban: '1'.repeat(100_000) }, ['/iban']],
    [
      'a routing number with a wrong checksum',
      { type: 'account', country: 'US', routing_number: '021000022', account_number: '123456789' },
      ['/routing_number'],
    ],
    [
      'no routing number where one is needed',
      { type: 'account', country: 'GB', account_number: '12345678' },
      ['/routing_number'],
    ],
    [
      'an account that is nothing',
      { type: 'account', country: 'XX', routing_number: '!', account_number: '\0' },
      ['/country', '/account_number', '/routing_number'],
    ],
    ['an unknown type', { type: 'cash' }, ['/type']],
    ['a field of another type', { type: 'wallet', address: WALLET, iban: NL_IBAN }, ['/iban']],
  ])('400: %s, and nothing is written', async (_what, body, faults) => {
    const { id } = await createParty();
    const { status, json } = await addInstrument(id, body);
    expect([status, pointers(json).sort()]).toEqual([400, [...faults].sort()]);
    expect((await market.get(`/parties/${id}`)).json.payout_instruments).toEqual([]);
  });

  test('409: more than twenty, even at once', async () => {
    const { id } = await createParty();
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, index) =>
        addInstrument(id, { type: 'wallet', address: `0x${(index + 1).toString(16).padStart(40, '0')}` }),
      ),
    );
    expect(answers.filter((answer) => answer.status === 409)).toHaveLength(4);
    expect((await market.get(`/parties/${id}`)).json.payout_instruments).toHaveLength(20);
  });

  test('204, then 404: removed; another party’s is not found', async () => {
    const { id } = await createParty();
    const stranger = await createParty();
    const instrument = (await addInstrument(id, { type: 'wallet', address: WALLET })).json;
    const remove = (party: string) => market.call('DELETE', `/parties/${party}/payout-instruments/${instrument.id}`);
    expect((await remove(stranger.id)).status).toBe(404);
    expect((await remove(id)).status).toBe(204);
    expect((await remove(id)).status).toBe(404);
    expect((await market.get(`/parties/${id}`)).json.payout_instruments).toEqual([]);
  });
});

describe('GET /api/v1/parties/{id}/export', () => {
  test('200: the party, its instruments in full, its payments, the accounts of its wallets', async () => {
    const external_id = crypto.randomUUID();
    const payment = await market.createPayment({
      member: { external_id, name: 'Ada' },
      client_ip: '203.0.113.9',
      metadata: 'm',
    });
    await market.createPayment({ member: { external_id: crypto.randomUUID() } });
    await addInstrument(payment.member_id, { type: 'wallet', address: WALLET });
    await addInstrument(payment.member_id, { type: 'iban', iban: NL_IBAN, holder: 'Ada B' });
    await market.sql`
      insert into ledger_account ${market.sql({
        nodeId: market.nodeId,
        id: crypto.randomUUID(),
        type: 'payee',
        owner: WALLET.toLowerCase(),
        currencyId: market.currencies.USDC,
      })}`;
    const { status, json } = await market.get(`/parties/${payment.member_id}/export`);
    expect(status).toBe(200);
    expect(json.party).toMatchObject({ id: payment.member_id, name: 'Ada', external_ids: { payments: external_id } });
    expect(json.payout_instruments).toMatchObject([
      { type: 'wallet', address: WALLET.toLowerCase() },
      { type: 'iban', iban: 'NL91ABNA0417164300', bic: null, holder: 'Ada B' },
    ]);
    expect(json.payments).toHaveLength(1);
    const { id } = payment;
    expect(json.payments[0]).toMatchObject({ id, price_units: '25500000', client_ip: '203.0.113.9', metadata: 'm' });
    expect(json.accounts).toMatchObject([{ type: 'payee', owner: WALLET.toLowerCase(), balance_units: '0' }]);
  });
});

describe('DELETE /api/v1/parties/{id}', () => {
  test('204, again and again: nothing personal is left, payments and their logs stay', async () => {
    const external_id = crypto.randomUUID();
    const member = { external_id, name: 'Ada', surname: 'Byron', email: 'ada@example.com' };
    const payment = await market.createPayment({ member });
    await market.untilStatus(payment.id, 'awaiting_deposit');
    const { member_id } = payment;
    await addInstrument(member_id, { type: 'wallet', address: WALLET });
    const read = async () => (await market.get(`/payments/${payment.id}`)).json;
    const before = await read();
    const logs = (await market.get(`/payments/${payment.id}/logs`)).json;

    expect((await erase(member_id)).status).toBe(204);
    const erased = (await market.get(`/parties/${member_id}`)).json;
    expect(erased).toMatchObject({ name: null, email: null, external_ids: {}, payout_instruments: [] });
    expect(erased.erased_at).not.toBeNull();
    expect((await erase(member_id)).status).toBe(204);
    expect((await market.get(`/parties/${member_id}`)).json).toEqual(erased);

    const nobody = { id: member_id, external_id: null, name: null, surname: null, email: null };
    expect(await read()).toEqual({ ...before, member: nobody });
    expect((await market.get(`/payments/${payment.id}/logs`)).json).toEqual(logs);
    const listed = (await market.get(`/payments?node_id=${market.nodeId}&per_page=100`)).json.items;
    expect(listed.find((item: Json) => item.id === payment.id).member).toEqual(nobody);
    expect((await market.get(`/parties/${member_id}/export`)).json).toMatchObject({
      party: { id: member_id, name: null },
      payout_instruments: [],
      payments: [{ id: payment.id }],
    });

    const anew = await market.createPayment({ member });
    expect(anew.member_id).not.toBe(member_id);
  });

  test('409 afterwards: it takes no change, no instrument and no new payment', async () => {
    const { id } = await createParty({ name: 'Ada' });
    await erase(id);
    expect((await patch(id, { name: 'Ada' })).json.code).toBe('illegal_transition');
    expect((await addInstrument(id, { type: 'wallet', address: WALLET })).status).toBe(409);
    const { status, json } = await market.post('/payments', market.paymentBody({ member_id: id }));
    expect([status, pointers(json)]).toEqual([400, ['/member_id']]);
  });
});

describe('a payment’s member', () => {
  test('is a party: what is known of it is known to both', async () => {
    const external_id = crypto.randomUUID();
    const party = await createParty({ name: 'Ada', phone: '+4930123456', external_ids: { payments: external_id } });
    const payment = await market.createPayment({ member: { external_id, surname: 'Byron' } });
    expect(payment.member).toEqual({ id: party.id, external_id, name: 'Ada', surname: 'Byron', email: null });
    expect((await market.get(`/parties/${party.id}`)).json).toMatchObject({ surname: 'Byron', phone: '+4930123456' });
    const unnamed = await createParty({ name: 'Charles' });
    const second = await market.createPayment({ member_id: unnamed.id });
    expect(second.member).toMatchObject({ id: unnamed.id, external_id: null, name: 'Charles' });
  });

  test('400: NUL in its external id; a surname for a firm; a party of another node. No payment, no party', async () => {
    const external_id = crypto.randomUUID();
    await createParty({ kind: 'firm', name: 'Byron Ltd', external_ids: { payments: external_id } });
    const foreign = (await other.post('/parties', { node_id: other.nodeId, kind: 'person' })).json.id;
    const before = [await market.countPayments(), await countParties()];
    for (const [fields, faults] of [
      [{ member: { external_id: 'a\0' } }, ['/member/external_id']],
      [{ member: { external_id, surname: 'Byron' } }, ['/member/surname']],
      [{ member_id: foreign }, ['/member_id']],
    ] as const) {
      const { status, json } = await market.post('/payments', market.paymentBody(fields));
      expect([status, pointers(json)]).toEqual([400, faults]);
    }
    expect([await market.countPayments(), await countParties()]).toEqual(before);
  });
});

describe('somebody else’s party', () => {
  test('404 on every route, and it is not changed', async () => {
    const party = await createParty({ name: 'Ada' });
    const instrument = (await addInstrument(party.id, { type: 'wallet', address: WALLET })).json;
    const before = (await market.get(`/parties/${party.id}`)).json;
    const path = `/parties/${party.id}`;
    for (const [method, url, body] of [
      ['GET', path, undefined],
      ['PATCH', path, { name: 'Eve' }],
      ['DELETE', path, undefined],
      ['GET', `${path}/export`, undefined],
      ['POST', `${path}/payout-instruments`, { type: 'wallet', address: market.payee }],
      ['DELETE', `${path}/payout-instruments/${instrument.id}`, undefined],
    ] as const) {
      const { status, json } = await market.call(method, url, { token: other.token, body });
      expect([method, url, status, json.code]).toEqual([method, url, 404, 'not_found']);
    }
    expect((await market.get(path)).json).toEqual(before);
  });
});

describe('what is logged', () => {
  test('when a sealed value cannot be opened: 500 without a word of it, in the answer or the log', async () => {
    const party = await createParty({ name: 'Adaline', email: 'adaline@example.com' });
    const lines: string[] = [];
    const sink = new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    });
    const secret = '33'.repeat(32);
    const broken = createApp({
      sql: market.sql,
      tokens: new Tokens(inject('stack').secret),
      vault: new Vault(secret),
      log: pino({ level: 'trace' }, sink),
      publicUrl: 'http://127.0.0.1',
    });
    const headers = { Authorization: `Bearer ${market.token}` };
    const response = await broken.request(`/api/v1/parties/${party.id}`, { headers });
    const answer = await response.text();
    expect(response.status).toBe(500);
    expect(lines.join('')).toContain('under a key that this process was not given');
    expect(lines.join('') + answer).not.toMatch(/adaline|3333/i);
  });
});
