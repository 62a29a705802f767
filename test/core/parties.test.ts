import { createHash } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect, type Sql } from '../../api/core/database/db.ts';
import { postDealEvents } from '../../api/core/ledger.ts';
import type { Instrument } from '../../api/core/people/instruments.ts';
import { findMembers, openMember, upsertMember } from '../../api/core/people/members.ts';
import {
  addPayoutInstrument,
  createParty,
  eraseParty,
  exportParty,
  getParty,
  listParties,
  type Party,
  updateParty,
} from '../../api/core/people/parties.ts';
import type { PersonalPatch } from '../../api/core/people/personal.ts';
import { createChain, createCurrency, createNetwork, createNode } from '../../api/core/platform/platform.ts';
import { reseal } from '../../api/core/reseal.ts';
import { PREFIX_BYTES, Vault } from '../../api/core/vault.ts';

const OLD = '11'.repeat(32);
const NEW = '22'.repeat(32);
const WALLET = '0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045';

const ada: PersonalPatch = {
  name: 'Adaline',
  surname: 'Byronette',
  email: 'adaline@example.com',
  phone: '+442079460123',
  address: { lines: ['12 Saint Jamesish Square'], city: 'Londontown', postcode: 'SW1Y 4JH', country: 'GB' },
  dateOfBirth: '1915-12-10',
  taxNumber: 'TAX-99123',
};
const instruments: Instrument[] = [
  { type: 'wallet', address: WALLET },
  { type: 'iban', iban: 'NL91 ABNA 0417 1643 00', bic: 'ABNANL2A', holder: 'Adaline Byronette' },
  { type: 'account', country: 'US', routingNumber: '021000021', accountNumber: '123456789', holder: null },
];

let sql: Sql;
let nodeId: string;
const vault = new Vault(OLD);
beforeAll(async () => {
  sql = connect(inject('stack').databaseUrl, { maxConnections: 8 });
  nodeId = await newNode();
});
afterAll(() => sql.end());

async function newNode(): Promise<string> {
  return (await createNode(sql, { name: crypto.randomUUID() })).id;
}

/** A party of which everything is known. */
async function fullParty(node = nodeId, externalId: string = crypto.randomUUID()): Promise<Party> {
  const { id } = await createParty(sql, vault, {
    nodeId: node,
    kind: 'person',
    externalIds: { payments: externalId },
    data: ada,
  });
  const key = { nodeId: node, partyId: id };
  for (const instrument of instruments) await addPayoutInstrument(sql, vault, key, instrument);
  return await getParty(sql, vault, key);
}

const keyOf = ({ nodeId: node, id }: Party) => ({ nodeId: node, partyId: id });

/** What the database holds in the rows of a party: every column as text, but sealed ones as the bytes that they are. */
async function atRest(party: Party): Promise<string> {
  // Ids, times and a bytea's hex are digits enough to look like anything.
  const random = ['node_id', 'id', 'party_id', 'created_at', 'updated_at', 'erased_at', 'sealed'];
  const rows = [
    ...(await sql`select (to_jsonb(p) - ${random}::text[])::text as text, sealed from party p where id = ${party.id}`),
    ...(await sql`
      select (to_jsonb(i) - ${random}::text[])::text as text, sealed from payout_instrument i
      where party_id = ${party.id}`),
  ];
  expect(rows).toHaveLength(4);
  return rows.map((row) => `${row.text} ${row.sealed.toString('latin1')}`).join('\n');
}

describe('at rest', () => {
  test('no row of a party shows anything personal, nor more of an instrument than its last characters', async () => {
    const party = await fullParty();
    expect(party.data).toMatchObject({ name: 'Adaline', phone: '+442079460123', address: { country: 'GB' } });
    expect(party.instruments.map((row) => row.redacted)).toEqual(['••••6045', '••••4300', '••••6789']);
    const stored = await atRest(party);
    expect(stored).toContain('••••4300');
    expect(stored).not.toMatch(/adaline|byron|example\.com|207946|jamesish|londontown|SW1Y|1915|99123/i);
    expect(stored).not.toMatch(/0xd8dA6|26964|96045|ABNA|0417|NL91|021000021|12345|23456/i);
  });

  test('the same data of two parties rests as different bytes', async () => {
    const [one, other] = [await fullParty(), await fullParty()];
    const sealed = await sql<{ sealed: Buffer }[]>`select sealed from party where id in ${sql([one.id, other.id])}`;
    const digests = sealed.map((row) => createHash('sha256').update(row.sealed).digest('hex'));
    expect(new Set(digests).size).toBe(2);
  });

  test('what is copied onto another row does not open there', async () => {
    const [victim, thief] = [await fullParty(), await fullParty()];
    await sql`update party set sealed = (select sealed from party where id = ${victim.id}) where id = ${thief.id}`;
    await expect(getParty(sql, vault, keyOf(thief))).rejects.toThrow('not of this row');
    expect((await getParty(sql, vault, keyOf(victim))).data.name).toBe('Adaline');

    const other = await fullParty();
    await sql`
      update payout_instrument t set sealed = v.sealed from payout_instrument v
      where v.party_id = ${victim.id} and t.party_id = ${other.id} and v.type = 'iban' and t.type = 'iban'`;
    await expect(exportParty(sql, vault, keyOf(other))).rejects.toThrow('not of this row');
  });
});

describe('reseal', () => {
  async function staleOf(node: string): Promise<number> {
    const { prefix } = new Vault(NEW);
    const [row] = await sql<{ count: number }[]>`
      select count(*)::int as count from (
        select sealed from party where node_id = ${node} union all
        select sealed from payout_instrument where node_id = ${node}
      ) s where sealed is not null and substring(sealed from 1 for ${PREFIX_BYTES}) <> ${prefix}`;
    return row?.count ?? 0;
  }

  test('an older secret opens; reseal moves all to the current one, in batches, and again changes nothing', async () => {
    const node = await newNode();
    const parties = [];
    for (let index = 0; index < 5; index += 1) parties.push(await fullParty(node));
    const rotated = new Vault(NEW, [OLD, inject('stack').secret]);
    expect((await getParty(sql, rotated, keyOf(parties[0]!))).data.name).toBe('Adaline');
    expect(await staleOf(node)).toBe(20);
    // Two at once, as an impatient operator would.
    const counts = await Promise.all([
      reseal(sql, rotated, { batchSize: 2, nodeId: node }),
      reseal(sql, rotated, { batchSize: 3, nodeId: node }),
    ]);
    expect(counts[0]! + counts[1]!).toBe(20);
    expect(await staleOf(node)).toBe(0);
    expect(await reseal(sql, rotated, { nodeId: node })).toBe(0);
    const withoutOld = new Vault(NEW);
    for (const party of parties) {
      const held = await exportParty(sql, withoutOld, keyOf(party));
      expect(held.party).toEqual(party);
      expect(held.instruments.map((row) => row.instrument.type)).toEqual(['wallet', 'iban', 'account']);
      await expect(getParty(sql, vault, keyOf(party))).rejects.toThrow('was not given');
    }
  });

  test('stops at a value under a secret it was not given, and loses nothing', async () => {
    const node = await newNode();
    const party = await fullParty(node);
    await expect(reseal(sql, new Vault(NEW), { nodeId: node })).rejects.toThrow('was not given');
    expect(await getParty(sql, vault, keyOf(party))).toEqual(party);
  });
});

describe('a member inside a request', () => {
  const member = (fields: object) => ({ externalId: 'm-1', name: null, surname: null, email: null, ...fields });
  const upsert = (node: string, fields: object) => sql.begin((tx) => upsertMember(tx, vault, node, member(fields)));
  async function shown(node: string, id: string) {
    const [found] = await findMembers(sql, [node], [id]);
    return found && openMember(vault, found);
  }

  test('is found again by its external id, and what is given replaces what was known', async () => {
    const node = await newNode();
    const id = await upsert(node, { name: 'Ada', email: 'ada@example.com' });
    expect(await upsert(node, { surname: 'Byron', name: 'Augusta' })).toBe(id);
    const email = 'ada@example.com';
    expect(await shown(node, id)).toEqual({ id, externalId: 'm-1', name: 'Augusta', surname: 'Byron', email });
  });

  test('that brings nothing new rewrites no row', async () => {
    const node = await newNode();
    const id = await upsert(node, { name: 'Ada' });
    const version = () => sql`select xmin::text from party where id = ${id}`;
    const before = await version();
    expect(await upsert(node, { name: 'Ada' })).toBe(id);
    expect(await upsert(node, {})).toBe(id);
    expect(await version()).toEqual(before);
  });

  test('of twenty racing requests makes one party, and each request gets its id', async () => {
    const node = await newNode();
    const ids = await Promise.all(Array.from({ length: 20 }, (_, index) => upsert(node, { name: `Ada ${index}` })));
    expect(new Set(ids).size).toBe(1);
    expect((await listParties(sql, vault, { nodeId: node }, { page: 1, perPage: 10 })).total).toBe(1);
  });

  test('racing with an erasure leaves a whole party: the erased one, or a new one with what was given', async () => {
    for (let round = 0; round < 10; round += 1) {
      const node = await newNode();
      const id = await upsert(node, { name: 'Ada' });
      const [again] = await Promise.all([
        upsert(node, { name: 'Augusta', email: 'ada@example.com' }),
        eraseParty(sql, { nodeId: node, partyId: id }),
      ]);
      const member = await shown(node, again);
      if (again === id) expect(member).toEqual({ id, externalId: null, name: null, surname: null, email: null });
      else expect(member).toMatchObject({ externalId: 'm-1', name: 'Augusta' });
    }
  });
});

describe('external ids', () => {
  test('of twenty explicit creations with one external id, one wins; the others leave nothing', async () => {
    const node = await newNode();
    const externalIds = { orders: '17', payments: 'm-1' };
    const creations = await Promise.allSettled(
      Array.from({ length: 20 }, () => createParty(sql, vault, { nodeId: node, kind: 'firm', externalIds, data: {} })),
    );
    const lost = creations.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(lost).toHaveLength(19);
    for (const error of lost) {
      expect(error).toMatchObject({ code: 'conflict', faults: [{ pointer: '/external_ids/orders' }] });
    }
    const [count] = await sql`select count(*)::int as parties from party where node_id = ${node}`;
    expect(count?.parties).toBe(1);
  });

  test('swapped between two parties at once: each change is whole or refused', async () => {
    const node = await newNode();
    const [one, other] = [await fullParty(node, 'one'), await fullParty(node, 'other')];
    const results = await Promise.allSettled([
      updateParty(sql, vault, keyOf(one), { externalIds: { payments: 'other' }, data: {} }),
      updateParty(sql, vault, keyOf(other), { externalIds: { payments: 'one' }, data: {} }),
    ]);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'conflict' });
    }
    const names = await sql`select external_id from party_external_id where node_id = ${node} order by external_id`;
    expect(names.map((row) => row.externalId)).toEqual(['one', 'other']);
  });
});

describe('erasure', () => {
  test('leaves the ledger as it was to the last unit, and removes everything else that was held', async () => {
    const node = await newNode();
    const party = await fullParty(node);
    const currencyId = await anyCurrency();
    const owners = { payer: WALLET.toLowerCase(), payee: 'payee', feeRecipient: 'fees' };
    await sql.begin((tx) =>
      postDealEvents(
        tx,
        { nodeId: node, paymentId: uuidv7(), legId: uuidv7(), currencyId, ...owners },
        { amountUnits: 1_000n, feeUnits: 10n },
        [{ source: 'deposit', name: 'Deposited', releasedUnits: 0n, refundedUnits: 0n, effectiveAt: new Date(1_000) }],
      ),
    );
    const ledger = () =>
      sql`
        select a.type, a.owner, p.amount_units from ledger_account a
        join ledger_posting p on p.node_id = a.node_id and p.account_id = a.id
        where a.node_id = ${node} order by a.type`;
    const before = await ledger();
    const accounts = (await exportParty(sql, vault, keyOf(party))).accounts;
    expect(accounts).toMatchObject([{ type: 'payer', owner: WALLET.toLowerCase(), balanceUnits: -1_000n }]);

    await eraseParty(sql, keyOf(party));
    const erased = await getParty(sql, vault, keyOf(party));
    expect(erased).toMatchObject({ externalIds: {}, instruments: [], data: { name: null, address: null } });
    expect(erased.erasedAt).toBeInstanceOf(Date);
    const leftovers = await sql`
      select 1 from party_external_id where party_id = ${party.id} union all
      select 1 from payout_instrument where party_id = ${party.id} union all
      select 1 from party where id = ${party.id} and sealed is not null`;
    expect(leftovers).toHaveLength(0);

    await eraseParty(sql, keyOf(party));
    expect(await getParty(sql, vault, keyOf(party))).toEqual(erased);
    expect(await ledger()).toEqual(before);
    expect(before.reduce((sum, row) => sum + row.amountUnits, 0n)).toBe(0n);
  });

  test('racing with changes and new instruments, nothing comes back after it', async () => {
    for (let round = 0; round < 5; round += 1) {
      const party = await fullParty(await newNode());
      await Promise.allSettled([
        updateParty(sql, vault, keyOf(party), { data: { name: 'Late' } }),
        eraseParty(sql, keyOf(party)),
        addPayoutInstrument(sql, vault, keyOf(party), {
          type: 'iban',
          iban: 'DE89370400440532013000',
          bic: null,
          holder: null,
        }),
        updateParty(sql, vault, keyOf(party), { data: {}, externalIds: { orders: '1' } }),
      ]);
      const erased = await getParty(sql, vault, keyOf(party));
      expect(erased).toMatchObject({ externalIds: {}, instruments: [], data: { name: null } });
    }
  });
});

async function anyCurrency(): Promise<string> {
  const chain = await createChain(sql, { name: 'nowhere', eip155Id: 424242 });
  const network = await createNetwork(sql, {
    chainId: chain.id,
    name: 'parties only',
    rpcUrls: ['http://127.0.0.1:9'],
    diamondAddress: `0x${'11'.repeat(20)}`,
    operatorAddress: `0x${'22'.repeat(20)}`,
    confirmations: 1,
  });
  const tokenAddress = `0x${'44'.repeat(20)}`;
  const token = { networkId: network.id, code: 'USDC', name: 'USDC', decimals: 6, tokenAddress };
  return (await createCurrency(sql, token)).id;
}
