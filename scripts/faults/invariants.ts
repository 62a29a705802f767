/** Every invariant, checked at rest; a check that cannot be made is a violation too. */
import { comeToRest } from './calm.ts';
import {
  checkConfirmations,
  checkDeals,
  checkLedger,
  checkMirror,
  checkSolvency,
  type Evidence,
  type Violation,
} from './money-invariants.ts';
import {
  checkNonces,
  checkOperations,
  checkOwnChecks,
  checkWebhooks,
  findDoubled,
  findLost,
} from './promise-invariants.ts';
import { recompute } from './recomputation.ts';
import type { Stage } from './stage.ts';
import type { Workload } from './workload.ts';

/** What was found at rest; `lost` and `doubled` are payments, `passing` what was not found again. */
export type Findings = { violations: Violation[]; lost: string[]; doubled: string[]; passing: Violation[] };

const CHECKS = {
  solvency: checkSolvency,
  deals: checkDeals,
  confirmations: checkConfirmations,
  ledger: checkLedger,
  mirror: checkMirror,
  operations: checkOperations,
  webhooks: checkWebhooks,
  nonces: checkNonces,
  'own checks': checkOwnChecks,
};

/**
 * Waits for rest and checks everything. What is found is looked at once more after another rest: time goes on meanwhile, so that a
 * payment may expire between two looks.
 */
export async function checkInvariants(stage: Stage, workload: Workload): Promise<Findings> {
  const first = await look(stage, workload);
  if (first.violations.length === 0 || first.violations.some(({ invariant }) => invariant === 'rest')) return first;
  const second = await look(stage, workload);
  const standing = new Set(second.violations.map(({ what }) => what));
  return { ...second, passing: first.violations.filter(({ what }) => !standing.has(what)) };
}

async function look(stage: Stage, workload: Workload): Promise<Findings> {
  const violations: Violation[] = [];
  await comeToRest(stage).catch((error: Error) => {
    violations.push({ invariant: 'rest', what: `two minutes after the last fault: ${error.message}` });
  });
  const block = await stage.chain.getBlockNumber();
  const truth = await recompute(stage.chain, { diamond: stage.diamond, startBlock: stage.startBlock, block });
  const evidence: Evidence = { stage, truth, made: workload.made };
  for (const [invariant, check] of Object.entries(CHECKS)) {
    const found = await check(evidence).catch((error: Error) => [{ invariant, what: `not checked: ${error.message}` }]);
    violations.push(...found);
  }
  const lost = await findLost(evidence);
  const doubled = [...(await findDoubled(evidence)), ...workload.doubled];
  for (const id of lost)
    violations.push({ invariant: 'lost', what: `payment ${id} was answered with 201 and is not there` });
  for (const what of workload.premature) violations.push({ invariant: 'confirmations', what });
  for (const what of doubled) violations.push({ invariant: 'doubled', what });
  return { violations, lost, doubled, passing: [] };
}
