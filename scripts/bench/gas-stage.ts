/**
 * The stage of the gas measurement: an in-process chain with prague rules, the diamond as deployed, a cast of accounts
 * that have used tokens before, and deals between them. It decides nothing about what is measured.
 */
import { randomBytes } from 'node:crypto';
import hre from 'hardhat';
import {
  type Abi,
  type Address,
  createPublicClient,
  createWalletClient,
  custom,
  encodeFunctionData,
  getAddress,
  type Hex,
  maxUint256,
  toHex,
  zeroAddress,
} from 'viem';
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import { hardhat } from 'viem/chains';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { dealId, type Terms } from '../../contracts/terms.ts';
import { readArtifact } from '../artifacts.ts';
import { deployDiamond } from '../deploy.ts';

/** Who takes part. */
export type Role = 'payer' | 'payee' | 'operator' | 'arbiter' | 'feeRecipient' | 'relayer';

/** The stage that a measurement runs on. */
export type Stage = Awaited<ReturnType<typeof setStage>>;

/** What a payer holds and a deal is about, in base units of 6 decimals. */
export const AMOUNT = 100_000_000n;

/** The call data of one of the diamond's functions; overloads are told apart by the arguments. */
export function encodeEscrowCall(functionName: string, args: readonly unknown[]): Hex {
  return encodeFunctionData({ abi: escrowAbi as Abi, functionName, args });
}

/** Builds a stage on the OpenZeppelin-style token, or on the same behind a proxy. */
export async function setStage(token: 'plain' | 'proxy', permit2Code?: Hex) {
  const { provider } = await hre.network.connect();
  const transport = custom(provider);
  const reader = createPublicClient({ chain: hardhat, transport, pollingInterval: 1, cacheTime: 0 });
  const rpc = (method: string, params: unknown[]) => provider.request({ method, params });

  async function newAccount(): Promise<PrivateKeyAccount> {
    const account = privateKeyToAccount(generatePrivateKey());
    await rpc('hardhat_setBalance', [account.address, toHex(10n ** 20n)]);
    return account;
  }

  async function send(account: PrivateKeyAccount, to: Address | null, data: Hex): Promise<bigint> {
    const hash = await createWalletClient({ account, chain: hardhat, transport }).sendTransaction({
      to,
      data,
      gas: 20_000_000n,
    });
    const receipt = await reader.waitForTransactionReceipt({ hash });
    if (receipt.status !== 'success') throw new Error(`reverted: ${hash}`);
    return receipt.gasUsed;
  }

  const deployer = await newAccount();
  let permit2: Address | undefined;
  if (permit2Code) {
    permit2 = '0x000000000022D473030F116dDEE9F6B43aC78BA3';
    await rpc('hardhat_setCode', [permit2, permit2Code]);
  }
  const entry = await deployDiamond(deployer, transport, { testTokens: true, ...(permit2 && { permit2 }) });
  let tokenAddress = entry.tokens.USDC!.address;
  if (token === 'proxy') {
    const { abi, bytecode } = readArtifact('ERC1967Proxy');
    const hash = await createWalletClient({ account: deployer, chain: hardhat, transport }).deployContract({
      abi,
      bytecode,
      args: [tokenAddress, encodeFunctionData({ abi: usdcAbi, functionName: 'decimals' })],
    });
    tokenAddress = getAddress((await reader.waitForTransactionReceipt({ hash })).contractAddress!);
    const allow = encodeFunctionData({ abi: escrowAbi, functionName: 'allowTokens', args: [[tokenAddress]] });
    await send(deployer, entry.diamond, allow);
  }

  const roles = {} as Record<Role, PrivateKeyAccount>;
  for (const role of ['payer', 'payee', 'operator', 'arbiter', 'feeRecipient', 'relayer'] as const) {
    roles[role] = await newAccount();
  }

  /** Gives an account a used balance and a standing allowance to `spender`. */
  async function endow(account: PrivateKeyAccount, spender: Address) {
    const mint = encodeFunctionData({ abi: usdcAbi, functionName: 'mint', args: [account.address, AMOUNT * 1000n] });
    await send(deployer, tokenAddress, mint);
    const approve = encodeFunctionData({ abi: usdcAbi, functionName: 'approve', args: [spender, maxUint256] });
    await send(account, tokenAddress, approve);
  }
  await endow(roles.payer, entry.diamond);
  await endow(roles.payee, entry.diamond);
  const mint = encodeFunctionData({ abi: usdcAbi, functionName: 'mint', args: [entry.diamond, 1n] });
  await send(deployer, tokenAddress, mint);

  const now = async () => (await reader.getBlock()).timestamp;

  /** Terms of a new deal: one per cent fee unless told otherwise. */
  async function newTerms(changes: Partial<Terms> = {}): Promise<Terms> {
    const start = await now();
    return {
      ref: (BigInt(nextNumber++) << 192n) | BigInt(toHex(randomBytes(24))),
      operator: roles.operator.address,
      payee: roles.payee.address,
      payer: roles.payer.address,
      token: tokenAddress,
      amount: AMOUNT,
      fee: AMOUNT / 100n,
      feeRecipient: roles.feeRecipient.address,
      arbiter: roles.arbiter.address,
      depositDeadline: start + 86_400n,
      settlementDeadline: start + 10n * 86_400n,
      resolutionDeadline: start + 20n * 86_400n,
      defaultOutcome: 0,
      ...changes,
    };
  }
  let nextNumber = 1001;

  return {
    ...entry,
    token: tokenAddress,
    roles,
    reader,
    rpc,
    send,
    endow,
    newAccount,
    newTerms,
    idOf: (terms: Terms) => dealId(terms, hardhat.id, entry.diamond),
    chainId: hardhat.id,
    nobody: zeroAddress,
  };
}
