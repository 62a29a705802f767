/**
 * The chain side of the differential test: an in-process chain with the deployed diamond, its accounts unlocked, where a
 * call either succeeds and tells events, or names the contract's error, at a block time that the test sets. It decides nothing.
 */
import {
  type Address,
  decodeErrorResult,
  decodeEventLog,
  encodeFunctionData,
  type Hex,
  isAddressEqual,
  isHex,
  type Log,
  maxUint256,
  parseAbi,
  parseSignature,
  size,
  type TypedDataDefinition,
  toFunctionSelector,
  toHex,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { decodeDealState, statusNames, type Terms } from '../../contracts/terms.ts';
import {
  authorizationTypes,
  cartHash,
  escrowDomain,
  permit2CartTypes,
  permit2DealMessage,
  permit2DealTypes,
  permit2Domain,
  settlementTypes,
} from '../../contracts/typed-data.ts';
import { encodeEscrowCall, setStage } from '../../scripts/bench/gas-stage.ts';
import type { Call, ModelDeal } from './escrow.ts';

/** Who takes part: two payers, two payees, and everybody else once. */
export const cast = ['payer', 'otherPayer', 'payee', 'otherPayee', 'operator', 'delegate', 'arbiter', 'fees'] as const;

/** What each of them holds in the beginning, in base units; payees hold little, so that giving back can fail. */
export const START_BALANCE = 100_000n;

/** How a call ended. */
export interface Answer {
  /** The name of the contract's error, undefined when the call succeeded. */
  refusal: string | undefined;
  /** What the diamond told, one line an event. */
  events: string[];
}

type SignedDeposit = Extract<Call, { asBytes: boolean }>;
type SignedCart = Extract<Call, { verb: 'depositManyWithAuthorization' | 'depositManyWithPermit2' }>;

/** A chain to hold the model against. */
export type Arena = Awaited<ReturnType<typeof openArena>>;

/** Deploys everything on a chain of its own. */
export async function openArena() {
  const stage = await setStage('plain');
  const accounts = cast.map(() => privateKeyToAccount(generatePrivateKey()));
  const addresses = accounts.map(({ address }) => address);
  const token = stage.token;
  const minter = stage.roles.relayer;
  for (const { address } of accounts) {
    await stage.rpc('hardhat_setBalance', [address, toHex(10n ** 22n)]);
    await stage.rpc('hardhat_impersonateAccount', [address]);
    await transact(minter.address, token, encodeToken('mint', [address, START_BALANCE]));
    for (const spender of [stage.diamond, stage.permit2]) {
      await transact(address, token, encodeToken('approve', [spender, maxUint256]));
    }
  }

  async function transact(from: Address, to: Address, data: Hex) {
    await stage.rpc('hardhat_impersonateAccount', [from]);
    await stage.rpc('eth_sendTransaction', [{ from, to, data, gas: toHex(10_000_000n) }]);
  }

  async function sign(signer: Address, data: TypedDataDefinition): Promise<Hex> {
    const account = accounts.find(({ address }) => address === signer);
    if (!account) throw new Error(`${signer} is not in the cast`);
    return account.signTypedData(data);
  }

  function settlementOf(terms: Terms, [released, refunded, toPayee, toPayer, deadline]: readonly bigint[]) {
    return {
      domain: escrowDomain(stage.chainId, stage.diamond),
      types: settlementTypes,
      primaryType: 'Settlement',
      message: { deal: stage.idOf(terms), released, refunded, toPayee, toPayer, deadline },
    };
  }

  const tokenDomain = { name: 'USD Coin', version: '1', chainId: stage.chainId, verifyingContract: token };

  async function encodePermit({ from, terms, deadline, signed }: SignedDeposit): Promise<Hex> {
    const contract = { abi: usdcAbi, address: token } as const;
    const nonce = await stage.reader.readContract({ ...contract, functionName: 'nonces', args: [from] });
    const message = { owner: from, spender: stage.diamond, value: signed.amount, nonce, deadline };
    const data = { domain: tokenDomain, types: permitTypes, primaryType: 'Permit', message };
    const { v, r, s } = parseSignature(await sign(signed.signer, data));
    return encodeEscrowCall('depositWithPermit', [terms, deadline, Number(v), r, s]);
  }

  async function encodeAuthorization({ terms, deadline, asBytes, signed }: SignedDeposit): Promise<Hex> {
    const message = {
      ...{ from: terms.payer, to: stage.diamond, value: signed.amount },
      ...{ validAfter: 0n, validBefore: deadline, nonce: stage.idOf(terms) },
    };
    const types = authorizationTypes;
    const data = { domain: tokenDomain, types, primaryType: 'ReceiveWithAuthorization', message };
    const signature = await sign(signed.signer, data);
    const { v, r, s } = parseSignature(signature);
    const form = asBytes ? [signature] : [Number(v), r, s];
    return encodeEscrowCall('depositWithAuthorization', [terms, 0n, deadline, ...form]);
  }

  async function encodePermit2({ terms, deadline, nonce, signed }: SignedDeposit): Promise<Hex> {
    const message = permit2DealMessage(terms, stage.diamond, nonce, deadline);
    const signature = await sign(signed.signer, {
      domain: permit2Domain(stage.chainId, stage.permit2),
      types: permit2DealTypes,
      primaryType: 'PermitWitnessTransferFrom',
      message: { ...message, permitted: { ...message.permitted, amount: signed.amount } },
    });
    return encodeEscrowCall('depositWithPermit2', [terms, nonce, deadline, signature]);
  }

  async function encodeCart({ verb, list, deadline, nonce, signed }: SignedCart): Promise<Hex> {
    const deals = cartHash(signed.list.map(stage.idOf));
    // An empty cart has no payer to sign for.
    const payer = signed.list[0]?.payer ?? signed.signer;
    if (verb === 'depositManyWithAuthorization') {
      const times = { validAfter: 0n, validBefore: deadline };
      const message = { from: payer, to: stage.diamond, value: signed.amount, ...times, nonce: deals };
      const types = authorizationTypes;
      const data = { domain: tokenDomain, types, primaryType: 'ReceiveWithAuthorization', message };
      return encodeEscrowCall(verb, [list, 0n, deadline, await sign(signed.signer, data)]);
    }
    const signature = await sign(signed.signer, {
      domain: permit2Domain(stage.chainId, stage.permit2),
      types: permit2CartTypes,
      primaryType: 'PermitWitnessTransferFrom',
      message: {
        ...{ permitted: { token, amount: signed.amount }, spender: stage.diamond },
        ...{ nonce, deadline, witness: { deals } },
      },
    });
    return encodeEscrowCall(verb, [list, nonce, deadline, signature]);
  }

  async function encode(call: Call): Promise<Hex> {
    switch (call.verb) {
      case 'releasePart':
      case 'refundPart':
      case 'returnPayment':
      case 'resolve':
        return encodeEscrowCall(call.verb, [call.terms, call.amount]);
      case 'depositMany':
      case 'releaseMany':
      case 'cancelMany':
        return encodeEscrowCall(call.verb, [call.list]);
      case 'openDispute':
        return encodeEscrowCall(call.verb, [call.terms, toHex(0, { size: 32 })]);
      case 'settle': {
        const { terms, amount, deadline, signed } = call;
        const ofPayer = await sign(terms.payer, settlementOf(terms, signed.payer));
        const ofPayee = await sign(terms.payee, settlementOf(terms, signed.payee));
        return encodeEscrowCall('settle', [terms, amount, deadline, ofPayer, ofPayee]);
      }
      case 'depositWithPermit':
        return encodePermit(call);
      case 'depositWithAuthorization':
        return encodeAuthorization(call);
      case 'depositWithPermit2':
        return encodePermit2(call);
      case 'depositManyWithAuthorization':
      case 'depositManyWithPermit2':
        return encodeCart(call);
      case 'approve':
        return encodeToken('approve', [stage.diamond, maxUint256]);
      case 'withdraw':
        return encodeEscrowCall('withdraw', [token, call.account]);
      case 'setDelegate':
        return encodeEscrowCall('setDelegate', [call.delegate, call.allowed]);
      default:
        return encodeEscrowCall(call.verb, [call.terms]);
    }
  }

  return {
    token,
    diamond: stage.diamond,
    addresses,
    idOf: stage.idOf,
    now: async () => (await stage.reader.getBlock()).timestamp,
    snapshot: () => stage.rpc('evm_snapshot', []),
    revert: (id: unknown) => stage.rpc('evm_revert', [id]),

    /** Makes the call in a block of time `now`; what the diamond told, or the name of the error it ended with. */
    async call(call: Call, now: bigint): Promise<Answer> {
      const data = await encode(call);
      const to = call.verb === 'approve' ? token : stage.diamond;
      await stage.rpc('evm_setNextBlockTimestamp', [toHex(now)]);
      try {
        const hash = await stage.rpc('eth_sendTransaction', [{ from: call.from, to, data, gas: toHex(10_000_000n) }]);
        const { logs } = (await stage.rpc('eth_getTransactionReceipt', [hash])) as { logs: Log[] };
        const own = logs.filter(({ address }) => isAddressEqual(address, stage.diamond));
        return { refusal: undefined, events: own.map(lineOf) };
      } catch (error) {
        const abi = [...escrowAbi, ...usdcAbi, ...permit2Errors];
        return { refusal: decodeErrorResult({ abi, data: revertData(error) }).errorName, events: [] };
      }
    },

    /** The deal in the model's words. */
    async deal(terms: Terms): Promise<Pick<ModelDeal, 'status' | 'released' | 'refunded'>> {
      const { status, released, refunded } = await stage.reader.readContract({
        abi: escrowAbi,
        address: stage.diamond,
        functionName: 'getDeal',
        args: [stage.idOf(terms)],
      });
      const name = statusNames[status];
      if (!name) throw new Error(`no such status: ${status}`);
      return { status: name, released, refunded };
    },

    async creditOf(account: Address) {
      return stage.reader.readContract({
        abi: escrowAbi,
        address: stage.diamond,
        functionName: 'creditOf',
        args: [token, account],
      });
    },

    async balanceOf(account: Address) {
      const contract = { abi: usdcAbi, address: token, functionName: 'balanceOf', args: [account] } as const;
      return stage.reader.readContract(contract);
    },
  };
}

function encodeToken(functionName: 'mint' | 'approve', args: readonly [Address, bigint]): Hex {
  return encodeFunctionData({ abi: usdcAbi, functionName, args });
}

const permit2Errors = parseAbi([
  'error SignatureExpired(uint256 deadline)',
  'error InvalidNonce()',
  'error InvalidSigner()',
]);
const permitTypes = {
  Permit: [
    { name: 'owner', type: 'address' },
    { name: 'spender', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
  ],
} as const;

/** Errors by selector, as a batch names why it left an entry. */
const errorNames = new Map(
  escrowAbi.flatMap((item) =>
    item.type === 'error'
      ? [[toFunctionSelector(`${item.name}(${item.inputs.map(({ type }) => type)})`), item.name] as const]
      : [],
  ),
);

/** An event in the model's words. @throws Error for one that the model never tells */
function lineOf({ data, topics }: Log): string {
  const { eventName, args } = decodeEventLog({ abi: escrowAbi, data, topics });
  switch (eventName) {
    case 'Deposited':
      return `Deposited ${args.id} ${args.payer} ${args.payee} ${Object.values(args.terms)}`;
    case 'Skipped':
      return `Skipped ${args.id} ${errorNames.get(args.reason)}`;
    case 'Withdrawn':
      return `Withdrawn ${args.account} ${args.amount}`;
    case 'DelegateChanged':
      return `DelegateChanged ${args.operator} ${args.delegate} ${args.allowed}`;
    default: {
      if (!('state' in args)) throw new Error(`${eventName} is not expected here`);
      const { released, refunded, status } = decodeDealState(args.state);
      const opener = (args.state >> 248n) & 1n ? ' by the payee' : ' by the payer';
      const more = eventName === 'DisputeOpened' ? opener : '';
      return `${eventName} ${args.id} ${released} ${refunded} ${status}${more}`;
    }
  }
}

/** The revert data in whatever the provider threw. @throws that, when there is none */
function revertData(error: unknown): Hex {
  for (let part: unknown = error; typeof part === 'object' && part !== null; ) {
    const data: unknown = 'data' in part ? part.data : undefined;
    if (isHex(data) && size(data) >= 4) return data;
    part = data ?? ('cause' in part ? part.cause : undefined);
  }
  throw error;
}
