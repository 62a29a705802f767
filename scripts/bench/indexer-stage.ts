/**
 * What `npm run bench:indexer` measures on: a chain of its own with a diamond and as many events as asked for, and the least
 * that anybody could do by hand to have them in PostgreSQL.
 */
import { pipeline } from 'node:stream/promises';
import postgres from 'postgres';
import {
  type Address,
  createWalletClient,
  encodeFunctionData,
  type Hex,
  http,
  keccak256,
  maxUint256,
  parseEventLogs,
  parseGwei,
  publicActions,
} from 'viem';
import { hardhat } from 'viem/chains';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import type { Terms } from '../../contracts/terms.ts';
import { deploy, type NetworkEntry } from '../deploy.ts';
import { hardhatAccount, hardhatKey, ROLES } from '../dev/accounts.ts';

/** The most that the contract takes in one batch. */
const BATCH = 100;
// As many as Ponder waits for on this chain before a block is final.
const UNFINAL_BLOCKS = 30;
// A node answers so many blocks at once: some 5,000 logs.
const BLOCKS_PER_REQUEST = 50n;

/** How many events full batches of deposits and releases make. */
export function wholeBatches(events: number): number {
  return Math.ceil(events / (2 * BATCH)) * 2 * BATCH;
}

/** Deploys the diamond with test tokens. */
export async function deployOn(rpcUrl: string, addressBookPath: string): Promise<NetworkEntry> {
  return await deploy({ rpcUrl, privateKey: hardhatKey(ROLES.deployer), addressBookPath, testTokens: true });
}

/** Makes `events` events: deals deposited by the hundred, and released by the hundred. */
export async function makeEvents(
  rpcUrl: string,
  { diamond, tokens }: NetworkEntry,
  events: number,
  step: (done: number) => void,
): Promise<void> {
  const account = hardhatAccount(ROLES.buyer);
  const client = createWalletClient({ account, chain: hardhat, transport: http(rpcUrl) }).extend(publicActions);
  const token = tokens.USDC?.address as Address;
  const mined = async (hash: Hex) => {
    const { status } = await client.waitForTransactionReceipt({ hash, pollingInterval: 5 });
    if (status !== 'success') throw new Error(`Transaction ${hash} reverted.`);
  };
  const erc20 = { address: token, abi: usdcAbi } as const;
  await mined(await client.writeContract({ ...erc20, functionName: 'mint', args: [account.address, 10n ** 15n] }));
  await mined(await client.writeContract({ ...erc20, functionName: 'approve', args: [diamond, maxUint256] }));
  const now = (await client.getBlock()).timestamp;
  // Other people's deals: those of our operator would be recorded as strays, 200 a pass, before any deposit's turn.
  const [operator, payee] = [hardhatAccount(ROLES.secondBuyer).address, hardhatAccount(ROLES.payee).address];
  let nonce = await client.getTransactionCount({ address: account.address });
  let last: Hex | undefined;
  for (let made = 0; made < events; made += 2 * BATCH) {
    const list = Array.from(
      { length: BATCH },
      (_, index): Terms => ({
        ref: (BigInt(made / 2 + index + 1) << 192n) | 7n,
        ...{ operator, payee, payer: account.address, token, amount: 1_000n, fee: 10n },
        ...{ feeRecipient: hardhatAccount(ROLES.feeRecipient).address, arbiter: hardhatAccount(ROLES.arbiter).address },
        ...{ depositDeadline: now + 86_400n, settlementDeadline: now + 172_800n, resolutionDeadline: now + 259_200n },
        defaultOutcome: 0,
      }),
    );
    for (const functionName of ['depositMany', 'releaseMany'] as const) {
      // Everything is given, so that the client has nothing to ask; the chain mines as it takes the transaction.
      const data = encodeFunctionData({ abi: escrowAbi, functionName, args: [list] });
      const fees = { gas: 10_000_000n, maxFeePerGas: parseGwei('100'), maxPriorityFeePerGas: 1n };
      const serializedTransaction = await account.signTransaction({
        ...{ type: 'eip1559', chainId: hardhat.id, to: diamond, data, nonce, ...fees },
      });
      // A kept connection may be closed just then, which viem tries again for anything but a transaction.
      last = await client
        .sendRawTransaction({ serializedTransaction })
        .catch(async () =>
          (await client.getTransactionCount({ address: account.address })) > nonce
            ? keccak256(serializedTransaction)
            : await client.sendRawTransaction({ serializedTransaction }),
        );
      nonce += 1;
    }
    step(made + 2 * BATCH);
  }
  if (last) await mined(last);
  // Ponder follows the newest blocks one by one, 0.25 s each with 100 events in it. A chain in use has no tenth of all events there.
  // One by one: of blocks that hardhat_mine makes at once, Ponder does not find the parents.
  for (let block = 0; block < UNFINAL_BLOCKS; block += 1) await client.request({ method: 'evm_mine' as never });
}

/** Reads every log, decodes it and copies it into a table: what nothing can be faster than by much. Answers milliseconds. */
export async function copyByHand(
  rpcUrl: string,
  databaseUrl: string,
  { diamond, startBlock }: NetworkEntry,
): Promise<{ ms: number; events: number }> {
  const client = createWalletClient({ chain: hardhat, transport: http(rpcUrl) }).extend(publicActions);
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  try {
    await sql`
      create table by_hand (
        block bigint, log_index int, transaction text, name text, deal_id text, arguments text, primary key (block, log_index)
      )`;
    const startedAt = performance.now();
    const head = await client.getBlockNumber();
    let events = 0;
    for (let from = BigInt(startBlock); from <= head; from += BLOCKS_PER_REQUEST) {
      const to = from + BLOCKS_PER_REQUEST - 1n;
      const logs = await client.getLogs({ address: diamond, fromBlock: from, toBlock: to < head ? to : head });
      const lines = parseEventLogs({ abi: escrowAbi, logs }).map(
        ({ blockNumber, logIndex, transactionHash, ...log }) => {
          const text = JSON.stringify(log.args, (_, value) => (typeof value === 'bigint' ? value.toString() : value));
          const id = 'id' in log.args ? log.args.id : '';
          return `${[blockNumber, logIndex, transactionHash, log.eventName, id, text].join('\t')}\n`;
        },
      );
      events += lines.length;
      await pipeline([lines.join('')], await sql`copy by_hand from stdin`.writable());
    }
    return { ms: performance.now() - startedAt, events };
  } finally {
    await sql.end();
  }
}
