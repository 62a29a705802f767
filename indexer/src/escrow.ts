/**
 * Mirrors the diamond's events: one handler an event, each an upsert; sums (credits, totals) follow from how a deal's row
 * changes. It judges nothing: whether a deal is one of ours is the API's question.
 */
import { type Context, type Event, ponder } from 'ponder:registry';
import { closedDeal, credit, creditEvent, deal, dealEvent, skippedDeal, tokenTotal } from 'ponder:schema';
import type { Hex } from 'viem';
import { decodeDealState, feeAt, offerId } from '../../contracts/terms.ts';

/** The events that move a deal that exists, each with the state that it left behind. */
const MOVES = [
  'Released',
  'Refunded',
  'Claimed',
  'Reclaimed',
  'PaymentReturned',
  'DisputeWithdrawn',
  'Resolved',
  'DealSettled',
] as const;

type EscrowEvent =
  `Escrow:${(typeof MOVES)[number] | 'Deposited' | 'DealCancelled' | 'DisputeOpened' | 'Skipped' | 'Credited' | 'Withdrawn'}`;
type At = { event: Event<EscrowEvent>; context: Context<EscrowEvent> };
type State = { released: bigint; refunded: bigint; status: string; disputedBy: 'payer' | 'payee' | null };

const NUMBER_SHIFT = 192n;
const OPENED_BY_PAYEE = 1n << 248n;

function stateOf(word: bigint): State {
  const { released, refunded, status } = decodeDealState(word);
  const opener = word & OPENED_BY_PAYEE ? 'payee' : 'payer';
  return { released, refunded, status: status.toLowerCase(), disputedBy: status === 'Disputed' ? opener : null };
}

function deployment({ event, context }: At) {
  return { chainId: BigInt(context.chain.id), diamond: event.log.address };
}

function place({ event }: At) {
  return { blockNumber: event.block.number, logIndex: event.log.logIndex };
}

function last({ event }: At) {
  return {
    lastBlock: event.block.number,
    lastTimestamp: event.block.timestamp,
    lastTransaction: event.transaction.hash,
    lastLogIndex: event.log.logIndex,
  };
}

async function record(
  at: At,
  name: string,
  dealId: Hex,
  { released, refunded, status }: State,
  evidence: Hex | null = null,
) {
  const { block, transaction } = at.event;
  const facts = {
    dealId,
    name,
    released,
    refunded,
    status,
    evidence,
    sender: transaction.from,
    blockHash: block.hash,
    blockTimestamp: block.timestamp,
    transactionHash: transaction.hash,
  };
  await at.context.db
    .insert(dealEvent)
    .values({ ...deployment(at), ...place(at), ...facts })
    .onConflictDoUpdate(facts);
}

async function move(at: At, name: string, id: Hex, state: State, evidence: Hex | null = null) {
  const key = { ...deployment(at), id };
  const before = await at.context.db.find(deal, key);
  if (before === null) throw new Error(`${name} of a deal that was never deposited: ${id}`);
  await at.context.db.update(deal, key).set({ ...state, ...last(at) });
  await record(at, name, id, state, evidence);
  await sumUp(at, before, state);
}

/** Adds what a deal's move changed to its token's totals and to its fee recipient's credit: fees accrue without an event. */
async function sumUp(at: At, before: typeof deal.$inferSelect, after: Pick<State, 'released' | 'refunded'>) {
  const fees = feeAt(before, after.released) - feeAt(before, before.released);
  const held = (state: Pick<State, 'released' | 'refunded'>) => {
    const rest = before.amount - state.released - state.refunded;
    return rest > 0n ? rest : 0n;
  };
  if (fees > 0n) await addCredit(at, before.token, before.feeRecipient, fees);
  await addTotals(at, before.token, {
    credits: fees,
    released: after.released - before.released,
    refunded: after.refunded - before.refunded,
    fees,
    held: held(after) - held(before),
  });
}

async function addCredit(at: At, token: Hex, account: Hex, amount: bigint) {
  await at.context.db
    .insert(credit)
    .values({ ...deployment(at), token, account, amount })
    .onConflictDoUpdate((row) => ({ amount: row.amount + amount }));
}

const NOTHING = { deals: 0, deposited: 0n, released: 0n, refunded: 0n, fees: 0n, held: 0n, credits: 0n };

async function addTotals(at: At, token: Hex, change: Partial<typeof NOTHING>) {
  const added = { ...NOTHING, ...change };
  await at.context.db
    .insert(tokenTotal)
    .values({ ...deployment(at), token, ...added })
    .onConflictDoUpdate((row) => ({
      deals: row.deals + added.deals,
      deposited: row.deposited + added.deposited,
      released: row.released + added.released,
      refunded: row.refunded + added.refunded,
      fees: row.fees + added.fees,
      held: row.held + added.held,
      credits: row.credits + added.credits,
    }));
}

async function recordCredit(
  at: At,
  name: 'Credited' | 'Withdrawn',
  credit: { token: Hex; account: Hex; amount: bigint },
) {
  const { block, transaction } = at.event;
  const facts = { name, ...credit, blockTimestamp: block.timestamp, transactionHash: transaction.hash };
  await at.context.db
    .insert(creditEvent)
    .values({ ...deployment(at), ...place(at), ...facts })
    .onConflictDoUpdate(facts);
}

ponder.on('Escrow:Deposited', async ({ event, context }) => {
  const at: At = { event, context };
  const { id, terms } = event.args;
  const key = { ...deployment(at), id };
  const state: State = { released: 0n, refunded: 0n, status: 'funded', disputedBy: null };
  const facts = {
    ...terms,
    ...state,
    offerId: offerId(terms, context.chain.id, event.log.address),
    number: terms.ref >> NUMBER_SHIFT,
    depositBlock: event.block.number,
    depositTimestamp: event.block.timestamp,
    depositTransaction: event.transaction.hash,
    depositLogIndex: event.log.logIndex,
    ...last(at),
  };
  await context.db
    .insert(deal)
    .values({ ...key, ...facts })
    .onConflictDoUpdate(facts);
  await record(at, 'Deposited', id, state);
  await addTotals(at, terms.token, { deals: 1, deposited: terms.amount, held: terms.amount });
});

for (const name of MOVES) {
  ponder.on(`Escrow:${name}`, async ({ event, context }) => {
    await move({ event, context }, name, event.args.id, stateOf(event.args.state));
  });
}

ponder.on('Escrow:DisputeOpened', async ({ event, context }) => {
  const { id, state, evidence } = event.args;
  await move({ event, context }, 'DisputeOpened', id, stateOf(state), evidence);
});

ponder.on('Escrow:DealCancelled', async ({ event, context }) => {
  const at: At = { event, context };
  const { id } = event.args;
  const state = stateOf(event.args.state);
  if (state.status !== 'cancelled') return await move(at, 'DealCancelled', id, state);
  const facts = {
    block: event.block.number,
    timestamp: event.block.timestamp,
    transaction: event.transaction.hash,
    logIndex: event.log.logIndex,
  };
  await context.db
    .insert(closedDeal)
    .values({ ...deployment(at), id, ...facts })
    .onConflictDoUpdate(facts);
  await record(at, 'DealCancelled', id, state);
});

ponder.on('Escrow:Skipped', async ({ event, context }) => {
  const at: At = { event, context };
  const facts = { dealId: event.args.id, reason: event.args.reason, transactionHash: event.transaction.hash };
  await context.db
    .insert(skippedDeal)
    .values({ ...deployment(at), ...place(at), ...facts })
    .onConflictDoUpdate(facts);
});

ponder.on('Escrow:Credited', async ({ event, context }) => {
  const at: At = { event, context };
  const { token, account, amount } = event.args;
  await recordCredit(at, 'Credited', event.args);
  await addCredit(at, token, account, amount);
  await addTotals(at, token, { credits: amount });
});

ponder.on('Escrow:Withdrawn', async ({ event, context }) => {
  const at: At = { event, context };
  const { token, account, amount } = event.args;
  await recordCredit(at, 'Withdrawn', event.args);
  await addCredit(at, token, account, -amount);
  await addTotals(at, token, { credits: -amount });
});
