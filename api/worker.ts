// The worker: claims queued work and settles what the mirror says, pass after pass. Any number of them may run.

import type { Logger } from 'pino';
import type { Hex } from 'viem';
import { Chain } from './core/chain.ts';
import { consumeCreation, consumeOperation } from './core/consumer.ts';
import type { Sql } from './core/db.ts';
import { listNetworks } from './core/platform.ts';
import { startQueue } from './core/queue.ts';
import { settleNetwork } from './core/settle.ts';
import { Submitter } from './core/submitter.ts';

// The mirror lags its chain by about this long anyway (toolchain.md, "Ponder").
const SETTLE_INTERVAL_MS = 250;
// More would only wait: one key sends one transaction after another.
const CONCURRENCY = 8;

/** Starts a worker; `stop` lets work that is running finish. */
export async function startWorker(services: {
  sql: Sql;
  databaseUrl: string;
  operatorKeys: readonly Hex[];
  log: Logger;
}): Promise<{ stop(): Promise<void> }> {
  const { sql, databaseUrl, operatorKeys, log } = services;
  const chain = new Chain();
  const submitter = new Submitter(sql, chain, operatorKeys);
  const queue = await startQueue(
    sql,
    databaseUrl,
    {
      create_payment: (key, attempt) => consumeCreation(sql, chain, key, attempt),
      submit_operation: (key) => consumeOperation(sql, submitter, key),
    },
    { concurrency: CONCURRENCY, onError: (work, err) => log.warn({ work, err }, 'an attempt failed') },
  );
  const settling = settleForever(sql, chain, log);
  return {
    async stop() {
      await settling.stop();
      await queue.stop();
    },
  };
}

function settleForever(sql: Sql, chain: Chain, log: Logger): { stop(): Promise<void> } {
  let stopped = false;
  let wake = () => {};
  const loop = (async () => {
    while (!stopped) {
      const settled = await settleAll(sql, chain, log);
      if (settled > 0 || stopped) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, SETTLE_INTERVAL_MS);
      });
    }
  })();
  return {
    async stop() {
      stopped = true;
      wake();
      await loop;
    },
  };
}

async function settleAll(sql: Sql, chain: Chain, log: Logger): Promise<number> {
  let settled = 0;
  for (const network of await listNetworks(sql).catch(() => [])) {
    try {
      settled += await settleNetwork(sql, chain, network);
    } catch (err) {
      log.warn({ network: network.name, err }, 'settling a network failed; the next pass tries again');
    }
  }
  return settled;
}
