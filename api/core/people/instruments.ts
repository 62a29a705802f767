// Owns payout instruments: where a party can be paid. Each is checked by its own standard, sealed at rest, and shown only by
// its last characters.
import { isValidBIC, isValidIBAN } from 'ibantools';
import { v7 as uuidv7 } from 'uuid';
import { isAddress, zeroAddress } from 'viem';
import type { Sql, Transaction } from '../database/db.ts';
import { CoreError, FieldFaults } from '../errors.ts';
import type { Place, Vault } from '../vault.ts';
import { isCountry, type PartyKey } from './personal.ts';

/** Where money can be sent. `routingNumber` names the bank: ABA number, sort code, BSB and the like. */
export type Instrument =
  | { type: 'wallet'; address: string }
  | { type: 'iban'; iban: string; bic: string | null; holder: string | null }
  | { type: 'account'; country: string; routingNumber: string | null; accountNumber: string; holder: string | null };

/** An instrument as it is displayed; `redacted` ends in its last characters. */
export type InstrumentRow = {
  nodeId: string;
  partyId: string;
  id: string;
  type: Instrument['type'];
  redacted: string;
  createdAt: Date;
};

/** An instrument with all that is known of it. */
export type OpenInstrument = InstrumentRow & { instrument: Instrument };

const MAX_INSTRUMENTS = 20;

/**
 * Adds a payout instrument to a party whose row the caller holds locked; the same one again answers with what exists.
 * @throws invalid_request with every wrong field · conflict beyond 20 instruments.
 */
export async function addInstrument(
  tx: Transaction,
  vault: Vault,
  { nodeId, partyId }: PartyKey,
  given: Instrument,
): Promise<InstrumentRow> {
  const instrument = checkInstrument(given);
  const standing = await openInstruments(tx, vault, { nodeId, partyId });
  const known = standing.find((row) => numberOf(row.instrument) === numberOf(instrument));
  if (known) return known;
  if (standing.length >= MAX_INSTRUMENTS) {
    throw new CoreError('conflict', `A party has at most ${MAX_INSTRUMENTS} payout instruments.`);
  }
  const id = uuidv7();
  const sealed = vault.seal(instrumentPlace({ nodeId, partyId, id }), instrument);
  const [row] = await tx<InstrumentRow[]>`
    insert into payout_instrument ${tx({ nodeId, partyId, id, type: instrument.type, redacted: redact(instrument), sealed })}
    returning node_id, party_id, id, type, redacted, created_at`;
  if (!row) throw new Error('The payout instrument was not stored.');
  return row;
}

/** Takes a payout instrument away. @throws not_found */
export async function removeInstrument(
  sql: Sql | Transaction,
  { nodeId, partyId }: PartyKey,
  id: string,
): Promise<void> {
  const removed = await sql`
    delete from payout_instrument where node_id = ${nodeId} and party_id = ${partyId} and id = ${id} returning id`;
  if (removed.length === 0) throw new CoreError('not_found', 'The payout instrument does not exist.');
}

/** The instruments of some parties as they are displayed, oldest first; opens none. */
export async function listInstruments(
  sql: Sql | Transaction,
  nodeId: string,
  partyIds: readonly string[],
): Promise<InstrumentRow[]> {
  if (partyIds.length === 0) return [];
  return await sql<InstrumentRow[]>`
    select node_id, party_id, id, type, redacted, created_at from payout_instrument
    where node_id = ${nodeId} and party_id in ${sql([...partyIds])} order by id`;
}

/** A party's instruments in full, oldest first: for paying, and for telling the party itself. */
export async function openInstruments(
  sql: Sql | Transaction,
  vault: Vault,
  { nodeId, partyId }: PartyKey,
): Promise<OpenInstrument[]> {
  const rows = await sql<(InstrumentRow & { sealed: Buffer })[]>`
    select * from payout_instrument where node_id = ${nodeId} and party_id = ${partyId} order by id`;
  return rows.map(({ sealed, ...row }) => ({ ...row, instrument: vault.open(instrumentPlace(row), sealed) }));
}

/** What a sealed instrument is bound to. */
export function instrumentPlace({ nodeId, partyId, id }: PartyKey & { id: string }): Place {
  return ['payout_instrument', nodeId, partyId, id];
}

function numberOf(instrument: Instrument): string {
  if (instrument.type === 'wallet') return instrument.address;
  if (instrument.type === 'iban') return instrument.iban;
  return JSON.stringify([instrument.country, instrument.routingNumber, instrument.accountNumber]);
}

// Of a short number half stays hidden.
function redact(instrument: Instrument): string {
  const shown =
    instrument.type === 'wallet'
      ? instrument.address
      : instrument.type === 'iban'
        ? instrument.iban
        : instrument.accountNumber;
  return `••••${shown.slice(-Math.min(4, Math.floor(shown.length / 2)))}`;
}

/** The instrument in its one spelling. @throws invalid_request with every wrong field. */
function checkInstrument(given: Instrument): Instrument {
  const faults = new FieldFaults();
  const instrument = normal(given);
  if (given.type === 'wallet') checkWallet(given, faults);
  if (instrument.type === 'iban') checkIban(instrument, faults);
  if (instrument.type === 'account') checkAccount(instrument, faults);
  if (instrument.type !== 'wallet' && instrument.holder !== null) {
    const { holder } = instrument;
    if (holder === '' || holder.length > 140 || holder.includes('\0')) {
      faults.add('/holder', 'must be 1 to 140 characters without NUL');
    }
  }
  faults.throwIfAny();
  return instrument;
}

function normal(given: Instrument): Instrument {
  if (given.type === 'wallet') return { type: 'wallet', address: given.address.toLowerCase() };
  const holder = given.holder === null ? null : given.holder.trim();
  if (given.type === 'iban') {
    const bic = given.bic === null ? null : compact(given.bic);
    return { type: 'iban', iban: compact(given.iban), bic, holder };
  }
  return {
    type: 'account',
    country: given.country,
    routingNumber: given.routingNumber === null ? null : compact(given.routingNumber),
    accountNumber: compact(given.accountNumber),
    holder,
  };
}

// Numbers are written in groups; spaces and hyphens mean nothing in them.
function compact(text: string): string {
  return text.replace(/[\s-]/g, '').toUpperCase();
}

// The checksum is in the letter case, so it is the given spelling that counts.
function checkWallet({ address }: { address: string }, faults: FieldFaults): void {
  if (!isAddress(address)) faults.add('/address', 'must be an EVM address with a valid checksum');
  else if (address === zeroAddress) faults.add('/address', 'must not be the zero address');
}

function checkIban({ iban, bic }: { iban: string; bic: string | null }, faults: FieldFaults): void {
  if (!isValidIBAN(iban)) faults.add('/iban', 'must be an IBAN with a valid checksum');
  if (bic === null) return;
  if (!isValidBIC(bic)) faults.add('/bic', 'must be a BIC of 8 or 11 characters');
}

// Where a country's form of naming a bank is fixed; elsewhere up to 12 letters and digits.
const ROUTING: Record<string, { pattern: RegExp; message: string }> = {
  US: { pattern: /^\d{9}$/, message: 'must be an ABA routing number: 9 digits with a valid checksum' },
  GB: { pattern: /^\d{6}$/, message: 'must be a sort code of 6 digits' },
  AU: { pattern: /^\d{6}$/, message: 'must be a BSB of 6 digits' },
};
const ANY_ROUTING = { pattern: /^[A-Z0-9]{3,12}$/, message: 'must be 3 to 12 letters and digits' };

function checkAccount(account: Extract<Instrument, { type: 'account' }>, faults: FieldFaults): void {
  const { country, routingNumber, accountNumber } = account;
  if (!isCountry(country)) faults.add('/country', 'must be an ISO 3166-1 alpha-2 code like US');
  if (!/^[A-Z0-9]{4,34}$/.test(accountNumber)) faults.add('/account_number', 'must be 4 to 34 letters and digits');
  const form = Object.hasOwn(ROUTING, country) ? ROUTING[country] : undefined;
  const { pattern, message } = form ?? ANY_ROUTING;
  if (routingNumber === null) {
    if (form) faults.add('/routing_number', message);
  } else if (!pattern.test(routingNumber) || (country === 'US' && !hasAbaChecksum(routingNumber))) {
    faults.add('/routing_number', message);
  }
}

// ABA's checksum: digits weighted 3, 7, 1 add up to a multiple of ten; all zeros would, too.
function hasAbaChecksum(digits: string): boolean {
  const weights = [3, 7, 1];
  const sum = [...digits].reduce((total, digit, index) => total + Number(digit) * (weights[index % 3] ?? 0), 0);
  return sum > 0 && sum % 10 === 0;
}
