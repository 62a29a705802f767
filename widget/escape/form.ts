/**
 * Owns what has to be known before anything can be looked for, as somebody typed it or as a link's fragment says. The URL of a node
 * is never taken from a link: who made the link would choose what the page is told.
 */
import { type Address, type Hex, isHex } from 'viem';
import { addressOf } from '../afterwards/calls.ts';
import { nodeUrlOf } from '../afterwards/node.ts';
import { chainInfo } from '../chains.ts';

/** A field of the form. */
export type Field = 'rpc_url' | 'chain' | 'diamond' | 'account' | 'transaction' | 'start';

/** What stands in the form. */
export type Texts = Record<Field, string>;

/** What is looked for, and where. `chainId` null: whatever chain the node is of. */
export type Wanted = {
  rpcUrl: string;
  chainId: number | null;
  diamond: Address;
  account: Address | null;
  transaction: Hex | null;
  start: bigint | null;
};

const named: Partial<Record<Field, string>> = {
  chain: 'chain',
  diamond: 'diamond',
  account: 'account',
  transaction: 'tx',
  start: 'from',
};

/** The form as a fragment fills it: `#chain=1&diamond=0x…&from=123&tx=0x…&account=0x…`, each of them optional. */
export function fromFragment(fragment: string): Texts {
  const values = new URLSearchParams(fragment.replace(/^#/, ''));
  const texts: Texts = { rpc_url: '', chain: '', diamond: '', account: '', transaction: '', start: '' };
  for (const [field, name] of Object.entries(named)) texts[field as Field] = (values.get(name) ?? '').slice(0, 100);
  return { ...texts, rpc_url: chainInfo(Number(texts.chain)).rpcUrl ?? '' };
}

/** What is wanted, or every field that is wrong; an account or a transaction is needed. */
export function readForm(texts: Texts): { wanted: Wanted } | { faults: Field[] } {
  const faults: Field[] = [];
  const take = <T>(field: Field, read: (text: string) => T | null): T | null => {
    const value = read(texts[field].trim());
    if (value === null) faults.push(field);
    return value;
  };
  const optional = <T>(field: Field, read: (text: string) => T | null): T | null =>
    texts[field].trim() === '' ? null : take(field, read);
  const rpcUrl = take('rpc_url', nodeUrlOf);
  const diamond = take('diamond', addressOf);
  const chainId = optional('chain', (text) => (/^\d{1,15}$/.test(text) ? Number(text) : null));
  const transaction = optional('transaction', (text): Hex | null =>
    isHex(text, { strict: true }) && text.length === 66 ? text : null,
  );
  const account =
    transaction || faults.includes('transaction') ? optional('account', addressOf) : take('account', addressOf);
  const start = optional('start', (text) => (/^\d{1,15}$/.test(text) ? BigInt(text) : null));
  if (faults.length > 0 || rpcUrl === null || diamond === null) return { faults };
  return { wanted: { rpcUrl, chainId, diamond, account, transaction, start } };
}
