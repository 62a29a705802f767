// Owns parties: persons and firms of a node, whatever a surface calls them. Personal data is sealed at rest and leaves only
// through the verbs here; a party's roles are a deal's business, not its own.
import { v7 as uuidv7 } from 'uuid';
import type { Address } from 'viem';
import { type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import { type AccountRow, listAccounts } from '../ledger.ts';
import { allotNumber, numbersOf } from '../platform/numbers.ts';
import type { PaymentRow } from '../schema.ts';
import type { Vault } from '../vault.ts';
import {
  addInstrument,
  type Instrument,
  type InstrumentRow,
  listInstruments,
  type OpenInstrument,
  openInstruments,
  removeInstrument,
} from './instruments.ts';
import {
  checkPersonal,
  mergePersonal,
  openPersonal,
  type PartyKey,
  type PartyKind,
  type PersonalData,
  type PersonalPatch,
  sealPersonal,
  UNKNOWN,
} from './personal.ts';

/** How well somebody made sure of who a party is; core believes the integration. */
export type VerificationLevel = 'none' | 'basic' | 'full';

/** Where an external id is used; unique per node and surface. */
export type Surface = 'payments' | 'milestones' | 'trades' | 'orders' | 'items';

/** A party as it is stored. */
export type PartyRow = {
  nodeId: string;
  id: string;
  kind: PartyKind;
  verificationLevel: VerificationLevel;
  sealed: Buffer | null;
  createdAt: Date;
  updatedAt: Date;
  erasedAt: Date | null;
};

/** A party with its personal data open and its payout instruments redacted. */
export type Party = Omit<PartyRow, 'sealed'> & {
  data: PersonalData;
  externalIds: Partial<Record<Surface, string>>;
  /** Its 32-bit id as a seller; null: it has never had an external id on the orders surface. */
  sellerNumber: number | null;
  instruments: InstrumentRow[];
};

/** What a request says of a party; a change is a merge patch. */
export type PartyPatch = {
  kind?: PartyKind | undefined;
  verificationLevel?: VerificationLevel | undefined;
  externalIds?: ExternalIdPatch | undefined;
  data: PersonalPatch;
};

type ExternalIdPatch = { [Name in Surface]?: string | null | undefined };

/** Adds a party to a node. @throws invalid_request with every wrong field · conflict when an external id is taken. */
export async function createParty(
  sql: Sql | Transaction,
  vault: Vault,
  {
    nodeId,
    kind,
    verificationLevel = 'none',
    externalIds = {},
    data: given,
  }: PartyPatch & { nodeId: string; kind: PartyKind },
): Promise<Party> {
  const key = { nodeId, partyId: uuidv7() };
  const data = mergePersonal(UNKNOWN, given);
  check(kind, data, externalIds);
  return await transact(sql, async (tx) => {
    const sealed = sealPersonal(vault, key, data);
    await tx`insert into party ${tx({ nodeId, id: key.partyId, kind, verificationLevel, sealed })}`;
    await nameParty(tx, key, externalIds);
    return await getParty(tx, vault, key);
  });
}

function check(kind: PartyKind, data: PersonalData, externalIds: ExternalIdPatch): void {
  const faults = new FieldFaults();
  for (const [surface, externalId] of Object.entries(externalIds)) {
    if (typeof externalId !== 'string') continue;
    const pointer = `/external_ids/${surface}`;
    if (externalId === '' || externalId.length > 255) faults.add(pointer, 'must have 1 to 255 characters');
    if (externalId.includes('\0')) faults.add(pointer, 'must not contain a NUL character');
  }
  checkPersonal(kind, data, faults);
  faults.throwIfAny();
}

async function nameParty(tx: Transaction, { nodeId, partyId }: PartyKey, externalIds: ExternalIdPatch): Promise<void> {
  // In one order for everybody, so that two requests for the same names cannot lock each other out.
  const names = Object.entries(externalIds).sort(([one], [other]) => (one < other ? -1 : 1));
  for (const [surface, externalId] of names) {
    if (externalId === undefined) continue;
    await tx`
      delete from party_external_id where node_id = ${nodeId} and party_id = ${partyId} and surface = ${surface}`;
    if (externalId === null) continue;
    const taken = await tx`
      insert into party_external_id ${tx({ nodeId, surface, externalId, partyId })}
      on conflict (node_id, surface, external_id) do nothing returning party_id`;
    if (taken.length > 0) {
      if (surface === 'orders') await numberSeller(tx, { nodeId, partyId });
      continue;
    }
    throw new CoreError('conflict', 'The external id is taken in this node.', [
      { pointer: `/external_ids/${surface}`, message: 'is taken in this node' },
    ]);
  }
}

async function numberSeller(tx: Transaction, { nodeId, partyId }: PartyKey): Promise<void> {
  const seller = { nodeId, id: partyId };
  if ((await numbersOf(tx, 'seller', [seller])).size === 0) await allotNumber(tx, 'seller', seller);
}

/** One party. @throws not_found */
export async function getParty(sql: Sql | Transaction, vault: Vault, { nodeId, partyId }: PartyKey): Promise<Party> {
  const rows = await sql<PartyRow[]>`select * from party where node_id = ${nodeId} and id = ${partyId}`;
  const [party] = await openParties(sql, vault, nodeId, rows);
  if (!party) throw new CoreError('not_found', 'The party does not exist.');
  return party;
}

/** The node that a party belongs to, if there is such a party. */
export async function partyNode(sql: Sql | Transaction, partyId: string): Promise<string | undefined> {
  const [row] = await sql<{ nodeId: string }[]>`select node_id from party where id = ${partyId}`;
  return row?.nodeId;
}

/** Which parties of a node to list; an external id is one on a surface. */
export type PartyFilter = {
  nodeId: string;
  kind?: PartyKind | undefined;
  surface?: Surface | undefined;
  externalId?: string | undefined;
};

/** A page of a node's parties, newest first, and how many there are. @throws invalid_request for an external id without surface. */
export async function listParties(
  sql: Sql | Transaction,
  vault: Vault,
  { nodeId, kind, surface, externalId }: PartyFilter,
  { page, perPage }: { page: number; perPage: number },
): Promise<{ parties: Party[]; total: number }> {
  const faults = new FieldFaults();
  if (externalId !== undefined && surface === undefined) faults.add('/surface', 'is needed with external_id');
  if (externalId?.includes('\0')) faults.add('/external_id', 'must not contain a NUL character');
  faults.throwIfAny();
  const named =
    surface === undefined
      ? sql``
      : sql`and id in (
          select party_id from party_external_id where node_id = ${nodeId} and surface = ${surface}
          ${externalId === undefined ? sql`` : sql`and external_id = ${externalId}`})`;
  const where = sql`node_id = ${nodeId} ${kind ? sql`and kind = ${kind}` : sql``} ${named}`;
  const [rows, [count]] = await Promise.all([
    sql<PartyRow[]>`
      select * from party where ${where} order by id desc limit ${perPage} offset ${(page - 1) * perPage}`,
    sql<{ total: number }[]>`select count(*)::int as total from party where ${where}`,
  ]);
  return { parties: await openParties(sql, vault, nodeId, rows), total: count?.total ?? 0 };
}

async function openParties(sql: Sql | Transaction, vault: Vault, nodeId: string, rows: PartyRow[]): Promise<Party[]> {
  const ids = rows.map((row) => row.id);
  if (ids.length === 0) return [];
  const names = await sql<{ partyId: string; surface: Surface; externalId: string }[]>`
    select party_id, surface, external_id from party_external_id
    where node_id = ${nodeId} and party_id in ${sql(ids)} order by surface`;
  const instruments = await listInstruments(sql, nodeId, ids);
  const numbers = await numbersOf(sql, 'seller', rows);
  return rows.map(({ sealed, ...row }) => ({
    ...row,
    data: openPersonal(vault, { nodeId, partyId: row.id }, sealed),
    externalIds: Object.fromEntries(
      names.filter((name) => name.partyId === row.id).map(({ surface, externalId }) => [surface, externalId]),
    ),
    sellerNumber: numbers.get(row.id) ?? null,
    instruments: instruments.filter((instrument) => instrument.partyId === row.id),
  }));
}

/** A party's row, locked until the transaction ends. @throws not_found · illegal_transition when it was erased. */
async function lockParty(tx: Transaction, { nodeId, partyId }: PartyKey): Promise<PartyRow> {
  const [row] = await tx<PartyRow[]>`select * from party where node_id = ${nodeId} and id = ${partyId} for update`;
  if (!row) throw new CoreError('not_found', 'The party does not exist.');
  if (row.erasedAt) throw new CoreError('illegal_transition', 'The party was erased.');
  return row;
}

/**
 * Changes what the patch names.
 * @throws not_found · illegal_transition when it was erased · invalid_request with every field that is then wrong ·
 * conflict when an external id is taken.
 */
export async function updateParty(
  sql: Sql | Transaction,
  vault: Vault,
  key: PartyKey,
  patch: PartyPatch,
): Promise<Party> {
  return await transact(sql, async (tx) => {
    const row = await lockParty(tx, key);
    const { kind = row.kind, verificationLevel = row.verificationLevel, externalIds = {} } = patch;
    const data = mergePersonal(openPersonal(vault, key, row.sealed), patch.data);
    check(kind, data, externalIds);
    const changed = { kind, verificationLevel, sealed: sealPersonal(vault, key, data), updatedAt: new Date() };
    await tx`update party set ${tx(changed)} where node_id = ${key.nodeId} and id = ${key.partyId}`;
    await nameParty(tx, key, externalIds);
    return await getParty(tx, vault, key);
  });
}

/** Adds a payout instrument; see {@link addInstrument}. @throws not_found · illegal_transition when the party was erased. */
export async function addPayoutInstrument(
  sql: Sql | Transaction,
  vault: Vault,
  key: PartyKey,
  instrument: Instrument,
): Promise<InstrumentRow> {
  return await transact(sql, async (tx) => {
    await lockParty(tx, key);
    return await addInstrument(tx, vault, key, instrument);
  });
}

/** The addresses that parties of a node are paid at, each its oldest wallet, by their ids; who has none is left out. */
export async function payoutAddresses(
  sql: Sql | Transaction,
  vault: Vault,
  nodeId: string,
  partyIds: readonly string[],
): Promise<Map<string, Address>> {
  const addresses = new Map<string, Address>();
  for (const partyId of new Set(partyIds)) {
    for (const { instrument } of await openInstruments(sql, vault, { nodeId, partyId })) {
      if (instrument.type === 'wallet' && !addresses.has(partyId))
        addresses.set(partyId, instrument.address as Address);
    }
  }
  return addresses;
}

/** Takes a payout instrument away. @throws not_found */
export async function removePayoutInstrument(
  sql: Sql | Transaction,
  key: PartyKey,
  instrumentId: string,
): Promise<void> {
  await removeInstrument(sql, key, instrumentId);
}

/** Everything held on a party: itself, its instruments in full, payments it is a member of, accounts of its wallets. */
export type PartyExport = {
  party: Party;
  instruments: OpenInstrument[];
  payments: PaymentRow[];
  accounts: AccountRow[];
};

/** Everything held on a party, at one moment. @throws not_found */
export async function exportParty(sql: Sql | Transaction, vault: Vault, key: PartyKey): Promise<PartyExport> {
  const { nodeId, partyId } = key;
  const party = await getParty(sql, vault, key);
  const instruments = await openInstruments(sql, vault, key);
  const payments = await sql<PaymentRow[]>`
    select * from payment where node_id = ${nodeId} and member_id = ${partyId} order by id`;
  const accounts: AccountRow[] = [];
  for (const { instrument } of instruments) {
    if (instrument.type !== 'wallet') continue;
    accounts.push(...(await accountsOf(sql, { nodeId, owner: instrument.address })));
  }
  return { party, instruments, payments, accounts };
}

const ACCOUNTS_PER_PAGE = 100;

async function accountsOf(sql: Sql | Transaction, filter: { nodeId: string; owner: string }): Promise<AccountRow[]> {
  const accounts: AccountRow[] = [];
  for (let page = 1; ; page += 1) {
    const { rows, total } = await listAccounts(sql, filter, { page, perPage: ACCOUNTS_PER_PAGE });
    accounts.push(...rows);
    if (rows.length === 0 || accounts.length >= total) return accounts;
  }
}

/**
 * Erases a party: personal data, external ids and payout instruments are gone for good. The row stays for the payments that
 * refer to it; of those only the client's IP address is removed, ledger and logs are not touched. Doing it again changes nothing.
 * @throws not_found
 */
export async function eraseParty(sql: Sql | Transaction, { nodeId, partyId }: PartyKey): Promise<void> {
  await transact(sql, async (tx) => {
    const found = await tx`select 1 from party where node_id = ${nodeId} and id = ${partyId} for update`;
    if (found.length === 0) throw new CoreError('not_found', 'The party does not exist.');
    await tx`delete from party_external_id where node_id = ${nodeId} and party_id = ${partyId}`;
    await tx`delete from payout_instrument where node_id = ${nodeId} and party_id = ${partyId}`;
    await tx`
      update party set sealed = null, erased_at = now(), updated_at = now()
      where node_id = ${nodeId} and id = ${partyId} and erased_at is null`;
    await tx`
      update payment set client_ip = null where node_id = ${nodeId} and member_id = ${partyId} and client_ip is not null`;
  });
}
