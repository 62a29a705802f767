/**
 * A chain and a database of their own for tests of what is sent, without an indexer: deals are deposited on chain, operations
 * are asked for by the core's own verb, and a submitter in this process, or a worker in another, carries them out.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { createTestClient, type Hex, http, parseEther, publicActions, walletActions } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { hardhat } from 'viem/chains';
import { expect, onTestFinished } from 'vitest';
import { Chain } from '../../api/core/chain/chain.ts';
import type { Patience } from '../../api/core/chain/follower.ts';
import { keySigner, type Signer } from '../../api/core/chain/signers.ts';
import { Submitter } from '../../api/core/chain/submitter.ts';
import { termsToJson } from '../../api/core/chain/terms.ts';
import { migrate, transact } from '../../api/core/database/db.ts';
import { findOperation, requestOperation } from '../../api/core/payments/operations.ts';
import type { OperationRow, OperationVerb } from '../../api/core/schema.ts';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { dealId, type Terms } from '../../contracts/terms.ts';
import { deploy } from '../../scripts/deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from '../../scripts/dev/accounts.ts';
import { startChain } from '../../scripts/dev/hardhat.ts';
import { createDatabase } from '../../scripts/dev/postgres.ts';
import { startWorker } from '../../scripts/dev/services.ts';
import { testMarketplace } from '../api/marketplace.ts';
import { type RpcProxy, startRpcProxy } from './rpc-proxy.ts';
import type { Stack } from './stack.ts';
import { offerOf, openWallet, type Wallet } from './wallet.ts';

const WAIT_MS = 30_000;

/** Where desks of one test file stand: a chain with the escrow, and a migrated database on `serverUrl`'s server. */
export type Ground = { stack: Stack; buyer: Wallet; stop(): Promise<void> };

/** Starts a chain and a database, and a buyer who has approved all of its tokens. */
export async function startGround(serverUrl: string): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), 'dealkeep-desk-'));
  const chain = await startChain({ logPath: join(folder, 'chain.log') });
  try {
    const { rpcUrl, chainId } = chain;
    const databaseUrl = await createDatabase(serverUrl, `desk_${randomBytes(8).toString('hex')}`);
    const addressBookPath = join(folder, 'addresses.json');
    const [entry] = await Promise.all([
      deploy({ rpcUrl, privateKey: hardhatKey(ROLES.deployer), addressBookPath, testTokens: true }),
      migrate(databaseUrl),
    ]);
    const { USDC, USDT } = entry.tokens;
    if (!USDC || !USDT) throw new Error('The test tokens were not deployed.');
    const stack: Stack = {
      ...{ folder, databaseUrl, rpcUrl, chainId, addressBookPath },
      ...{ diamond: entry.diamond, startBlock: entry.startBlock },
      tokens: { USDC: USDC.address, USDT: USDT.address },
      secret: randomBytes(32).toString('hex'),
      operator: hardhatAccount(ROLES.operator).address,
      operatorKey: hardhatKey(ROLES.operator),
      feeRecipient: hardhatAccount(ROLES.feeRecipient).address,
      arbiter: hardhatAccount(ROLES.arbiter).address,
      arbiterKey: hardhatKey(ROLES.arbiter),
    };
    const buyer = await openWallet(stack, { tokenUnits: 10n ** 15n });
    const approve = { address: stack.tokens.USDC, abi: usdcAbi, functionName: 'approve' } as const;
    await buyer.mined(await buyer.client.writeContract({ ...approve, args: [stack.diamond, 10n ** 15n] }));
    return {
      stack,
      buyer,
      async stop() {
        await chain.stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await chain.stop();
    throw error;
  }
}

export type Deal = { id: Hex; terms: Terms };

/** A network with an operator of its own, reached through a proxy, and one payment whose operations are asked for. */
export async function openDesk({ stack: ground, buyer }: Ground, { confirmations = 1 } = {}) {
  const operatorKey = generatePrivateKey();
  const operator = privateKeyToAccount(operatorKey);
  const stack: Stack = { ...ground, operator: operator.address, operatorKey };
  const proxy: RpcProxy = await startRpcProxy(stack.rpcUrl);
  onTestFinished(() => proxy.stop());
  const market = await testMarketplace({ stack, rpcUrl: proxy.url, confirmations });
  const payment = await market.createPayment();
  const chain = createTestClient({ chain: hardhat, mode: 'hardhat', transport: http(stack.rpcUrl) })
    .extend(publicActions)
    .extend(walletActions);
  await chain.setBalance({ address: operator.address, value: parseEther('10') });
  const { sql, networkId, nodeId } = market;

  /** Deposits a deal of 25 USDC that the operator may decide. */
  async function deposit(overrides: Partial<Terms> = {}): Promise<Deal> {
    const offer = offerOf(stack, { payer: buyer.address, ...overrides });
    await buyer.call('deposit', offer);
    return { id: dealId(offer, stack.chainId, stack.diamond), terms: offer };
  }

  /** Asks for an operation on a deal, as the core does; `amountUnits` of a part. */
  async function ask(verb: OperationVerb, { id, terms }: Deal, amountUnits: bigint | null = null): Promise<string> {
    const target = { nodeId, paymentId: payment.id, legId: null, networkId, verb, amountUnits, stray: true };
    const operation = await transact(sql, (tx) =>
      requestOperation(tx, { ...target, dealId: id, terms: termsToJson(terms) }, { type: 'system' }),
    );
    return operation.id;
  }

  const find = async (operationId: string): Promise<OperationRow> => {
    const operation = await findOperation(sql, { nodeId, operationId });
    if (!operation) throw new Error(`There is no operation ${operationId}.`);
    return operation;
  };

  /** Waits until operations have ended and answers how: `done`, or why not. */
  async function ends(...operationIds: string[]): Promise<string[]> {
    const read = async () => {
      const rows = await Promise.all(operationIds.map(find));
      return rows.map(({ status, error }) => (status === 'failed' ? (error?.message ?? 'failed') : status));
    };
    await expect
      .poll(async () => (await read()).filter((end) => end === 'queued' || end === 'submitted'), { timeout: WAIT_MS })
      .toEqual([]);
    return await read();
  }

  /** A submitter in this process, with the operator's key unless others are given; stopped when the test ends. */
  function submit({
    signers,
    patience,
    log = pino({ level: 'silent' }),
  }: {
    signers?: Signer[];
    patience?: Partial<Patience>;
    log?: Logger;
  } = {}): Submitter {
    const submitter = new Submitter({
      ...{ sql, databaseUrl: stack.databaseUrl, chain: new Chain(), log },
      signers: signers ?? [keySigner(operatorKey)],
      patience: { resendAfterMs: 500, bumpAfterMs: 1_500, missingAfterMs: 500, ...patience },
    });
    onTestFinished(() => submitter.stop());
    return submitter;
  }

  /** A worker process with the operator's key. */
  async function work(name = 'worker') {
    const logPath = join(stack.folder, `${name}-${randomBytes(4).toString('hex')}.log`);
    const worker = await startWorker({ ...stack, operatorKeys: [operatorKey], logPath });
    onTestFinished(() => worker.process.stop());
    return worker.process;
  }

  return {
    ...{
      stack,
      sql,
      proxy,
      chain,
      market,
      networkId,
      nodeId,
      operator,
      operatorKey,
      deposit,
      ask,
      find,
      ends,
      submit,
      work,
    },
    /** What a deal's slot says: released and refunded in base units, and the status. */
    slot: async ({ id }: Deal) =>
      await chain.readContract({ address: stack.diamond, abi: escrowAbi, functionName: 'getDeal', args: [id] }),
    /** The rows of what the operator sent, by nonce, with how many operations and forms each has. */
    sent: async (signer = operator.address) =>
      await sql<{ nonce: bigint; status: string; operations: number; forms: number; final: boolean }[]>`
        select t.nonce, t.status, t.final_at is not null as final,
          (select count(*)::int from transaction_operation e where e.live
            and e.network_id = t.network_id and e.signer = t.signer and e.nonce = t.nonce) as operations,
          (select count(*)::int from signed_transaction s
            where s.network_id = t.network_id and s.signer = t.signer and s.nonce = t.nonce) as forms
        from chain_transaction t
        where t.network_id = ${networkId} and t.signer = ${signer.toLowerCase()} order by t.nonce`,
    /** Sends ether to nobody with the operator's key, as somebody else who has it would. */
    spendElsewhere: async (nonce?: number) =>
      await chain.sendTransaction({
        account: operator,
        to: operator.address,
        value: 1n,
        maxFeePerGas: 50_000_000_000n,
        maxPriorityFeePerGas: 5_000_000_000n,
        ...(nonce !== undefined && { nonce }),
      }),
    /** Mines by hand until the test ends. */
    async holdBlocks() {
      await chain.setAutomine(false);
      onTestFinished(async () => {
        await chain.setAutomine(true);
        await chain.mine({ blocks: 1 });
      });
    },
  };
}
