/** The whole state of the escrow from its logs alone, with nothing but the ABI: what mirror and ledger are held against. */
import { type Address, decodeEventLog, type Hex, type PublicClient } from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import { decodeDealState, feeAt, type Terms } from '../../contracts/terms.ts';

/** A deal as its events left it; amounts in base units, `status` in lower case. */
export type DealState = { terms: Terms; released: bigint; refunded: bigint; status: string; events: number };

/** So many events, and what they moved, in base units. */
export type Move = { times: number; released: bigint; refunded: bigint };

/** Everything that the logs say, as of a block. */
export type Recomputed = {
  block: bigint;
  /** By the deal's id. */
  deals: Map<Hex, DealState>;
  /** Offers and deals that were closed before any deposit. */
  closed: Set<Hex>;
  /** What a transaction did to a deal or an offer after its deposit; by `transaction id`, in lower case. */
  moves: Map<string, Move>;
  /** By `token account`, in lower case. */
  credits: Map<string, bigint>;
};

/** Reads the diamond's logs from `startBlock` up to `block`. */
export async function recompute(
  chain: Pick<PublicClient, 'getLogs'>,
  { diamond, startBlock, block }: { diamond: Address; startBlock: bigint; block: bigint },
): Promise<Recomputed> {
  const logs = await chain.getLogs({ address: diamond, fromBlock: startBlock, toBlock: block });
  const deals = new Map<Hex, DealState>();
  const closed = new Set<Hex>();
  const moves = new Map<string, Move>();
  const credits = new Map<string, bigint>();
  const credit = (token: string, account: string, amount: bigint) => {
    const key = `${token} ${account}`.toLowerCase();
    credits.set(key, (credits.get(key) ?? 0n) + amount);
  };
  for (const log of logs) {
    const { eventName, args } = decodeEventLog({ abi: escrowAbi, data: log.data, topics: log.topics });
    if ('state' in args) {
      const key = moveOf(log.transactionHash, args.id);
      const { released, refunded } = decodeDealState(args.state);
      const before = deals.get(args.id) ?? { released, refunded };
      const move = moves.get(key) ?? { times: 0, released: 0n, refunded: 0n };
      moves.set(key, {
        times: move.times + 1,
        released: move.released + released - before.released,
        refunded: move.refunded + refunded - before.refunded,
      });
    }
    if (eventName === 'Deposited') {
      deals.set(args.id, { terms: args.terms, released: 0n, refunded: 0n, status: 'funded', events: 1 });
    } else if (eventName === 'Credited') credit(args.token, args.account, args.amount);
    else if (eventName === 'Withdrawn') credit(args.token, args.account, -args.amount);
    else if (eventName === 'DealCancelled' && !deals.has(args.id)) closed.add(args.id);
    else if ('state' in args) {
      const deal = deals.get(args.id);
      if (!deal) continue;
      const { released, refunded, status } = decodeDealState(args.state);
      const fee = feeAt(deal.terms, released) - feeAt(deal.terms, deal.released);
      if (fee > 0n) credit(deal.terms.token, deal.terms.feeRecipient, fee);
      Object.assign(deal, { released, refunded, status: status.toLowerCase(), events: deal.events + 1 });
    }
  }
  return { block, deals, closed, moves, credits };
}

/** The key of {@link Recomputed.moves}. */
export function moveOf(transactionHash: Hex, id: Hex): string {
  return `${transactionHash} ${id}`.toLowerCase();
}

/** What a deal holds, in base units. */
export function heldBy({ terms, released, refunded, status }: DealState): bigint {
  return status === 'funded' || status === 'disputed' ? terms.amount - released - refunded : 0n;
}
