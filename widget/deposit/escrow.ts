/**
 * Owns the calls that a deposit needs: encoded by our own pinned signatures, never by an ABI that came over the network,
 * and sent raw to the wallet's provider.
 */
import {
  type Address,
  decodeAbiParameters,
  encodeAbiParameters,
  type Hex,
  numberToHex,
  toFunctionSelector,
} from 'viem';
import { type Terms, termsParameters } from '../../contracts/terms.ts';
import type { Deal } from './deal.ts';
import { Problem, problemOf } from './problem.ts';
import { type Signed, split } from './signatures.ts';

/** What EIP-1193 asks of a wallet. */
export type Provider = { request(args: { method: string; params?: unknown }): Promise<unknown> };

const termsTuple = [{ type: 'tuple', components: termsParameters }] as const;
const termsList = [{ type: 'tuple[]', components: termsParameters }] as const;
const termsType = `(${termsParameters.map(({ type }) => type).join()})`;
const depositSelector = toFunctionSelector(`deposit(${termsType})`);
const depositManySelector = toFunctionSelector(`depositMany(${termsType}[])`);
const dealIdSelector = toFunctionSelector(`dealId(${termsType})`);
const permit2Selector = toFunctionSelector('permit2()');
const decimalsSelector = toFunctionSelector('decimals()');
const getDealSelector = toFunctionSelector('getDeal(bytes32)');

const tuple = termsTuple[0];
/** The deposits that carry a signature: what comes after the terms. */
const signedDeposits = {
  depositWithPermit: ['uint256', 'uint8', 'bytes32', 'bytes32'],
  depositWithAuthorization: ['uint256', 'uint256', 'uint8', 'bytes32', 'bytes32'],
  depositWithAuthorizationBytes: ['uint256', 'uint256', 'bytes'],
  depositWithPermit2: ['uint256', 'uint256', 'bytes'],
} as const;

// Upper bounds of what each takes, so that the fee can be judged before a deposit can be simulated.
const GAS = {
  reset: 50_000n,
  approve: 65_000n,
  permit: 0n,
  authorize: 0n,
  permit2: 0n,
  deposit: 190_000n,
  batch: 260_000n,
} as const;
const READ_TIMEOUT_MS = 10_000;

/** A transaction for a wallet to sign: its data, and to whom. */
export type Call = { to: Address; data: Hex };

/** What the chain says about a wallet that wants to pay. */
export type Funds = {
  tokenUnits: bigint;
  /** Of the token, as it says itself. */
  decimals: number;
  allowanceUnits: bigint;
  /** The chain's coin, in wei. */
  coinUnits: bigint;
  gasPriceUnits: bigint;
  /** The account is a contract, or signs by one: only its own rules judge a signature. */
  hasCode: boolean;
  /** The escrow's Permit2, as the escrow itself names it. */
  permit2: Address | null;
  /** What Permit2 may take of the token. */
  permit2Units: bigint;
};

/** Call data by the function's signature; viem's own reader of signatures would be a tenth of what a buyer loads. */
function encodeCall(signature: `${string}(${string})`, args: readonly unknown[]): Hex {
  const types = signature.slice(signature.indexOf('(') + 1, -1).split(',');
  const words = encodeAbiParameters(
    types.map((type) => ({ type })),
    args,
  );
  return `${toFunctionSelector(signature)}${words.slice(2)}`;
}

/** The call that opens the deal, or all deals of a cart. */
export function depositCall({ legs, diamond }: Deal): Call {
  const [first] = legs;
  if (legs.length === 1) return { to: diamond, data: withTerms(depositSelector, first.terms) };
  const list = encodeAbiParameters(termsList, [legs.map(({ terms }) => terms)]);
  return { to: diamond, data: `${depositManySelector}${list.slice(2)}` };
}

/** The call that opens the deal with what the payer has signed; terms name the payer but for a permit. */
export function signedDepositCall({ legs, diamond }: Deal, payer: Address, signed: Signed): Call {
  const [{ terms: offer }] = legs;
  const terms = signed.step === 'permit' ? offer : { ...offer, payer };
  const parts = split(signed.signature);
  const call = (name: keyof typeof signedDeposits, args: readonly unknown[]): Call => {
    const types = signedDeposits[name];
    const selector = toFunctionSelector(`${name.replace('Bytes', '')}(${[termsType, ...types].join()})`);
    const words = encodeAbiParameters([tuple, ...types.map((type) => ({ type }))], [terms, ...args]);
    return { to: diamond, data: `${selector}${words.slice(2)}` };
  };
  switch (signed.step) {
    case 'permit':
      if (!parts) throw new Problem('signature_failed');
      return call('depositWithPermit', [signed.deadline, parts.v, parts.r, parts.s]);
    case 'authorize':
      return parts
        ? call('depositWithAuthorization', [0n, signed.validBefore, parts.v, parts.r, parts.s])
        : call('depositWithAuthorizationBytes', [0n, signed.validBefore, signed.signature]);
    case 'permit2':
      return call('depositWithPermit2', [signed.nonce, signed.deadline, signed.signature]);
  }
}

/** The call that allows the diamond to take `units`, no more. */
export function approveCall({ token, diamond }: Pick<Deal, 'token' | 'diamond'>, units: bigint): Call {
  return {
    to: token,
    data: encodeCall('approve(address,uint256)', [diamond, units]),
  };
}

/** The chain that the wallet would sign for. */
export async function readChainId(provider: Provider): Promise<number> {
  return Number(await read(provider, 'eth_chainId'));
}

/**
 * Balance, allowances, coin, gas price and kind of an account. `permit2` is what the API names: it is asked for its allowance only
 * when the escrow names the same.
 * @throws Problem network_down
 */
export async function readFunds(
  provider: Provider,
  { token, diamond }: Pick<Deal, 'token' | 'diamond'>,
  account: Address,
  permit2: Address | null,
): Promise<Funds> {
  const allowance = (spender: Address) =>
    word(provider, {
      to: token,
      data: encodeCall('allowance(address,address)', [account, spender]),
    });
  const [tokenUnits, decimals, allowanceUnits, coin, gasPrice, code, ownPermit2, permit2Units] = await Promise.all([
    word(provider, {
      to: token,
      data: encodeCall('balanceOf(address)', [account]),
    }),
    word(provider, { to: token, data: decimalsSelector }),
    allowance(diamond),
    read(provider, 'eth_getBalance', [account, 'latest']),
    read(provider, 'eth_gasPrice'),
    read(provider, 'eth_getCode', [account, 'latest']),
    permit2 ? word(provider, { to: diamond, data: permit2Selector }) : 0n,
    permit2 ? allowance(permit2) : 0n,
  ]);
  const named = permit2 !== null && ownPermit2 === BigInt(permit2) ? permit2 : null;
  return {
    tokenUnits,
    decimals: Number(decimals),
    allowanceUnits,
    coinUnits: BigInt(coin),
    gasPriceUnits: BigInt(gasPrice),
    hasCode: code.length > 2,
    permit2: named,
    permit2Units: named ? permit2Units : 0n,
  };
}

/** The account's next nonce for the token's permits. @throws Problem network_down */
export async function readPermitNonce(provider: Provider, { token }: Deal, account: Address): Promise<bigint> {
  return await word(provider, {
    to: token,
    data: encodeCall('nonces(address)', [account]),
  });
}

/** The lowest nonce that the account has not used with Permit2: 256 of them share a slot, so low ones are cheap. */
export async function readPermit2Nonce(provider: Provider, permit2: Address, account: Address): Promise<bigint> {
  for (let at = 0n; ; at += 1n) {
    const data = encodeCall('nonceBitmap(address,uint256)', [account, at]);
    const used = await word(provider, { to: permit2, data });
    for (let bit = 0n; bit < 256n; bit += 1n) if (((used >> bit) & 1n) === 0n) return at * 256n + bit;
  }
}

/** Whether the deal was ever opened on chain. @throws Problem network_down */
export async function isOpened(provider: Provider, { diamond }: Deal, id: Hex): Promise<boolean> {
  const answer = await read(provider, 'eth_call', [
    { to: diamond, data: `${getDealSelector}${id.slice(2)}` },
    'latest',
  ]);
  // Released, refunded, status: None is 0.
  return answer.length === 194 && BigInt(`0x${answer.slice(130)}`) !== 0n;
}

/** How many transactions of the account are in blocks, or with those that wait. @throws Problem network_down */
export async function readNonce(provider: Provider, account: Address, at: 'latest' | 'pending'): Promise<number> {
  return Number(await read(provider, 'eth_getTransactionCount', [account, at]));
}

/** Whether the wallet's node knows of the transaction. @throws Problem network_down */
export async function isKnown(provider: Provider, hash: Hex): Promise<boolean> {
  return (await ask(provider, 'eth_getTransactionByHash', [hash])) !== null;
}

/** The id that the diamond itself computes for the terms: proof that it is our contract, on the chain we think of. */
export async function readDealId(provider: Provider, { diamond }: Deal, terms: Terms): Promise<Hex> {
  const id = await word(provider, { to: diamond, data: withTerms(dealIdSelector, terms) });
  return numberToHex(id, { size: 32 });
}

/** Wei that these steps will take at most, for a deal of so many legs. */
export function feeUnits(steps: readonly (keyof typeof GAS)[], legs: number, gasPriceUnits: bigint): bigint {
  const gas = (step: keyof typeof GAS) =>
    step === 'deposit' || step === 'batch' ? GAS[step] * BigInt(legs) : GAS[step];
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

/** Asks for something that is hex. @throws Problem; network_down too when no answer comes */
export async function read(provider: Provider, method: string, params: unknown[] = []): Promise<Hex> {
  const answer = await ask(provider, method, params);
  if (typeof answer !== 'string' || !answer.startsWith('0x')) throw new Problem('network_down');
  return answer as Hex;
}

async function ask(provider: Provider, method: string, params: unknown[]): Promise<unknown> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Problem('network_down')), READ_TIMEOUT_MS);
  });
  try {
    return await Promise.race([provider.request({ method, params }), timeout]);
  } catch (error) {
    const problem = problemOf(error);
    // A wallet that fails at a mere reading has lost its network; only a revert says something about the call.
    throw problem.code === 'wallet_failed' ? new Problem('network_down', { cause: error }) : problem;
  } finally {
    clearTimeout(timer);
  }
}
