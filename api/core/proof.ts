// Owns the proof of a state: the event on chain that it follows from, which anybody can look up.
import type { ChainFact, DealRow, NetworkRow } from './schema.ts';

/** A proof as every answer and every webhook carries it; `chain_id` is the EIP-155 id. */
export type Proof = {
  chain_id: number;
  block: number;
  transaction: string;
  log_index: number;
  confirmations: number;
  diamond: string;
  deal: string;
};

/** What a leg's state follows from, with its confirmations under the network's newest block; null while nothing is on chain. */
export function proofOfLeg(
  { factBlock, factTransaction, factLogIndex, dealId, offerId }: DealRow,
  { network, head }: { network: NetworkRow; head: bigint | null },
): Proof | null {
  const deal = dealId ?? offerId;
  if (factBlock === null || factTransaction === null || factLogIndex === null || deal === null) return null;
  const { eip155Id: chainId, diamondAddress: diamond } = network;
  return proofOfEvent({
    ...{ chainId, diamond, deal, head },
    ...{ block: factBlock, transaction: factTransaction, logIndex: factLogIndex },
  });
}

/** An event as the mirror has it, with the network's newest block; null: not seen yet. */
export type SeenEvent = {
  chainId: bigint;
  diamond: string;
  deal: string;
  block: bigint;
  transaction: string;
  logIndex: number;
  head: bigint | null;
};

/** What an event proves. */
export function proofOfEvent({ chainId, diamond, deal, block, transaction, logIndex, head }: SeenEvent): Proof {
  return {
    chain_id: Number(chainId),
    block: Number(block),
    transaction,
    log_index: logIndex,
    confirmations: head === null || head < block ? 0 : Number(head - block + 1n),
    diamond,
    deal,
  };
}

/** What a log row tells of, with its confirmations at that time. */
export function proofOfFact(fact: ChainFact): Proof {
  return {
    chain_id: Number(fact.chainId),
    block: Number(fact.blockNumber),
    transaction: fact.transactionHash,
    log_index: fact.logIndex,
    confirmations: Number(fact.confirmations),
    diamond: fact.diamond,
    deal: fact.dealId,
  };
}
