// Owns the people that payments are for.
import { v7 as uuidv7 } from 'uuid';
import type { Sql, Transaction } from './db.ts';
import { CoreError } from './errors.ts';

/** A person as a request gives them: `externalId` names them within a node. */
export type Member = { externalId: string; name: string | null; surname: string | null; email: string | null };
export type MemberRow = Member & { id: string };

/** Finds the node's member by external id or adds it; what is given replaces what was known. */
export async function upsertMember(tx: Transaction, nodeId: string, member: Member): Promise<MemberRow> {
  const [row] = await tx<MemberRow[]>`
    insert into member ${tx({ nodeId, id: uuidv7(), ...member })}
    on conflict (node_id, external_id) do update set
      name = coalesce(excluded.name, member.name),
      surname = coalesce(excluded.surname, member.surname),
      email = coalesce(excluded.email, member.email)
    returning id, external_id, name, surname, email`;
  if (!row) throw new CoreError('internal', 'The member was not stored.');
  return row;
}

/** One member of a node, if it exists. */
export async function findMember(sql: Sql | Transaction, nodeId: string, id: string): Promise<MemberRow | undefined> {
  const [row] = await sql<MemberRow[]>`
    select id, external_id, name, surname, email from member where node_id = ${nodeId} and id = ${id}`;
  return row;
}
