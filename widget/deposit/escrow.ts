/**
 * Owns the calls that a deposit needs: encoded by our own pinned signatures, never by an ABI that came over the network,
 * and sent raw to the wallet's provider.
 */
import {
  type Address,
  decodeAbiParameters,
  encodeAbiParameters,
  encodeFunctionData,
  type Hex,
  numberToHex,
  parseAbi,
  toFunctionSelector,
} from 'viem';
import { type Terms, termsParameters } from '../../contracts/terms.ts';
import type { Deal } from './deal.ts';
import { Problem, problemOf } from './problem.ts';

/** What EIP-1193 asks of a wallet. */
export type Provider = { request(args: { method: string; params?: unknown }): Promise<unknown> };

const tokenAbi = parseAbi([
  'function balanceOf(address) view returns (uint256)',
  'function allowance(address, address) view returns (uint256)',
  'function approve(address, uint256)',
]);

const termsTuple = [{ type: 'tuple', components: termsParameters }] as const;
const termsList = [{ type: 'tuple[]', components: termsParameters }] as const;
const termsType = `(${termsParameters.map(({ type }) => type).join()})`;
const depositSelector = toFunctionSelector(`deposit(${termsType})`);
const depositManySelector = toFunctionSelector(`depositMany(${termsType}[])`);
const dealIdSelector = toFunctionSelector(`dealId(${termsType})`);

// Upper bounds of what each takes, so that the fee can be judged before a deposit can be simulated.
const GAS = { reset: 50_000n, approve: 65_000n, deposit: 160_000n } as const;
const READ_TIMEOUT_MS = 10_000;

/** A transaction for a wallet to sign: its data, and to whom. */
export type Call = { to: Address; data: Hex };

/** What the chain says about a wallet that wants to pay. */
export type Funds = {
  tokenUnits: bigint;
  allowanceUnits: bigint;
  /** The chain's coin, in wei. */
  coinUnits: bigint;
  gasPriceUnits: bigint;
};

/** The call that opens the deal, or all deals of a cart. */
export function depositCall({ legs, diamond }: Deal): Call {
  const [first] = legs;
  if (legs.length === 1) return { to: diamond, data: withTerms(depositSelector, first.terms) };
  const list = encodeAbiParameters(termsList, [legs.map(({ terms }) => terms)]);
  return { to: diamond, data: `${depositManySelector}${list.slice(2)}` };
}

/** The call that allows the diamond to take `units`, no more. */
export function approveCall({ token, diamond }: Deal, units: bigint): Call {
  return {
    to: token,
    data: encodeFunctionData({ abi: tokenAbi, functionName: 'approve', args: [diamond, units] }),
  };
}

/** The chain that the wallet would sign for. */
export async function readChainId(provider: Provider): Promise<number> {
  return Number(await read(provider, 'eth_chainId'));
}

/** Balance, allowance, coin and gas price of an account. @throws Problem network_down */
export async function readFunds(provider: Provider, { token, diamond }: Deal, account: Address): Promise<Funds> {
  const view = (functionName: 'balanceOf' | 'allowance', args: readonly [Address] | readonly [Address, Address]) =>
    word(provider, { to: token, data: encodeFunctionData({ abi: tokenAbi, functionName, args }) });
  const [tokenUnits, allowanceUnits, coin, gasPrice] = await Promise.all([
    view('balanceOf', [account]),
    view('allowance', [account, diamond]),
    read(provider, 'eth_getBalance', [account, 'latest']),
    read(provider, 'eth_gasPrice'),
  ]);
  return { tokenUnits, allowanceUnits, coinUnits: BigInt(coin), gasPriceUnits: BigInt(gasPrice) };
}

/** The id that the diamond itself computes for the terms: proof that it is our contract, on the chain we think of. */
export async function readDealId(provider: Provider, { diamond }: Deal, terms: Terms): Promise<Hex> {
  const id = await word(provider, { to: diamond, data: withTerms(dealIdSelector, terms) });
  return numberToHex(id, { size: 32 });
}

/** Wei that these steps will take at most, for a deal of so many legs. */
export function feeUnits(steps: readonly (keyof typeof GAS)[], legs: number, gasPriceUnits: bigint): bigint {
  const gas = (step: keyof typeof GAS) => (step === 'deposit' ? GAS.deposit * BigInt(legs) : GAS[step]);
  return steps.reduce((sum, step) => sum + gas(step), 0n) * gasPriceUnits;
}

/** Runs a call without sending it. @throws Problem with the contract's own reason */
export async function simulate(provider: Provider, from: Address, call: Call): Promise<void> {
  await read(provider, 'eth_call', [{ from, ...call }, 'latest']);
}

/** Hands a transaction to the wallet; it asks its owner, and the answer may take as long as it likes. @throws Problem */
export async function send(provider: Provider, from: Address, call: Call): Promise<Hex> {
  try {
    const hash = await provider.request({ method: 'eth_sendTransaction', params: [{ from, ...call }] });
    if (typeof hash !== 'string' || !/^0x[0-9a-fA-F]{64}$/.test(hash)) throw new Problem('wallet_failed');
    return hash as Hex;
  } catch (error) {
    throw problemOf(error);
  }
}

function withTerms(selector: Hex, terms: Terms): Hex {
  return `${selector}${encodeAbiParameters(termsTuple, [terms]).slice(2)}`;
}

async function word(provider: Provider, call: Call): Promise<bigint> {
  const answer = await read(provider, 'eth_call', [call, 'latest']);
  // No code at the address answers with nothing.
  if (answer.length !== 66) throw new Problem('no_contract');
  return decodeAbiParameters([{ type: 'uint256' }], answer)[0];
}

async function read(provider: Provider, method: string, params: unknown[] = []): Promise<Hex> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Problem('network_down')), READ_TIMEOUT_MS);
  });
  try {
    const answer = await Promise.race([provider.request({ method, params }), timeout]);
    if (typeof answer !== 'string' || !answer.startsWith('0x')) throw new Problem('network_down');
    return answer as Hex;
  } catch (error) {
    const problem = problemOf(error);
    // A wallet that fails at a mere reading has lost its network; only a revert says something about the call.
    throw problem.code === 'wallet_failed' ? new Problem('network_down', { cause: error }) : problem;
  } finally {
    clearTimeout(timer);
  }
}
