// Owns what is known of a person or a firm: its shape, how a change to it is merged, and what is wrong with it. Stores
// nothing; parties.ts seals it.
import { countrySpecs } from 'ibantools';
import { z } from 'zod';
import type { FieldFaults } from '../errors.ts';
import type { Place, Vault } from '../vault.ts';

/** Names a party: its node and its id. */
export type PartyKey = { nodeId: string; partyId: string };

/** person: a human being · firm: a legal entity. */
export type PartyKind = 'person' | 'firm';

/** A postal address; `country` is ISO 3166-1 alpha-2 (or XK), uppercase. */
export type Address = { lines: string[]; city: string; postcode: string | null; country: string };

/** Personal data; null is what is not known. A firm's name is its registered one. */
export type PersonalData = {
  name: string | null;
  surname: string | null;
  email: string | null;
  /** E.164, like +4930123456. */
  phone: string | null;
  address: Address | null;
  /** YYYY-MM-DD; persons only. */
  dateOfBirth: string | null;
  /** In its register; firms only. */
  companyNumber: string | null;
  taxNumber: string | null;
};

/** A merge patch (RFC 7396): what is left out stays, null takes away, an address merges field by field. */
export type PersonalPatch = {
  [Field in Exclude<keyof PersonalData, 'address'>]?: string | null | undefined;
} & { address?: { [Field in keyof Address]?: Address[Field] | null | undefined } | null | undefined };

/** Nothing is known. */
export const UNKNOWN: Readonly<PersonalData> = Object.freeze({
  name: null,
  surname: null,
  email: null,
  phone: null,
  address: null,
  dateOfBirth: null,
  companyNumber: null,
  taxNumber: null,
});

const EMPTY_ADDRESS: Address = { lines: [], city: '', postcode: null, country: '' };

/** The data after the patch; may be wrong, see {@link checkPersonal}. */
export function mergePersonal(known: PersonalData, patch: PersonalPatch): PersonalData {
  const { address, ...plain } = patch;
  const merged = { ...known, ...given(plain) };
  if (address === undefined) return merged;
  if (address === null) return { ...merged, address: null };
  const { postcode, ...rest } = { ...(known.address ?? EMPTY_ADDRESS), ...given(address) };
  return {
    ...merged,
    address: {
      lines: rest.lines ?? [],
      city: rest.city ?? '',
      country: rest.country ?? '',
      postcode: postcode ?? null,
    },
  };
}

function given<Fields extends object>(fields: Fields): { [Field in keyof Fields]: Exclude<Fields[Field], undefined> } {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known) as { [Field in keyof Fields]: Exclude<Fields[Field], undefined> };
}

const MAX_TEXT = 255;
const MAX_ADDRESS_LINES = 5;
const OLDEST_YEARS = 130;
const E164 = /^\+[1-9]\d{6,14}$/;
const emailText = z.email().max(MAX_TEXT);
const dateText = z.iso.date();

/** Adds a fault for every field that is wrong in itself or does not go with the kind. */
export function checkPersonal(kind: PartyKind, data: PersonalData, faults: FieldFaults): void {
  checkText('/name', data.name, faults);
  checkText('/surname', data.surname, faults);
  checkText('/company_number', data.companyNumber, faults);
  checkText('/tax_number', data.taxNumber, faults);
  if (data.email !== null && !emailText.safeParse(data.email).success)
    faults.add('/email', 'must be an e-mail address');
  if (data.phone !== null && !E164.test(data.phone)) {
    faults.add('/phone', 'must be an international number like +4930123456');
  }
  if (data.dateOfBirth !== null) checkDateOfBirth(data.dateOfBirth, faults);
  if (data.address !== null) checkAddress(data.address, faults);
  if (kind === 'firm' && data.surname !== null) faults.add('/surname', 'is for persons only');
  if (kind === 'firm' && data.dateOfBirth !== null) faults.add('/date_of_birth', 'is for persons only');
  if (kind === 'person' && data.companyNumber !== null) faults.add('/company_number', 'is for firms only');
}

function checkText(pointer: string, text: string | null, faults: FieldFaults): void {
  if (text === null) return;
  if (text.trim() === '') faults.add(pointer, 'must not be empty');
  if (text.length > MAX_TEXT) faults.add(pointer, `must have at most ${MAX_TEXT} characters`);
  if (text.includes('\0')) faults.add(pointer, 'must not contain a NUL character');
}

function checkDateOfBirth(text: string, faults: FieldFaults): void {
  const now = new Date();
  const year = now.getUTCFullYear();
  if (!dateText.safeParse(text).success) faults.add('/date_of_birth', 'must be a date like 1815-12-10');
  else if (text > now.toISOString().slice(0, 10)) faults.add('/date_of_birth', 'must not be in the future');
  else if (Number(text.slice(0, 4)) < year - OLDEST_YEARS) faults.add('/date_of_birth', 'is too long ago');
}

function checkAddress(address: Address, faults: FieldFaults): void {
  const { lines } = address;
  if (lines.length === 0 || lines.length > MAX_ADDRESS_LINES) {
    faults.add('/address/lines', `must be 1 to ${MAX_ADDRESS_LINES} lines`);
  }
  for (const [index, line] of lines.entries()) checkText(`/address/lines/${index}`, line, faults);
  checkText('/address/city', address.city, faults);
  checkText('/address/postcode', address.postcode, faults);
  if (!isCountry(address.country)) faults.add('/address/country', 'must be an ISO 3166-1 alpha-2 code like DE');
}

/** Whether it is an ISO 3166-1 alpha-2 code (or XK, which banks use), uppercase. */
export function isCountry(code: string): boolean {
  return Object.hasOwn(countrySpecs, code);
}

/** Personal data as it rests in a party's row; null when nothing is known. */
export function sealPersonal(vault: Vault, key: PartyKey, data: PersonalData): Buffer | null {
  const known = Object.fromEntries(Object.entries(data).filter(([, value]) => value !== null));
  return Object.keys(known).length === 0 ? null : vault.seal(partyPlace(key), known);
}

/** The reverse of {@link sealPersonal}. @throws Error when it was sealed for another row or under a key not given. */
export function openPersonal(vault: Vault, key: PartyKey, sealed: Uint8Array | null): PersonalData {
  return { ...UNKNOWN, ...(sealed && vault.open<Partial<PersonalData>>(partyPlace(key), sealed)) };
}

/** What a party's sealed data is bound to. */
export function partyPlace({ nodeId, partyId }: PartyKey): Place {
  return ['party', nodeId, partyId];
}
