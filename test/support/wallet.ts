/** Wallets of their own for tests: each has a fresh key, ether and test tokens, so that tests never share a nonce. */
import {
  type Address,
  createTestClient,
  createWalletClient,
  type Hex,
  http,
  parseEther,
  publicActions,
  type TransactionReceipt,
  zeroAddress,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { hardhat } from 'viem/chains';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { dealId, type Terms } from '../../contracts/terms.ts';
import type { EscrowChain } from './escrow-chain.ts';
import type { Stack } from './stack.ts';

/** A verb of the escrow that takes the terms and nothing else. */
type TermsVerb = 'deposit' | 'release' | 'cancelDeal' | 'claim' | 'reclaim' | 'withdrawDispute';

/** A funded wallet on a stack's chain. */
export type Wallet = Awaited<ReturnType<typeof openWallet>>;

/** Opens a wallet with 10 ether and `tokenUnits` of each test token that has spent nothing yet. */
export async function openWallet(stack: EscrowChain, { tokenUnits = 1_000_000_000n }: { tokenUnits?: bigint } = {}) {
  const account = privateKeyToAccount(generatePrivateKey());
  const client = createWalletClient({
    account,
    chain: { ...hardhat, id: stack.chainId },
    transport: http(stack.rpcUrl),
  }).extend(publicActions);
  const chain = chainOf(stack);
  await chain.setBalance({ address: account.address, value: parseEther('10') });

  const mined = async (hash: Hex): Promise<TransactionReceipt> => {
    const receipt = await client.waitForTransactionReceipt({ hash, pollingInterval: 25 });
    if (receipt.status !== 'success') throw new Error(`Transaction ${hash} reverted.`);
    return receipt;
  };
  const token = async (address: Address, functionName: 'mint' | 'approve', to: Address, units: bigint) =>
    await mined(await client.writeContract({ address, abi: usdcAbi, functionName, args: [to, units] }));
  for (const address of Object.values(stack.tokens)) await token(address, 'mint', account.address, tokenUnits);

  /** Calls a verb of the escrow; a refusal throws with the contract's own error. */
  const call = async (functionName: TermsVerb, terms: Terms): Promise<TransactionReceipt> => {
    const { request } = await client.simulateContract({
      ...{ account, address: stack.diamond, abi: escrowAbi, functionName, args: [terms] },
    });
    return await mined(await client.writeContract(request));
  };

  return {
    address: account.address,
    account,
    client,
    call,
    mined,
    /** Approves the amount and deposits it; answers the terms with this wallet as payer, and the deal's id. */
    async deposit(terms: Terms): Promise<{ id: Hex; terms: Terms; receipt: TransactionReceipt }> {
      await token(terms.token, 'approve', stack.diamond, terms.amount);
      const receipt = await call('deposit', terms);
      const named = terms.payer === zeroAddress ? { ...terms, payer: account.address } : terms;
      return { id: dealId(named, stack.chainId, stack.diamond), terms: named, receipt };
    },
    balance: async (address: Address = stack.tokens.USDC) =>
      await client.readContract({ address, abi: usdcAbi, functionName: 'balanceOf', args: [account.address] }),
  };
}

/** Hardhat's own verbs on a stack's chain: mining, time, snapshots. Time and snapshots only on a chain of one's own. */
export function chainOf({ rpcUrl }: Pick<Stack, 'rpcUrl'>) {
  return createTestClient({ chain: hardhat, mode: 'hardhat', transport: http(rpcUrl) }).extend(publicActions);
}

/**
 * Mines empty blocks one by one: many in one call are blocks whose parent hash is zero until somebody asks for the parent,
 * and an indexer takes that for a reorg without end.
 */
export async function mineBlocks(stack: Pick<Stack, 'rpcUrl'>, blocks: number): Promise<void> {
  for (let mined = 0; mined < blocks; mined++) await chainOf(stack).mine({ blocks: 1 });
}

/** An address that nobody has used. */
export function strangerAddress(): Address {
  return privateKeyToAccount(generatePrivateKey()).address;
}

/** An offer of 25 USDC with a fee of 0.25 that expires in an hour, under a random reference. */
export function offerOf(stack: EscrowChain, overrides: Partial<Terms> = {}): Terms {
  const now = BigInt(Math.floor(Date.now() / 1_000));
  return {
    ref: BigInt(generatePrivateKey()),
    operator: stack.operator,
    payee: strangerAddress(),
    payer: zeroAddress,
    token: stack.tokens.USDC,
    amount: 25_000_000n,
    fee: 250_000n,
    feeRecipient: stack.feeRecipient,
    arbiter: stack.arbiter,
    depositDeadline: now + 3_600n,
    settlementDeadline: now + 4n * 3_600n,
    resolutionDeadline: now + 8n * 3_600n,
    defaultOutcome: 0,
    ...overrides,
  };
}
