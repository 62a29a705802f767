/** What was promised to clients, receivers and the chain: nothing lost, nothing done twice, no nonce left out, and our own checks agree. */
import type { Hex } from 'viem';
import { Chain } from '../../api/core/chain/chain.ts';
import { findNetwork } from '../../api/core/platform/platform.ts';
import { rebuildNetwork } from '../../api/core/reconciliation/rebuild.ts';
import { agrees, reconcileNetwork } from '../../api/core/reconciliation/reconcile.ts';
import { asText } from '../../api/core/reconciliation/reconciliations.ts';
import type { Evidence, Violation } from './money-invariants.ts';
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

type Asked = { id: string; paymentId: string; verb: string; status: string; amountUnits: bigint | null };

/** Every operation that was accepted has its end, and each part moved as often as it is said to be done. */
export async function checkOperations({ stage, truth, made }: Evidence): Promise<Violation[]> {
  const violations: Violation[] = [];
  const rows = await stage.sql<Asked[]>`select id, payment_id, verb, status, amount_units from operation`;
  const byId = new Map(rows.map((row) => [row.id, row]));
  const legs = await stage.sql<{ paymentId: string; dealId: Hex | null }[]>`select payment_id, deal_id from deal`;
  const dealOf = new Map(legs.map(({ paymentId, dealId }) => [paymentId, dealId]));
  const byPayment = Map.groupBy(rows, ({ paymentId }) => paymentId);
  for (const { id, accepted, story } of made.values()) {
    for (const operation of accepted) {
      const status = byId.get(operation)?.status;
      if (status === undefined)
        violations.push({ invariant: 'operations', what: `operation ${operation} of payment ${id} is lost` });
    }
    const own = byPayment.get(id) ?? [];
    const deal = truth.deals.get(dealOf.get(id) ?? '0x');
    // Whoever releases or resolves all that is held moves an amount that the operation does not name.
    if (!deal || own.some(({ verb }) => verb === 'release' || verb === 'resolve') || story === 'released by the buyer')
      continue;
    const done = own.filter(({ verb, status }) => verb === 'releasePart' && status === 'done');
    const units = done.reduce((sum, { amountUnits }) => sum + (amountUnits ?? 0n), 0n);
    if (deal.released !== units) {
      const what = `payment ${id}: parts of ${units} are done, ${deal.released} was released on chain`;
      violations.push({ invariant: 'operations', what });
    }
  }
  return violations;
}

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
