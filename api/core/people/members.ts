// Owns members: parties as the payments surface names them, found or made by an external id inside a payment's request.
// Their data stays sealed in a payment's record and is opened only where a payment is shown.
import { v7 as uuidv7 } from 'uuid';
import type { Sql, Transaction } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import type { Vault } from '../vault.ts';
import type { PartyRow } from './parties.ts';
import { mergePersonal, openPersonal, type PartyKey, type PersonalData, sealPersonal } from './personal.ts';

/** A person as a request gives them: `externalId` names them within a node. */
export type Member = { externalId: string; name: string | null; surname: string | null; email: string | null };

/** A member as a payment's record carries it. */
export type SealedMember = {
  nodeId: string;
  id: string;
  externalId: string | null;
  sealed: Buffer | null;
  erasedAt: Date | null;
};

/** A member as it is shown; one that was erased has nothing but its id. */
export type MemberRow = Omit<Member, 'externalId'> & { id: string; externalId: string | null };

/**
 * The id of the node's party by external id, which is added when there is none; what is given replaces what was known.
 * @throws invalid_request when a surname is given for a firm.
 */
export async function upsertMember(tx: Transaction, vault: Vault, nodeId: string, member: Member): Promise<string> {
  const { externalId } = member;
  const find = () => tx<PartyRow[]>`
    select p.* from party_external_id x join party p on p.node_id = x.node_id and p.id = x.party_id
    where x.node_id = ${nodeId} and x.surface = 'payments' and x.external_id = ${externalId} and p.erased_at is null`;
  const given = {
    name: member.name || undefined,
    surname: member.surname || undefined,
    email: member.email || undefined,
  };
  const [standing] = await find();
  // Most payments bring nothing new, and then they need not wait for each other.
  if (standing && !changes(openPersonal(vault, keyOf(standing), standing.sealed), given)) return standing.id;
  if (!standing) {
    const key = { nodeId, partyId: uuidv7() };
    const taken = await tx`
      insert into party_external_id ${tx({ nodeId, surface: 'payments', externalId, partyId: key.partyId })}
      on conflict (node_id, surface, external_id) do nothing returning party_id`;
    if (taken.length > 0) {
      const sealed = sealPersonal(vault, key, mergePersonal(openPersonal(vault, key, null), given));
      await tx`insert into party ${tx({ nodeId, id: key.partyId, kind: 'person', sealed })}`;
      return key.partyId;
    }
  }
  const [row] = await tx<PartyRow[]>`${find()} for update of p`;
  // Erased while we waited for the lock: its external id is free again.
  if (!row) return await upsertMember(tx, vault, nodeId, member);
  if (row.kind === 'firm' && given.surname !== undefined) {
    throw new CoreError('invalid_request', 'Not valid: member/surname.', [
      { pointer: '/member/surname', message: 'is for persons only' },
    ]);
  }
  const data = mergePersonal(openPersonal(vault, keyOf(row), row.sealed), given);
  await storePersonal(tx, vault, keyOf(row), data);
  return row.id;
}

function keyOf({ nodeId, id }: { nodeId: string; id: string }): PartyKey {
  return { nodeId, partyId: id };
}

function changes(
  known: PersonalData,
  given: Partial<Record<'name' | 'surname' | 'email', string | undefined>>,
): boolean {
  return (['name', 'surname', 'email'] as const).some(
    (field) => given[field] !== undefined && given[field] !== known[field],
  );
}

async function storePersonal(tx: Transaction, vault: Vault, key: PartyKey, data: PersonalData): Promise<void> {
  const changed = { sealed: sealPersonal(vault, key, data), updatedAt: new Date() };
  await tx`update party set ${tx(changed)} where node_id = ${key.nodeId} and id = ${key.partyId}`;
}

/** The members with these ids of these nodes, sealed. */
export async function findMembers(
  sql: Sql | Transaction,
  nodeIds: readonly string[],
  ids: readonly string[],
): Promise<SealedMember[]> {
  if (ids.length === 0) return [];
  return await sql<SealedMember[]>`
    select p.node_id, p.id, p.sealed, p.erased_at, x.external_id
    from party p left join party_external_id x
      on x.node_id = p.node_id and x.party_id = p.id and x.surface = 'payments'
    where p.node_id = any(${[...nodeIds]}::uuid[]) and p.id = any(${[...ids]}::uuid[])`;
}

/** Opens a payment's member to be shown. */
export function openMember(vault: Vault, member: SealedMember): MemberRow {
  const { name, surname, email } = openPersonal(vault, keyOf(member), member.sealed);
  return { id: member.id, externalId: member.externalId, name, surname, email };
}
