/** What `npm run bench:worker` measures on: a PostgreSQL, a chain with the escrow, two operators and deals that they may release. */
import { join } from 'node:path';
import { pino } from 'pino';
import { createTestClient, type Hex, http, parseEther, publicActions, walletActions, zeroAddress } from 'viem';
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import { hardhat } from 'viem/chains';
import { Chain } from '../../api/core/chain.ts';
import { connect, migrate, transact } from '../../api/core/db.ts';
import { requestOperation } from '../../api/core/operations.ts';
import { createChain, createNetwork, createNode } from '../../api/core/platform.ts';
import { enqueue, startQueue } from '../../api/core/queue.ts';
import { keySigner } from '../../api/core/signers.ts';
import { Submitter } from '../../api/core/submitter.ts';
import { termsToJson } from '../../api/core/terms.ts';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { dealId, type Terms } from '../../contracts/terms.ts';
import { buildArtifacts } from '../artifacts.ts';
import { deploy } from '../deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from '../dev/accounts.ts';
import { startChain } from '../dev/hardhat.ts';
import { startPostgres } from '../dev/postgres.ts';

const AMOUNT_UNITS = 25_000_000n;
const DEPOSITS_AT_ONCE = 50;
const POLL_MS = 25;
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
  for (const [functionName, to] of [
    ['mint', buyer.address],
    ['approve', diamond],
  ] as const) {
    await chain.writeContract({ account: buyer, address: token, abi: usdcAbi, functionName, args: [to, 10n ** 15n] });
  }
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
