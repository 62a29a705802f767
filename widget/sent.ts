/**
 * Owns what must outlive a reload and be known to other tabs: the transaction that was sent for a payment, kept by payment id in
 * the page's storage, and which tab is paying.
 * Where there is no storage (sandboxed frames) it keeps nothing; the contract still refuses a second deposit.
 */
import type { Address, Hex } from 'viem';
import type { Step } from './snapshot.ts';

/**
 * What a wallet was asked to send for a payment: a transaction, or a batch whose transactions only the wallet knows at first. With
 * neither hash nor batch it has not answered, or its answer got lost.
 */
export type Sent = {
  step: Step;
  hash: Hex | null;
  /** Of wallet_sendCalls. */
  batchId?: string;
  account: Address;
  chainId: number;
  /** The account's nonce before it was sent: once that is used up, something has taken the transaction's place. */
  nonce?: number;
  sentAt: number;
};

const key = (paymentId: string) => `dealkeep.sent.${paymentId}`;

/** Whether the wallet has answered that it was sent. */
export function isAnswered({ hash, batchId }: Sent): boolean {
  return hash !== null || batchId !== undefined;
}

/** Stores the transaction, in place of an earlier one. */
export function storeSent(paymentId: string, sent: Sent): void {
  withStorage((storage) => storage.setItem(key(paymentId), JSON.stringify(sent)));
}

/** The transaction last sent for the payment, or null. */
export function loadSent(paymentId: string): Sent | null {
  return withStorage((storage) => {
    const sent: unknown = JSON.parse(storage.getItem(key(paymentId)) ?? 'null');
    return isSent(sent) ? sent : null;
  });
}

/** Calls back when another tab of this page's origin has stored or forgotten something; answers what ends that. */
export function watchSent(paymentId: string, onChange: () => void): () => void {
  const listener = (event: StorageEvent) => void (event.key === key(paymentId) && onChange());
  window.addEventListener('storage', listener);
  return () => window.removeEventListener('storage', listener);
}

/** Runs the work while no other tab of this origin does so for the payment; false when one does. */
export async function alone(paymentId: string, work: () => Promise<void>): Promise<boolean> {
  let isAsked = false;
  try {
    return await navigator.locks.request(`dealkeep.pay.${paymentId}`, { ifAvailable: true }, async (lock) => {
      isAsked = true;
      if (lock) await work();
      return lock !== null;
    });
  } catch (error) {
    if (isAsked) throw error;
    // Insecure pages and sandboxed frames have no locks; the contract still opens a deal once only.
    await work();
    return true;
  }
}

/** Forgets it: it failed, or its payment is over. */
export function forgetSent(paymentId: string): void {
  withStorage((storage) => storage.removeItem(key(paymentId)));
}

function isSent(value: unknown): value is Sent {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['reset', 'approve', 'deposit', 'batch'].includes(Reflect.get(value, 'step')) &&
    (/^0x[0-9a-f]{64}$/i.test(String(Reflect.get(value, 'hash'))) ||
      ['batchId', 'nonce'].some((name) => Reflect.get(value, name) !== undefined)) &&
    typeof Reflect.get(value, 'chainId') === 'number'
  );
}

/** What comes of the page's storage; null where there is none, or what is in it cannot be read. */
export function withStorage<T>(use: (storage: Storage) => T): T | null {
  try {
    return use(window.localStorage);
  } catch {
    return null;
  }
}
