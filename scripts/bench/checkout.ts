/**
 * A shop and a buyer on services of their own, for benches that time what follows a deposit: payments that are paid one after
 * the other, and when each block was first seen. The indexer runs already.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPublicClient, http } from 'viem';
import { connect, type Sql } from '../../api/core/database/db.ts';
import { createBuyer } from '../demo/buyer.ts';
import { Shop } from '../demo/shop.ts';
import type { NetworkEntry } from '../deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from '../dev/accounts.ts';
import { type Seed, seed } from '../dev/seed.ts';
import { startApi, startWorker } from '../dev/services.ts';

const POLL_MS = 5;

/** A database that is migrated, and a chain with the diamond. */
export type Place = { folder: string; databaseUrl: string; rpcUrl: string; entry: NetworkEntry };

/** Seeds a node, marked local, on a network whose facts count at one confirmation. */
export async function seedBench(sql: Sql, { entry, rpcUrl }: Pick<Place, 'entry' | 'rpcUrl'>): Promise<Seed> {
  const [operator, payee] = [hardhatAccount(ROLES.operator).address, hardhatAccount(ROLES.payee).address];
  return await seed(sql, {
    ...{ entry, rpcUrls: [rpcUrl], operator, payee, nodeName: 'bench', networkName: 'bench', confirmations: 1 },
    policy: {
      ...{ feeBps: 100, feeFixed: '0', feeRecipient: hardhatAccount(ROLES.feeRecipient).address, arbiter: null },
      ...{ settlementPeriodSeconds: 86_400, resolutionPeriodSeconds: 86_400, defaultOutcome: 'refund' },
    },
  });
}

/** When each block was first seen, by `performance.now()`, until stopped. */
function watchBlocks(rpcUrl: string): { seenAt: Map<bigint, number>; stop(): void } {
  const client = createPublicClient({ transport: http(rpcUrl), cacheTime: 0 });
  const seenAt = new Map<bigint, number>();
  let watching = true;
  void (async () => {
    while (watching) {
      const number = await client.getBlockNumber().catch(() => null);
      if (number !== null && !seenAt.has(number)) seenAt.set(number, performance.now());
      await sleep(POLL_MS);
    }
  })();
  return {
    seenAt,
    stop: () => {
      watching = false;
    },
  };
}

/** Starts an API and a worker, signs the shop in and gives it a buyer. */
export async function openCheckout({ folder, databaseUrl, rpcUrl, entry }: Place, seeded: Seed) {
  const services = { databaseUrl, secret: randomBytes(32).toString('hex') };
  const [api, worker] = await Promise.all([
    startApi({ ...services, logPath: join(folder, 'api.log') }),
    startWorker({ ...services, operatorKeys: [hardhatKey(ROLES.operator)], logPath: join(folder, 'worker.log') }),
  ]);
  const shop = await Shop.open({
    ...{ api_url: api.url, node_id: seeded.nodeId, network_id: seeded.networkId, wallet_id: seeded.walletId },
    ...{ currencies: seeded.currencies, payment_address: hardhatAccount(ROLES.payee).address },
    integration: { client_id: seeded.clientId, client_secret: seeded.clientSecret },
  });
  const { chainId: eip155_id, diamond } = entry;
  const buyer = createBuyer({ rpc_url: rpcUrl, eip155_id, diamond }, hardhatKey(ROLES.buyer));
  const sql = connect(databaseUrl, { maxConnections: 2 });
  const blocks = watchBlocks(rpcUrl);

  return {
    /** Has every event of the node sent to a receiver of webhooks on loopback. */
    sendEventsTo: async (url: string): Promise<void> => await shop.addWebhookEndpoint(url),

    /** Resolves with the time at which our own row says that the payment is funded. */
    async rowFunded(paymentId: string): Promise<number> {
      for (;;) {
        const [row] = await sql`select 1 from payment where id = ${paymentId} and status = 'funded'`;
        if (row) return performance.now();
        await sleep(POLL_MS);
      }
    },

    /** Pays a new payment; answers how many milliseconds after its deposit's block was first seen `arrives` says that it arrived. */
    async pay(arrives: (paymentId: string) => Promise<number>): Promise<number> {
      const payment = await shop.createPayment('USDC', '1');
      await shop.until(payment.id, 'awaiting_deposit');
      const arriving = arrives(payment.id);
      const { blockNumber } = await buyer.pay(await shop.widget(payment));
      const arrivedAt = await arriving;
      const seenAt = blocks.seenAt.get(blockNumber);
      if (seenAt === undefined) throw new Error(`Block ${blockNumber} was never seen as the newest.`);
      return arrivedAt - seenAt;
    },

    async close(): Promise<void> {
      blocks.stop();
      await sql.end();
      await Promise.all([api.process.stop(), worker.process.stop()]);
    },
  };
}
