/** Owns batches of calls that a wallet sends as one (EIP-5792): whether it can, sending, and what became of one. */
import { type Address, type Hex, numberToHex } from 'viem';
import type { Call, Provider } from './escrow.ts';
import { Problem, problemOf } from './problem.ts';

/** What a wallet says of a batch; the hash once there is one. */
export type BatchStatus = { state: 'pending' | 'mined' | 'failed'; hash: Hex | null };

// A wallet that does not know the question may leave it open; the buyer does not wait for it.
const ANSWER_TIMEOUT_MS = 800;

/** Whether the wallet sends several calls of this account all or nothing. */
export async function canBatch(provider: Provider, account: Address, chainId: number): Promise<boolean> {
  const chain = numberToHex(chainId);
  const timeout = new Promise((resolve) => setTimeout(resolve, ANSWER_TIMEOUT_MS));
  const asked = provider.request({ method: 'wallet_getCapabilities', params: [account, [chain]] });
  const answer: unknown = await Promise.race([asked, timeout]).catch(() => null);
  const status: unknown = Object(Object(Object(answer)[chain]).atomic).status;
  return status === 'supported' || status === 'ready';
}

/** Hands the calls to the wallet, and answers the batch's id. @throws Problem */
export async function sendBatch(
  provider: Provider,
  from: Address,
  chainId: number,
  calls: readonly Call[],
): Promise<string> {
  const batch = { version: '2.0.0', from, chainId: numberToHex(chainId), atomicRequired: true, calls };
  try {
    const answer = await provider.request({ method: 'wallet_sendCalls', params: [batch] });
    const id: unknown = typeof answer === 'string' ? answer : Object(answer).id;
    if (typeof id !== 'string' || id === '') throw new Problem('wallet_failed');
    return id;
  } catch (error) {
    throw problemOf(error);
  }
}

/** What became of a batch. @throws whatever the wallet answers instead */
export async function readBatch(provider: Provider, id: string): Promise<BatchStatus> {
  const answer = Object(await provider.request({ method: 'wallet_getCallsStatus', params: [id] }));
  const receipts: unknown[] = Array.isArray(answer.receipts) ? answer.receipts : [];
  const hash: unknown = Object(receipts.at(-1)).transactionHash;
  const status = Number(answer.status);
  // 1xx: not complete yet, 2xx: in a block, above: failed off the chain or on it. What is no number says none of that.
  const state = status >= 300 ? 'failed' : status >= 200 ? 'mined' : 'pending';
  return { state, hash: typeof hash === 'string' && /^0x[0-9a-f]{64}$/i.test(hash) ? (hash as Hex) : null };
}
