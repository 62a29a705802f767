/**
 * Owns what must outlive a reload and be known to other tabs: the transaction that was sent for a deal from this page, kept by the
 * deal's id in the page's storage. Where there is no storage it keeps nothing; the contract still does nothing twice.
 */
import { type Address, type Hex, isAddress, isHex } from 'viem';
import { withStorage } from '../sent.ts';
import type { Verb } from './options.ts';
import { type Proposal, readProposal, writeProposal } from './proposal.ts';

/** What a wallet sent for a deal, and what it was for: a verb with its amount, or a split of the other side's. */
export type Underway = {
  step: 'reset' | 'approve' | 'call';
  hash: Hex;
  account: Address;
  /** The account's nonce before it was sent: once that is used up, something has taken the transaction's place. */
  nonce?: number;
} & ({ verb: Exclude<Verb, 'settle'>; units: bigint | null } | { split: Proposal });

const key = (dealId: Hex) => `dealkeep.deed.${dealId}`;

/** Stores it, in place of an earlier one. */
export function storeUnderway(dealId: Hex, underway: Underway): void {
  const { step, hash, account, nonce } = underway;
  const what =
    'split' in underway
      ? { split: writeProposal(underway.split) }
      : { verb: underway.verb, units: underway.units?.toString() ?? null };
  withStorage((storage) => storage.setItem(key(dealId), JSON.stringify({ step, hash, account, nonce, ...what })));
}

/** What was sent last for the deal; null where there is nothing that can be read. */
export function loadUnderway(dealId: Hex): Underway | null {
  return withStorage((storage) => {
    const { step, hash, account, nonce, verb, units, split } = JSON.parse(storage.getItem(key(dealId)) ?? '{}');
    if (!['reset', 'approve', 'call'].includes(step) || !isHex(hash, { strict: true }) || !isAddress(account))
      return null;
    const sent = { step, hash, account, ...(Number.isSafeInteger(nonce) && { nonce }) };
    if (typeof split === 'string') return { ...sent, split: readProposal(split) };
    return typeof verb === 'string'
      ? { ...sent, verb: verb as never, units: units === null ? null : BigInt(units) }
      : null;
  });
}

/** Forgets it: it is through, or came to nothing. */
export function forgetUnderway(dealId: Hex): void {
  withStorage((storage) => storage.removeItem(key(dealId)));
}
