/**
 * Mirrors the diamond's events: one handler an event, each an upsert, so that indexing anything again changes nothing.
 * It judges nothing: whether a deal is one of ours is the API's question.
 */
import { type Context, type Event, ponder } from 'ponder:registry';
import { closedDeal, deal, dealEvent } from 'ponder:schema';
import type { Hex } from 'viem';
import { decodeDealState, offerId } from '../../contracts/terms.ts';

type Mirrored = 'Escrow:Deposited' | 'Escrow:Released' | 'Escrow:DealCancelled';
type State = { released: bigint; refunded: bigint; status: string };

const NUMBER_SHIFT = 192n;

function stateOf(word: bigint): State {
  const { released, refunded, status } = decodeDealState(word);
  return { released, refunded, status: status.toLowerCase() };
}

function source({ event, context }: { event: Event<Mirrored>; context: Context<Mirrored> }) {
  return { chainId: BigInt(context.chain.id), diamond: event.log.address };
}

function lastOf(event: Event<Mirrored>) {
  return {
    lastBlock: event.block.number,
    lastTimestamp: event.block.timestamp,
    lastTransaction: event.transaction.hash,
    lastLogIndex: event.log.logIndex,
  };
}

async function recordEvent(
  at: { event: Event<Mirrored>; context: Context<Mirrored> },
  name: string,
  dealId: Hex,
  state: State,
) {
  const { event, context } = at;
  const facts = {
    dealId,
    name,
    ...state,
    sender: event.transaction.from,
    blockHash: event.block.hash,
    blockTimestamp: event.block.timestamp,
    transactionHash: event.transaction.hash,
  };
  await context.db
    .insert(dealEvent)
    .values({ ...source(at), blockNumber: event.block.number, logIndex: event.log.logIndex, ...facts })
    .onConflictDoUpdate(facts);
}

ponder.on('Escrow:Deposited', async ({ event, context }) => {
  const { id, terms } = event.args;
  const { chainId, diamond } = source({ event, context });
  const state = { released: 0n, refunded: 0n, status: 'funded' };
  const facts = {
    ...terms,
    ...state,
    offerId: offerId(terms, context.chain.id, diamond),
    number: terms.ref >> NUMBER_SHIFT,
    depositBlock: event.block.number,
    depositTimestamp: event.block.timestamp,
    depositTransaction: event.transaction.hash,
    depositLogIndex: event.log.logIndex,
    ...lastOf(event),
  };
  await context.db
    .insert(deal)
    .values({ chainId, diamond, id, ...facts })
    .onConflictDoUpdate(facts);
  await recordEvent({ event, context }, 'Deposited', id, state);
});

ponder.on('Escrow:Released', async ({ event, context }) => {
  const { id, state: word } = event.args;
  const state = stateOf(word);
  await context.db.update(deal, { ...source({ event, context }), id }).set({ ...state, ...lastOf(event) });
  await recordEvent({ event, context }, 'Released', id, state);
});

ponder.on('Escrow:DealCancelled', async ({ event, context }) => {
  const { id, state: word } = event.args;
  const state = stateOf(word);
  const key = { ...source({ event, context }), id };
  if (state.status === 'cancelled') {
    const facts = {
      block: event.block.number,
      timestamp: event.block.timestamp,
      transaction: event.transaction.hash,
      logIndex: event.log.logIndex,
    };
    await context.db
      .insert(closedDeal)
      .values({ ...key, ...facts })
      .onConflictDoUpdate(facts);
  } else {
    await context.db.update(deal, key).set({ ...state, ...lastOf(event) });
  }
  await recordEvent({ event, context }, 'DealCancelled', id, state);
});
