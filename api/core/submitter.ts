// Owns the operator keys and what they send. Nonce and signed transaction are stored before anything is sent, so a process
// that dies anywhere neither loses nor doubles a transaction: whoever runs the work next sends the very same bytes.
import {
  type Address,
  BaseError,
  type Hex,
  keccak256,
  type PrivateKeyAccount,
  TransactionReceiptNotFoundError,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { callData } from './calls.ts';
import { type Chain, reachable, reasonOf, revertData } from './chain.ts';
import { type Sql, type Transaction, transact } from './db.ts';
import { CoreError } from './errors.ts';
import { findOperation, updateOperation } from './operations.ts';
import { explainRevert, unexplained } from './refusals.ts';
import type { NetworkRow, OperationRow, Refusal } from './schema.ts';

// A receipt is asked for this long within one attempt; the queue's next attempt goes on with the same transaction.
const RECEIPT_WAIT_MS = 20_000;
const RECEIPT_POLL_MS = 250;
// The estimate is exact for the state it saw; the margin covers a payee or fee ledger entry that is new by then.
const GAS_MARGIN_PERCENT = 30n;

type StoredTransaction = {
  signer: string;
  nonce: bigint;
  hash: Hex;
  raw: Hex;
  status: 'stored' | 'mined' | 'reverted';
};

/** How an operation ended; the caller writes it together with what follows from it. */
export type OperationResult = { done: true } | { done: false; refusal: Refusal };

/** Signs, stores, sends and follows the transactions of operations. */
export class Submitter {
  readonly #sql: Sql;
  readonly #chain: Chain;
  readonly #accounts: Map<string, PrivateKeyAccount>;

  constructor(sql: Sql, chain: Chain, operatorKeys: readonly Hex[]) {
    this.#sql = sql;
    this.#chain = chain;
    const accounts = operatorKeys.map((key) => privateKeyToAccount(key));
    this.#accounts = new Map(accounts.map((account) => [account.address.toLowerCase(), account]));
  }

  /** Whether transactions of this address (lowercase) can be signed here. */
  holdsKey(address: string): boolean {
    return this.#accounts.has(address);
  }

  /**
   * Carries one operation to its end, or throws so that the queue tries again later.
   * @throws upstream_unavailable when the network does not answer, has no key here, or mined nothing yet.
   */
  async submit(network: NetworkRow, operation: OperationRow): Promise<OperationResult> {
    let stored = await this.#find(operation);
    if (!stored) {
      if (!operation.terms || !operation.dealId) throw new Error(`Operation ${operation.id} has nothing to send.`);
      const prepared = await this.#prepare(network, operation);
      if ('done' in prepared) return prepared;
      stored = prepared;
    }
    if (stored.status === 'stored') await this.#send(network, stored);
    return await this.#follow(network, stored);
  }

  async #find({ nodeId, id }: OperationRow): Promise<StoredTransaction | undefined> {
    const [row] = await this.#sql<StoredTransaction[]>`
      select signer, nonce, hash, raw, status from chain_transaction
      where node_id = ${nodeId} and operation_id = ${id} order by nonce desc limit 1`;
    return row;
  }

  /** Estimates, then signs and stores under the signer's lock; a call that would revert ends the operation instead. */
  async #prepare(network: NetworkRow, operation: OperationRow): Promise<StoredTransaction | OperationResult> {
    const signer = operation.signer ?? network.operatorAddress;
    const account = this.#accounts.get(signer);
    if (!account) throw new CoreError('upstream_unavailable', `No key for ${signer} here.`);
    const client = this.#chain.client(network);
    const data = callData(operation);
    let gas: bigint;
    try {
      gas = await client.estimateGas({ account, to: network.diamondAddress, data });
    } catch (error) {
      const data = revertData(error);
      if (data === undefined) return await reachable(network, () => Promise.reject(error));
      return { done: false, refusal: explainRevert(data) ?? unexplained(reasonOf(error)) };
    }
    const fees = await reachable(network, () => client.estimateFeesPerGas());
    return await transact(this.#sql, async (tx) => {
      await tx`select pg_advisory_xact_lock(hashtextextended(${`${network.id} ${signer}`}, 0))`;
      const current = await findOperation(tx, { nodeId: operation.nodeId, operationId: operation.id }, { lock: true });
      if (current?.status !== 'queued')
        throw new CoreError('upstream_unavailable', 'Another worker has taken this over.');
      const nonce = await this.#nextNonce(tx, network, signer);
      const raw = await account.signTransaction({
        chainId: Number(network.eip155Id),
        type: 'eip1559',
        to: network.diamondAddress,
        data,
        gas: gas + (gas * GAS_MARGIN_PERCENT) / 100n,
        nonce: Number(nonce),
        ...fees,
      });
      const stored = { signer, nonce, hash: keccak256(raw), raw, status: 'stored' as const };
      await tx`
        insert into chain_transaction ${tx({
          ...stored,
          networkId: network.id,
          nodeId: operation.nodeId,
          operationId: operation.id,
        })}`;
      await updateOperation(tx, operation, { status: 'submitted', transactionHash: stored.hash });
      return stored;
    });
  }

  async #nextNonce(tx: Transaction, network: NetworkRow, address: Address): Promise<bigint> {
    const mined = await reachable(network, () => this.#chain.client(network).getTransactionCount({ address }));
    const [row] = await tx<{ next: bigint | null }[]>`
      select max(nonce) + 1 as next from chain_transaction where network_id = ${network.id} and signer = ${address}`;
    const next = row?.next ?? 0n;
    return next > BigInt(mined) ? next : BigInt(mined);
  }

  async #send(network: NetworkRow, stored: StoredTransaction): Promise<void> {
    try {
      await this.#chain.client(network).sendRawTransaction({ serializedTransaction: stored.raw });
    } catch (error) {
      // The node may have it already, from us or from whoever ran this before; a receipt decides. A refusal for any
      // other reason leaves the transaction stored, and the next attempt sends it again.
      if (!alreadyThere(error)) await reachable(network, () => Promise.reject(error));
    }
    await this.#sql`
      update chain_transaction set sent_at = coalesce(sent_at, now())
      where network_id = ${network.id} and signer = ${stored.signer} and nonce = ${stored.nonce}`;
  }

  async #follow(network: NetworkRow, stored: StoredTransaction): Promise<OperationResult> {
    const client = this.#chain.client(network);
    const deadline = Date.now() + RECEIPT_WAIT_MS;
    for (;;) {
      const receipt = await reachable(network, () =>
        client.getTransactionReceipt({ hash: stored.hash }).catch((error) => {
          if (error instanceof TransactionReceiptNotFoundError) return null;
          throw error;
        }),
      );
      if (receipt) {
        const mined = receipt.status === 'success';
        await this.#sql`
          update chain_transaction set status = ${mined ? 'mined' : 'reverted'}, block_number = ${receipt.blockNumber}
          where network_id = ${network.id} and signer = ${stored.signer} and nonce = ${stored.nonce}`;
        return mined ? { done: true } : { done: false, refusal: unexplained(`Transaction ${stored.hash} reverted.`) };
      }
      if (Date.now() > deadline) {
        throw new CoreError('upstream_unavailable', `Transaction ${stored.hash} is not mined yet.`);
      }
      await new Promise((resolve) => setTimeout(resolve, RECEIPT_POLL_MS));
    }
  }
}

function alreadyThere(error: unknown): boolean {
  return (
    error instanceof BaseError && /already known|already imported|nonce too low|known transaction/i.test(error.message)
  );
}
