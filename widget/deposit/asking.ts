/**
 * Owns asking a wallet to send something: stored before it is asked and again with its answer, so that an answer that gets lost, by
 * a reload or an error, leads to no second transaction. What a wallet sent without saying so, the account's nonce tells.
 */
import type { Address } from 'viem';
import { forgetSent, isAnswered, loadSent, type Sent, storeSent } from '../sent.ts';
import { type Provider, readNonce } from './escrow.ts';
import { problemOf } from './problem.ts';

type Question = Pick<Sent, 'step' | 'account' | 'chainId'> & {
  provider: Provider;
  /** Whether the buyer has not gone elsewhere while the nonce was read. */
  isWanted: () => boolean;
  send: () => Promise<Partial<Sent>>;
};

/** What the wallet has sent; `out` when it has sent what it was asked before, null when nobody wants it any more. @throws Problem */
export async function askToSend(
  paymentId: string,
  { step, account, chainId, provider, isWanted, send }: Question,
): Promise<Sent | 'out' | null> {
  const nonce = await readNonce(provider, account, 'pending').catch(() => undefined);
  if (!isWanted()) return null;
  if (isOut(loadSent(paymentId), account, nonce)) return 'out';
  const asked: Sent = { step, hash: null, account, chainId, ...(nonce !== undefined && { nonce }), sentAt: Date.now() };
  storeSent(paymentId, asked);
  try {
    const sent = { ...asked, ...(await send()), sentAt: Date.now() };
    // Also when the buyer went elsewhere meanwhile: the transaction is out.
    storeSent(paymentId, sent);
    return sent;
  } catch (error) {
    if (problemOf(error).code === 'rejected') forgetSent(paymentId);
    throw error;
  }
}

/** Whether the account, whose next nonce this is, has sent something since it was asked without an answer. */
export function isOut(asked: Sent | null, account: Address, nonce: number | undefined): boolean {
  if (!asked || isAnswered(asked) || asked.account !== account) return false;
  return nonce !== undefined && asked.nonce !== undefined && nonce > asked.nonce;
}
