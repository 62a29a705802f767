/**
 * Owns following what a wallet has sent until a block holds it: sped up, cancelled, dropped, reverted, or in a batch. It believes
 * the wallet's node for words on the screen only; that a payment is funded, the API says.
 */
import { type Address, createClient, type Hex } from 'viem';
import { waitForTransactionReceipt } from 'viem/actions';
import type { Sent } from '../sent.ts';
import { readBatch } from './batch.ts';
import { isKnown, type Provider, readChainId, readNonce } from './escrow.ts';
import { Problem } from './problem.ts';
import { transportOf } from './wallets.ts';

const POLL_MS = 400;
const RETRY_MS = 1_000;
/** A node that does not know a transaction for this long has dropped it, or never got it. */
const DROPPED_AFTER_MS = 45_000;

/** What following needs to know. */
export type Followed = {
  provider: () => Provider | null;
  /** Whether it still matters. */
  isWanted: () => boolean;
  /** Whether a wallet on another chain ends it: what comes next would be asked there. */
  mustStay?: boolean;
  /** Another transaction does what this one was to do: the buyer has sped it up. */
  onHash?: (hash: Hex) => void;
  /** Whether the deal is open although the transaction is gone: what took its place did the same. */
  isDone?: () => Promise<boolean>;
};

/**
 * Waits until what was sent is in a block, however long that takes and whatever fails meanwhile. Of what was asked and not answered
 * only the account's nonce tells. While the wallet is on another chain nothing is known of it.
 * @throws Problem reverted, replaced, dropped; wallet_moved where it must stay
 */
export async function follow(
  sent: Omit<Sent, 'step' | 'sentAt'>,
  { provider, isWanted, mustStay, onHash, isDone }: Followed,
): Promise<void> {
  let known = Date.now();
  while (isWanted()) {
    const node = provider();
    try {
      if (!node || !(await isOn(node, sent))) {
        if (node && mustStay) break;
        known = Date.now();
      } else if (sent.batchId !== undefined && sent.hash === null) {
        const { state, hash } = await readBatch(node, sent.batchId);
        if (state === 'failed') throw new Problem('reverted');
        if (hash) onHash?.(hash);
        if (state === 'mined') return;
      } else {
        if (sent.hash && (await isKnown(node, sent.hash))) {
          known = Date.now();
          return await receiptOf(node, sent.hash, onHash);
        }
        if (await isOver(node, sent)) {
          if (await isDone?.()) return;
          throw new Problem('replaced');
        }
        if (sent.hash && Date.now() - known > DROPPED_AFTER_MS) throw new Problem('dropped');
      }
    } catch (error) {
      const isEnd = error instanceof Problem && ['reverted', 'replaced', 'dropped'].includes(error.code);
      // Of a wallet that changed its chain meanwhile none of these is true.
      if (isEnd && node && (await isOn(node, sent).catch(() => false))) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  if (isWanted()) throw new Problem('wallet_moved');
}

/** Whether the wallet is on the chain that it was sent to. */
async function isOn(provider: Provider, { chainId }: { chainId: number }): Promise<boolean> {
  return (await readChainId(provider)) === chainId;
}

/** Whether the account's nonce that the transaction had is used up. */
async function isOver(provider: Provider, { account, nonce }: { account: Address; nonce?: number }): Promise<boolean> {
  return nonce !== undefined && (await readNonce(provider, account, 'latest')) > nonce;
}

async function receiptOf(provider: Provider, hash: Hex, onHash?: (hash: Hex) => void): Promise<void> {
  const client = createClient({ transport: transportOf(provider), pollingInterval: POLL_MS });
  let replaced = false;
  const { status } = await waitForTransactionReceipt(client, {
    hash,
    // Left to itself it would wait for ever for one that was replaced while its node forgot it; the loop asks again.
    timeout: 30_000,
    onReplaced: ({ reason, transaction }) => {
      if (reason === 'repriced') onHash?.(transaction.hash);
      else replaced = true;
    },
  });
  if (replaced) throw new Problem('replaced');
  if (status !== 'success') throw new Problem('reverted');
}
