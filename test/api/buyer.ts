// A buyer with a wallet of its own on the local chain: ether for gas, test tokens, and the calls that a widget would make.
import {
  type Address,
  createTestClient,
  createWalletClient,
  type Hex,
  http,
  publicActions,
  type TransactionReceipt,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { hardhat } from 'viem/chains';
import { inject } from 'vitest';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import type { Terms } from '../../contracts/terms.ts';
import type { Stack } from '../support/stack.ts';
import type { Json } from './marketplace.ts';

export type Buyer = Awaited<ReturnType<typeof createBuyer>>;

/** A buyer with 10 ether and `tokenUnits` of the token, whose wallet allows the diamond to take what a deposit needs. */
export async function createBuyer({
  token,
  tokenUnits = 1_000_000_000n,
  stack = inject('stack'),
}: {
  token?: Address;
  tokenUnits?: bigint;
  stack?: Stack;
} = {}) {
  const account = privateKeyToAccount(generatePrivateKey());
  const transport = http(stack.rpcUrl);
  const client = createWalletClient({ account, chain: hardhat, transport }).extend(publicActions);
  const tokenAddress = token ?? stack.tokens.USDC;
  await createTestClient({ chain: hardhat, mode: 'hardhat', transport }).setBalance({
    address: account.address,
    value: 10n ** 19n,
  });
  const mined = async (hash: Hex): Promise<TransactionReceipt> =>
    await client.waitForTransactionReceipt({ hash, pollingInterval: 50 });
  const writeToken = async (functionName: 'mint' | 'approve', to: Address, units: bigint) =>
    await mined(await client.writeContract({ address: tokenAddress, abi: usdcAbi, functionName, args: [to, units] }));
  await writeToken('mint', account.address, tokenUnits);

  /** Deposits under these terms; gas is given, so that a refusal shows as the contract's own error. */
  async function deposit(terms: Terms): Promise<TransactionReceipt> {
    await writeToken('approve', stack.diamond, terms.amount);
    const call = { address: stack.diamond, abi: escrowAbi, functionName: 'deposit', args: [terms] } as const;
    const { request } = await client.simulateContract({ ...call, account });
    return await mined(await client.writeContract(request));
  }

  return {
    address: account.address,
    client,
    mined,
    deposit,
    balance: async (address: Address = account.address) =>
      await client.readContract({ address: tokenAddress, abi: usdcAbi, functionName: 'balanceOf', args: [address] }),
  };
}

/** The terms in a widget's call data. */
export function termsOf(widget: Json): Terms {
  const [terms] = widget.contract.arguments;
  return {
    ...terms,
    ref: BigInt(terms.ref),
    amount: BigInt(terms.amount),
    fee: BigInt(terms.fee),
    depositDeadline: BigInt(terms.depositDeadline),
    settlementDeadline: BigInt(terms.settlementDeadline),
    resolutionDeadline: BigInt(terms.resolutionDeadline),
  };
}

/** Mines empty blocks. */
export async function mineBlocks(blocks: number): Promise<void> {
  await createTestClient({ chain: hardhat, mode: 'hardhat', transport: http(inject('stack').rpcUrl) }).mine({ blocks });
}
