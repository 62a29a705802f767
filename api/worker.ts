// The worker: claims queued work, settles what the mirror says and sends webhooks, pass after pass. Any number of them may run.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Chain } from './core/chain/chain.ts';
import { mirroredBlock } from './core/chain/mirror.ts';
import type { Signer } from './core/chain/signers.ts';
import { Submitter } from './core/chain/submitter.ts';
import { systemClock } from './core/clock.ts';
import type { Sql } from './core/database/db.ts';
import { startQueue } from './core/database/queue.ts';
import { forgetOldAnswers } from './core/database/replay.ts';
import { takeOver } from './core/payments/awaited.ts';
import { consumeCreation } from './core/payments/consumer.ts';
import { findOperation } from './core/payments/operations.ts';
import { lookAtReports } from './core/payments/reported.ts';
import { type Pass, settleNetwork } from './core/payments/settle.ts';
import { stepPayouts } from './core/payouts/execution.ts';
import { findNetwork, listNetworks } from './core/platform/platform.ts';
import type { Providers } from './core/rails/provider.ts';
import { stepRails } from './core/rails/railSteps.ts';
import { type ReconciliationRow, reconcileWhenDue } from './core/reconciliation/reconciliations.ts';
import type { NetworkRow } from './core/schema.ts';
import type { Vault } from './core/vault.ts';
import { addAttemptPartitions } from './core/webhooks/deliveries.ts';
import { startDispatcher } from './core/webhooks/dispatch.ts';

// How often the mirror is asked how far it has come; only when it moved are the nodes asked too.
const SETTLE_INTERVAL_MS = 100;
// Where nothing moved: for nodes that were behind the mirror or answer again, and for what an operator changed.
const SETTLE_ANYWAY_MS = 250;
// Deeper than any reorganisation of a chain in use; what goes deeper waits for the next look at everything.
const LOOK_BACK_BLOCKS = 256n;
// With 300,000 legs that takes 3.3 s, a pass over what was touched 5 ms.
const LOOK_AT_ALL_INTERVAL_MS = 300_000;
// Somebody who has just typed a card looks at the shop's page.
const RAILS_INTERVAL_MS = 250;
// As soon as a leg's last move is mirrored the next payout of it may begin; the mirror is no faster.
const PAYOUTS_INTERVAL_MS = 250;
const TIDY_INTERVAL_MS = 3_600_000;
// How often somebody asks whether a comparison is due; one a network and hour is made.
const RECONCILE_CHECK_MS = 60_000;
// More would only wait for the pool's connections.
const CONCURRENCY = 8;

/** Starts a worker; `stop` lets work that is running finish. */
export async function startWorker(services: {
  sql: Sql;
  vault: Vault;
  databaseUrl: string;
  signers: readonly Signer[];
  providers: Providers;
  log: Logger;
}): Promise<{ stop(): Promise<void> }> {
  const { sql, vault, databaseUrl, signers, providers, log } = services;
  const chain = new Chain();
  const submitter = new Submitter({ sql, databaseUrl, chain, signers, log });
  const queue = await startQueue(
    sql,
    databaseUrl,
    {
      create_payment: (key, attempt) => consumeCreation(sql, chain, key, attempt),
      // Only a hint: what waits is in the table, and goes out with whatever else does.
      submit_operation: async (key) => {
        const operation = await findOperation(sql, key);
        if (!operation || !(await takeOver(sql, operation, (address) => submitter.holdsKey(address)))) return;
        if (operation.networkId) await submitter.wake(operation.networkId);
      },
    },
    { concurrency: CONCURRENCY, onError: (work, err, about) => log.warn({ work, ...about, err }, 'an attempt failed') },
  );
  const settling = settleForever(sql, chain, log);
  const rails = stepRailsForever(sql, providers, log);
  const paying = stepPayoutsForever(sql, log);
  const dispatching = startDispatcher(sql, vault, {
    clock: systemClock,
    onError: (err) => log.warn({ err }, 'webhooks cannot be sent; every pass tries again'),
    onAlert: ({ what, ...endpoint }) => log.warn(endpoint, `webhook endpoint: ${what}`),
  });
  const tidying = setInterval(() => {
    forgetOldAnswers(sql).catch((err) => log.warn({ err }, 'old answers cannot be forgotten'));
    addAttemptPartitions(sql).catch((err) => log.warn({ err }, 'webhook_attempt has no partition for a month to come'));
  }, TIDY_INTERVAL_MS);
  const reconciling = setInterval(() => {
    reconcileWhenDue(sql, chain).then(
      (runs) => {
        for (const run of runs) reportRun(log, run);
      },
      (err) => log.warn({ err }, 'chain, mirror and ledger cannot be compared'),
    );
  }, RECONCILE_CHECK_MS);
  return {
    async stop() {
      clearInterval(tidying);
      clearInterval(reconciling);
      await settling.stop();
      await rails.stop();
      await paying.stop();
      await dispatching.stop();
      await queue.stop();
      await submitter.stop();
    },
  };
}

function reportRun(log: Logger, { id, networkId, block, deals, differing, failure }: ReconciliationRow): void {
  const about = { reconciliation: id, networkId, block, deals };
  if (failure !== null) log.warn({ ...about, failure }, 'chain, mirror and ledger cannot be compared');
  else if (differing > 0) log.error({ ...about, differing }, 'chain, mirror and ledger differ: npx dealkeep reconcile');
  else log.info(about, 'chain, mirror and ledger say the same');
}

/** Asks providers for what is due, pass after pass. */
function stepRailsForever(sql: Sql, providers: Providers, log: Logger): { stop(): Promise<void> } {
  return forever(RAILS_INTERVAL_MS, async () => {
    try {
      return await stepRails(sql, providers, ({ id, provider }, err) =>
        log.warn({ attempt: id, provider, err }, 'a provider was not reached; it is asked again'),
      );
    } catch (err) {
      log.warn({ err }, 'rails cannot be stepped; every pass tries again');
      return 0;
    }
  });
}

/** Begins payouts whose time has come, pass after pass. */
function stepPayoutsForever(sql: Sql, log: Logger): { stop(): Promise<void> } {
  return forever(PAYOUTS_INTERVAL_MS, async () => {
    try {
      return await stepPayouts(sql, systemClock.now(), (payout, err) =>
        log.warn({ ...payout, err }, 'a payout cannot be begun; every pass tries again'),
      );
    } catch (err) {
      log.warn({ err }, 'payouts cannot be begun; every pass tries again');
      return 0;
    }
  });
}

/** Runs `pass` again and again until stopped; one that did nothing is followed by a pause. */
function forever(pauseMs: number, pass: () => Promise<number>): { stop(): Promise<void> } {
  let stopped = false;
  async function run(): Promise<void> {
    while (!stopped) if ((await pass()) === 0) await sleep(pauseMs);
  }
  const running = run();
  return {
    async stop() {
      stopped = true;
      await running;
    },
  };
}

/** Settles every network again and again, each on its own: one that does not answer holds up no other. */
function settleForever(sql: Sql, chain: Chain, log: Logger): { stop(): Promise<void> } {
  const passes = new Map<string, Promise<void>>();
  const failing = new Set<string>();
  // A hint only: a worker that starts, and every one now and then, looks at everything.
  const progress = new Map<string, { settledTo: bigint; allSeenAt: number }>();
  const looked = new Map<string, { mirrored: bigint | null; at: number }>();
  let stopped = false;

  /** Whether the mirror stands where the last pass found it, a moment ago. */
  async function isStill(network: NetworkRow): Promise<boolean> {
    const mirrored = await mirroredBlock(sql, network);
    const last = looked.get(network.id);
    if (last?.mirrored === mirrored && performance.now() - last.at < SETTLE_ANYWAY_MS) return true;
    looked.set(network.id, { mirrored, at: performance.now() });
    return false;
  }

  async function settleUntilDone(listed: NetworkRow): Promise<void> {
    let network = listed;
    try {
      await lookAtReports(sql, chain, network);
      if (await isStill(network)) return;
      const known = progress.get(network.id);
      const all = !known || performance.now() - known.allSeenAt > LOOK_AT_ALL_INTERVAL_MS;
      const since = all || known.settledTo < LOOK_BACK_BLOCKS ? 0n : known.settledTo - LOOK_BACK_BLOCKS;
      let pass: Pass;
      for (;;) {
        pass = await settleNetwork(sql, chain, network, { since });
        if (stopped || pass.dealtWith === 0) break;
        // Much to deal with takes long; nodes and confirmations that an operator asks for meanwhile hold at once.
        network = await findNetwork(sql, network.id);
      }
      if (pass.settledTo !== null) {
        const allSeenAt = all ? performance.now() : known.allSeenAt;
        progress.set(network.id, { settledTo: pass.settledTo, allSeenAt });
      }
      if (failing.delete(network.id)) log.info({ network: network.name }, 'settling works again');
    } catch (err) {
      // Said once, not at every pass.
      if (!failing.has(network.id)) log.warn({ network: network.name, err }, 'settling fails; every pass tries again');
      failing.add(network.id);
    } finally {
      passes.delete(network.id);
    }
  }

  async function startPasses(): Promise<void> {
    for (const network of await listNetworks(sql)) {
      if (!stopped && !passes.has(network.id)) passes.set(network.id, settleUntilDone(network));
    }
  }

  const timer = setInterval(() => {
    startPasses().catch((err) => log.warn({ err }, 'the networks cannot be read'));
  }, SETTLE_INTERVAL_MS);
  return {
    async stop() {
      stopped = true;
      clearInterval(timer);
      await Promise.all(passes.values());
    },
  };
}
