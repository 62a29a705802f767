/** What was promised to clients, receivers and the chain: nothing lost, nothing done twice, no nonce left out, and our own checks agree. */
import type { Hex } from 'viem';
import { Chain } from '../../api/core/chain/chain.ts';
import { findNetwork } from '../../api/core/platform/platform.ts';
import { rebuildNetwork } from '../../api/core/reconciliation/rebuild.ts';
import { agrees, reconcileNetwork } from '../../api/core/reconciliation/reconcile.ts';
import { asText } from '../../api/core/reconciliation/reconciliations.ts';
import type { Evidence, Violation } from './money-invariants.ts';
import { moveOf } from './recomputation.ts';
import type { Stage } from './stage.ts';

/** Payments of which a 201 was given and that are not there. */
export async function findLost({ stage, made }: Evidence): Promise<string[]> {
  const rows = await stage.sql<{ id: string }[]>`select id from payment`;
  const known = new Set(rows.map(({ id }) => id));
  return [...made.keys()].filter((id) => !known.has(id));
}

/** External ids that two payments have. */
export async function findDoubled({ stage }: Evidence): Promise<string[]> {
  const rows = await stage.sql<{ externalId: string }[]>`
    select external_id from payment group by external_id having count(*) > 1`;
  return rows.map(({ externalId }) => externalId);
}

type Asked = {
  id: string;
  paymentId: string;
  verb: string;
  status: string;
  amountUnits: bigint | null;
  dealId: Hex | null;
  transactionHash: Hex | null;
};

/** Every operation that was accepted is there; each that is done was done once, and nothing was done by us that none asked for. */
export async function checkOperations({ stage, truth, made }: Evidence): Promise<Violation[]> {
  const violations: Violation[] = [];
  const wrong = (what: string) => violations.push({ invariant: 'operations', what });
  const rows = await stage.sql<Asked[]>`
    select id, payment_id, verb, status, amount_units, deal_id, transaction_hash from operation`;
  const known = new Set(rows.map(({ id }) => id));
  for (const { id, accepted } of made.values()) {
    for (const operation of accepted)
      if (!known.has(operation)) wrong(`operation ${operation} of payment ${id} is lost`);
  }
  const ours = await stage.sql<
    { hash: Hex }[]
  >`select mined_hash as hash from chain_transaction where mined_hash is not null`;
  const said = Map.groupBy(
    rows.filter(({ status, dealId, transactionHash }) => status === 'done' && dealId && transactionHash),
    ({ dealId, transactionHash }) => moveOf(transactionHash ?? '0x', dealId ?? '0x'),
  );
  for (const [key, done] of said) {
    const move = truth.moves.get(key) ?? NO_MOVE;
    const about = `${done.map(({ id, verb }) => `${verb} ${id}`).join(', ')}, done by ${key},`;
    if (move.times !== done.length) wrong(`${about} is on chain ${move.times} times`);
    const parts = done.every(({ verb }) => verb === 'releasePart');
    const units = done.reduce((sum, { amountUnits }) => sum + (amountUnits ?? 0n), 0n);
    if (parts && move.released !== units) wrong(`${about} of ${units} released ${move.released}`);
  }
  const hashes = new Set(ours.map(({ hash }) => hash.toLowerCase()));
  // A cancellation closes every form in which the offer was handed out.
  for (const { verb, status, transactionHash } of rows) {
    if (verb === 'cancelDeal' && status === 'done' && transactionHash) hashes.delete(transactionHash.toLowerCase());
  }
  for (const [key, { times }] of truth.moves) {
    const [hash = ''] = key.split(' ');
    if (hashes.has(hash) && !said.has(key)) wrong(`${key} is on chain ${times} times, and no operation is done by it`);
  }
  return violations;
}

const NO_MOVE = { times: 0, released: 0n, refunded: 0n };

/** Every event reached the receiver, rightly signed, and of each payment none before the one that happened before it. */
export async function checkWebhooks({ stage }: Evidence): Promise<Violation[]> {
  const { accepted, badlySigned } = stage.receiver;
  const events = await stage.sql<{ id: string; paymentId: string; eventType: string }[]>`
    select id, payment_id, event_type from payment_log order by payment_id, position`;
  const violations = badlySigned.map((id) => ({ invariant: 'webhooks', what: `${id} came with a wrong signature` }));
  let before: { paymentId: string; place: number; type: string } | undefined;
  for (const { id, paymentId, eventType } of events) {
    const place = accepted.get(id)?.place;
    const about = `payment ${paymentId}: ${eventType} (${id})`;
    if (place === undefined) {
      violations.push({ invariant: 'webhooks', what: `${about} never came` });
      continue;
    }
    if (before?.paymentId === paymentId && place < before.place) {
      violations.push({ invariant: 'webhooks', what: `${about} came before ${before.type}` });
    }
    before = { paymentId, place, type: eventType };
  }
  return violations;
}

type Nonce = { nonce: bigint; status: string; minedHash: Hex | null };

/** The operator's nonces are ours without a gap, but for those that were used outside; and what is mined is what we stored. */
export async function checkNonces({ stage }: Evidence): Promise<Violation[]> {
  const { sql, chain, operator, outside } = stage;
  const violations: Violation[] = [];
  const wrong = (what: string) => violations.push({ invariant: 'nonces', what });
  const rows = await sql<Nonce[]>`
    select nonce, status, mined_hash from chain_transaction where signer = ${operator.toLowerCase()} order by nonce`;
  const count = BigInt(await chain.getTransactionCount({ address: operator }));
  const byNonce = new Map(rows.map((row) => [row.nonce, row]));
  let foreign = 0;
  for (let nonce = 0n; nonce < count; nonce += 1n) {
    const row = byNonce.get(nonce);
    if (row === undefined || row.status === 'taken') foreign += 1;
    else if (row.status === 'open') wrong(`nonce ${nonce} is used on chain and open in its row`);
    else if (!(await isMinedAs(stage, row))) wrong(`nonce ${nonce}: ${row.minedHash} is not on chain`);
  }
  if (foreign > outside.size) wrong(`${foreign} nonces are not ours, and only ${outside.size} were used outside`);
  for (const { nonce, status } of rows) if (nonce >= count) wrong(`nonce ${nonce} is ${status}, and not on chain`);
  return violations;
}

async function isMinedAs({ chain }: Stage, { nonce, minedHash }: Nonce): Promise<boolean> {
  if (!minedHash) return false;
  const found = await chain.getTransaction({ hash: minedHash }).catch(() => null);
  return found !== null && BigInt(found.nonce) === nonce && found.blockNumber !== null;
}

/** `dealkeep reconcile --all` and `dealkeep rebuild` find nothing either. */
export async function checkOwnChecks({ stage }: Evidence): Promise<Violation[]> {
  const { sql, seeded } = stage;
  const network = await findNetwork(sql, seeded.networkId);
  const chain = new Chain();
  const reconciled = await reconcileNetwork(sql, chain, network, { all: true });
  const violations = agrees(reconciled)
    ? []
    : [...reconciled.differences, ...reconciled.tokens.filter(({ agrees: isRight }) => !isRight)].map((one) => ({
        invariant: 'reconcile',
        what: JSON.stringify(asText(one)),
      }));
  const { misstated } = await rebuildNetwork(sql, chain, network);
  for (const one of misstated) violations.push({ invariant: 'rebuild', what: JSON.stringify(one) });
  return violations;
}
