/** What `npm run bench:worker` measures on: a PostgreSQL, a chain with the escrow, two operators and deals that they may release. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { createTestClient, type Hex, http, parseEther, publicActions, walletActions, zeroAddress } from 'viem';
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import { hardhat } from 'viem/chains';
import { Chain } from '../../api/core/chain/chain.ts';
import { keySigner } from '../../api/core/chain/signers.ts';
import { Submitter } from '../../api/core/chain/submitter.ts';
import { termsToJson } from '../../api/core/chain/terms.ts';
import { connect, migrate, transact } from '../../api/core/database/db.ts';
import { enqueue, startQueue } from '../../api/core/database/queue.ts';
import { requestOperation } from '../../api/core/payments/operations.ts';
import { createChain, createNetwork, createNode } from '../../api/core/platform/platform.ts';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { dealId, type Terms } from '../../contracts/terms.ts';
import { buildArtifacts } from '../artifacts.ts';
import { deploy } from '../deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from '../dev/accounts.ts';
import { startChain } from '../dev/hardhat.ts';
import { createDatabase, startPostgres } from '../dev/postgres.ts';
import { startIndexing } from '../dev/services.ts';
import { openCheckout, seedBench } from './checkout.ts';

const AMOUNT_UNITS = 25_000_000n;
const DEPOSITS_AT_ONCE = 50;
const POLL_MS = 25;
const WEBHOOK_WAIT_MS = 60_000;
const DAY_SECONDS = 86_400n;

export type Stage = Awaited<ReturnType<typeof openStage>>;

/** Starts everything below `folder`. */
export async function openStage(folder: string) {
  buildArtifacts();
  const [postgres, node] = await Promise.all([
    startPostgres({ dataDir: join(folder, 'postgres'), logPath: join(folder, 'postgres.log') }),
    startChain({ logPath: join(folder, 'chain.log') }),
  ]);
  await migrate(postgres.url);
  const entry = await deploy({
    ...{ rpcUrl: node.rpcUrl, privateKey: hardhatKey(ROLES.deployer), testTokens: true },
    addressBookPath: join(folder, 'addresses.json'),
  });
  const { diamond, chainId, tokens } = entry;
  if (!tokens.USDC) throw new Error('The test token was not deployed.');
  const token = tokens.USDC.address;
  const chain = createTestClient({
    chain: hardhat,
    mode: 'hardhat',
    transport: http(node.rpcUrl),
    pollingInterval: POLL_MS,
  })
    .extend(publicActions)
    .extend(walletActions);
  const buyer = hardhatAccount(ROLES.buyer);
  const erc20 = { account: buyer, address: token, abi: usdcAbi } as const;
  await chain.writeContract({ ...erc20, functionName: 'mint', args: [buyer.address, 10n ** 15n] });
  const keys = { ours: generatePrivateKey(), other: generatePrivateKey() };
  const sql = connect(postgres.url);
  const { id: nodeId } = await createNode(sql, { name: 'bench' });
  const { id: ourChainId } = await createChain(sql, { name: 'bench', eip155Id: chainId });
  for (const key of Object.values(keys)) {
    await chain.setBalance({ address: privateKeyToAccount(key).address, value: parseEther('100') });
  }
  const network = await createNetwork(sql, {
    ...{ chainId: ourChainId, name: 'bench', rpcUrls: [node.rpcUrl], diamondAddress: diamond, confirmations: 1 },
    operatorAddress: privateKeyToAccount(keys.ours).address,
  });

  let picked = (_at: number) => {};
  const queue = await startQueue(
    sql,
    postgres.url,
    { create_payment: async () => picked(performance.now()), submit_operation: async () => {} },
    { concurrency: 8, onError: () => {} },
  );

  /** Opens deals in `whose` name, with the same terms but for their numbers. */
  async function deposit(whose: keyof typeof keys, count: number): Promise<Terms[]> {
    // Who pays a payment allows exactly its price.
    await chain.writeContract({ ...erc20, functionName: 'approve', args: [diamond, 10n ** 15n] });
    const now = (await chain.getBlock()).timestamp;
    const operator = privateKeyToAccount(keys[whose]).address;
    const deals = Array.from(
      { length: count },
      (): Terms => ({
        ...{
          ref: BigInt(generatePrivateKey()),
          operator,
          payee: hardhatAccount(ROLES.payee).address,
          payer: buyer.address,
        },
        ...{ token, amount: AMOUNT_UNITS, fee: 250_000n, feeRecipient: hardhatAccount(ROLES.feeRecipient).address },
        ...{ arbiter: zeroAddress, defaultOutcome: 0, depositDeadline: now + DAY_SECONDS },
        ...{ settlementDeadline: now + 2n * DAY_SECONDS, resolutionDeadline: now + 3n * DAY_SECONDS },
      }),
    );
    for (let from = 0; from < count; from += DEPOSITS_AT_ONCE) {
      const args = [deals.slice(from, from + DEPOSITS_AT_ONCE)] as const;
      await chain.writeContract({
        account: buyer,
        address: diamond,
        abi: escrowAbi,
        functionName: 'depositMany',
        args,
      });
    }
    return deals;
  }

  return {
    deposit,

    /** Enqueues one piece of work and answers the milliseconds from its commit to its handler. */
    async pickUp(): Promise<number> {
      const pickedAt = new Promise<number>((resolve) => {
        picked = resolve;
      });
      const payload = { nodeId, paymentId: crypto.randomUUID() };
      await transact(sql, (tx) => enqueue(tx, 'create_payment', payload, { key: payload.paymentId, maxAttempts: 1 }));
      const committedAt = performance.now();
      return (await pickedAt) - committedAt;
    },

    /** Pays payments one after the other; answers the milliseconds from each deposit's block to its webhook. */
    async paidToWebhooks(payments: number): Promise<number[]> {
      // A database of its own: the queue that is measured in the other has handlers that do nothing.
      const databaseUrl = await createDatabase(postgres.url, 'paid');
      await migrate(databaseUrl);
      const place = { folder, databaseUrl, rpcUrl: node.rpcUrl, entry };
      const paid = connect(databaseUrl, { maxConnections: 1 });
      const seeded = await seedBench(paid, place);
      await paid.end();
      const indexer = await startIndexing({ databaseUrl, logPath: join(folder, 'indexer.log') });
      const checkout = await openCheckout(place, seeded);
      const receiver = await receiveWebhooks();
      await checkout.sendEventsTo(receiver.url);
      const times: number[] = [];
      for (let index = 0; index < payments; index += 1) times.push(await checkout.pay(receiver.funded));
      await checkout.close();
      receiver.close();
      await indexer.process.stop();
      return times;
    },

    /** From now on a block comes so often, and only then. */
    async mineEvery(blockMs: number): Promise<void> {
      await chain.setAutomine(false);
      // viem counts seconds here; the node's own unit is milliseconds.
      await chain.request({ method: 'evm_setIntervalMining' as never, params: [blockMs] as never });
    },

    /** Releases each deal after the receipt of the one before; answers the seconds that took. */
    async sendAndWait(deals: readonly Terms[]): Promise<number> {
      const account: PrivateKeyAccount = privateKeyToAccount(keys.other);
      const startedAt = performance.now();
      for (const terms of deals) {
        const call = { account, address: diamond, abi: escrowAbi, functionName: 'release', args: [terms] } as const;
        const { status } = await chain.waitForTransactionReceipt({ hash: await chain.writeContract(call) });
        if (status !== 'success') throw new Error('A release of the comparison reverted.');
      }
      return (performance.now() - startedAt) / 1_000;
    },

    /** Asks for a release of each deal and lets a submitter carry them out; answers the seconds from first to last. */
    async submit(deals: readonly Terms[]): Promise<number> {
      const signers = [keySigner(keys.ours)];
      const log = pino({ level: 'silent' });
      const submitter = new Submitter({ sql, databaseUrl: postgres.url, chain: new Chain(), signers, log });
      const startedAt = performance.now();
      for (const terms of deals) {
        const target = { nodeId, paymentId: null, legId: null, networkId: network.id, amountUnits: null, stray: true };
        const id: Hex = dealId(terms, chainId, diamond);
        await transact(sql, (tx) =>
          requestOperation(
            tx,
            { ...target, verb: 'release', dealId: id, terms: termsToJson(terms) },
            { type: 'system' },
          ),
        );
        void submitter.wake(network.id);
      }
      for (;;) {
        const [left] = await sql<{ failed: number; open: number }[]>`
          select count(*) filter (where status = 'failed')::int as failed,
            count(*) filter (where status in ('queued', 'submitted'))::int as open from operation`;
        if (left?.failed) throw new Error(`${left.failed} releases failed.`);
        if (left?.open === 0) break;
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      const seconds = (performance.now() - startedAt) / 1_000;
      await submitter.stop();
      return seconds;
    },

    async close(): Promise<void> {
      await queue.stop();
      await sql.end({ timeout: 5 });
      await node.stop();
      await postgres.stop();
    },
  };
}

/** A receiver on loopback; `funded` resolves with the time at which the event that a payment is funded came. */
async function receiveWebhooks() {
  const waiting = new Map<string, (at: number) => void>();
  const server = createServer(async (request, response) => {
    const at = performance.now();
    let text = '';
    for await (const chunk of request) text += chunk;
    response.writeHead(204).end();
    const { type, data } = JSON.parse(text);
    if (type === 'payment.funded') waiting.get(data.payment_id)?.(at);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    funded: (paymentId: string) =>
      new Promise<number>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`No webhook of payment ${paymentId} came.`)), WEBHOOK_WAIT_MS);
        waiting.set(paymentId, (at) => {
          clearTimeout(late);
          resolve(at);
        });
      }),
    close(): void {
      server.closeAllConnections();
      server.close();
    },
  };
}
