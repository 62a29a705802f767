// Owns 32-bit ids: some dialects' clients keep no longer ones, so that a thing may have one beside its own. Numbers are drawn at
// random, so that nobody waits for a counter, and none tells how many there are; gaps mean nothing.
import type { Sql, Transaction } from '../database/db.ts';
import { CoreError } from '../errors.ts';

/** What is numbered; each noun has numbers of its own in a tree of nodes. */
export type Noun =
  | 'order'
  | 'seller'
  | 'transaction'
  | 'transfer'
  | 'payout_seller'
  | 'payout_seller_amount'
  | 'payout_merchant';

/** The largest number: that of a signed 32-bit integer. */
export const MAX_NUMBER = 2_147_483_647;

// With half of all numbers taken, one allotment in 4 × 10^12 finds none.
const DRAWS = 42;

/** A numbered thing: its node and its own id. */
export type Numbered = { nodeId: string; id: string };

/**
 * Gives a thing a number that no other of its noun has in the node's tree; `largest` narrows what is drawn from.
 * @throws conflict when none is left.
 */
export async function allotNumber(
  tx: Transaction,
  noun: Noun,
  { nodeId, id }: Numbered,
  largest = MAX_NUMBER,
): Promise<number> {
  for (let draw = 0; draw < DRAWS; draw += 1) {
    const [row] = await tx<{ number: number }[]>`
      insert into surface_number (root_id, noun, number, node_id, id)
      select path[1], ${noun}, 1 + floor(random() * ${largest})::int, id, ${id} from node where id = ${nodeId}
      on conflict (root_id, noun, number) do nothing returning number`;
    if (row) return row.number;
  }
  throw new CoreError('conflict', `No 32-bit id is left for another ${noun.replaceAll('_', ' ')}.`);
}

/** What bears a number in the tree of `callerId`, the node of who asks. @throws not_found, too when it is not the caller's. */
export async function findByNumber(
  sql: Sql | Transaction,
  callerId: string,
  noun: Noun,
  number: number,
): Promise<Numbered> {
  const [row] = await sql<Numbered[]>`
    select s.node_id, s.id from node caller
    join surface_number s on s.root_id = caller.path[1] and s.noun = ${noun} and s.number = ${number}
    join node n on n.id = s.node_id and caller.id = any(n.path)
    where caller.id = ${callerId}`;
  if (!row) throw new CoreError('not_found', `The ${noun.replaceAll('_', ' ')} does not exist.`);
  return row;
}

/** The numbers of things by their ids; those without one are left out. */
export async function numbersOf(
  sql: Sql | Transaction,
  noun: Noun,
  things: readonly Numbered[],
): Promise<Map<string, number>> {
  if (things.length === 0) return new Map();
  const nodeIds = [...new Set(things.map(({ nodeId }) => nodeId))];
  const rows = await sql<{ id: string; number: number }[]>`
    select id, number from surface_number
    where node_id = any(${nodeIds}::uuid[]) and noun = ${noun} and id = any(${things.map(({ id }) => id)}::uuid[])`;
  return new Map(rows.map(({ id, number }) => [id, number]));
}
