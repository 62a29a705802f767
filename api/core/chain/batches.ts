// Owns which waiting operations go into one transaction, and what its receipt says of each of them. A batch's receipt proves
// nothing for an entry: the contract skips what is in the wrong state, so the entry's own event decides.
import { decodeEventLog, encodeFunctionData, type Hex, type TransactionReceipt, toFunctionSelector } from 'viem';
import { escrowAbi } from '../../../contracts/abi.ts';
import { dealId, type Terms } from '../../../contracts/terms.ts';
import type { NetworkRow, OperationRow, OperationVerb } from '../schema.ts';
import { callData } from './calls.ts';
import { type TermsJson, termsFromJson } from './terms.ts';

// Half of the contract's own bound: at 100,000 gas an entry, the dearest, still far below any chain's bound of a transaction.
export const MAX_ENTRIES = 50;

const MANY: Partial<Record<OperationVerb, 'releaseMany' | 'cancelMany'>> = {
  release: 'releaseMany',
  cancelDeal: 'cancelMany',
};

/**
 * The operations of the next transaction: the first, with all of its verb that a batch can hold; each deal once. Those in
 * `alone` failed in a batch before.
 */
export function nextBatch(waiting: readonly OperationRow[], alone: ReadonlySet<string>): OperationRow[] {
  const [first] = waiting;
  if (!first) return [];
  if (!MANY[first.verb] || alone.has(first.id)) return [first];
  const batch: OperationRow[] = [];
  const deals = new Set<Hex | null>();
  let entries = 0;
  for (const operation of waiting) {
    const { id, verb } = operation;
    if (verb !== first.verb || alone.has(id) || deals.has(operation.dealId)) continue;
    entries += entriesOf(operation).length;
    if (batch.length > 0 && entries > MAX_ENTRIES) break;
    deals.add(operation.dealId);
    batch.push(operation);
  }
  return batch;
}

/** The calldata of one transaction for these operations, all of one verb when there are several. */
export function batchData(operations: readonly OperationRow[]): Hex {
  const [first] = operations;
  if (!first) throw new Error('A batch holds at least one operation.');
  const many = MANY[first.verb];
  if (operations.length === 1 || !many) return callData(first);
  return encodeFunctionData({ abi: escrowAbi, functionName: many, args: [operations.flatMap(entriesOf)] });
}

/** What a transaction did for one operation. `skipped` carries the error by which the single verb would have reverted. */
export type Outcome = { kind: 'done' } | { kind: 'skipped'; error: string } | { kind: 'unsaid' };

/** What the receipt of a transaction that succeeded says of each operation that it carried. */
export function readOutcomes(
  receipt: TransactionReceipt,
  network: Pick<NetworkRow, 'diamondAddress' | 'eip155Id'>,
  operations: readonly OperationRow[],
): Map<OperationRow, Outcome> {
  const said = new Map<string, Outcome>();
  for (const { address, topics, data } of receipt.logs) {
    if (address.toLowerCase() !== network.diamondAddress.toLowerCase()) continue;
    const event = decodeEventLog({ abi: escrowAbi, topics, data, strict: false });
    const id = (event.args as { id?: Hex }).id;
    if (id === undefined) continue;
    if (event.eventName === 'Skipped') said.set(id, { kind: 'skipped', error: errorName(event.args.reason) });
    if (event.eventName === 'Released' || event.eventName === 'DealCancelled') said.set(id, { kind: 'done' });
  }
  const outcomeOf = (operation: OperationRow): Outcome => {
    // A verb that is called alone reverts when it does nothing.
    if (operations.length === 1 && !Array.isArray(operation.terms)) return { kind: 'done' };
    const forms = entriesOf(operation).map((terms): Outcome => {
      return said.get(dealId(terms, Number(network.eip155Id), network.diamondAddress)) ?? { kind: 'unsaid' };
    });
    // Of several forms of one offer it is enough that one could still be closed: the others were.
    return forms.find(({ kind }) => kind === 'done') ?? forms[0] ?? { kind: 'unsaid' };
  };
  return new Map(operations.map((operation) => [operation, outcomeOf(operation)]));
}

/** The slots that an operation acts on: its deal's, or those of every form of its offer. */
function entriesOf({ terms }: OperationRow): Terms[] {
  return [terms ?? []].flat().map((form) => termsFromJson(form as TermsJson));
}

function errorName(selector: Hex | undefined): string {
  for (const item of escrowAbi) {
    if (item.type !== 'error') continue;
    if (toFunctionSelector(`${item.name}(${item.inputs.map(({ type }) => type).join(',')})`) === selector)
      return item.name;
  }
  return `error ${selector}`;
}
