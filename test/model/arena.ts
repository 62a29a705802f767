/**
 * The chain side of the differential test: an in-process chain with the deployed diamond, its accounts unlocked, where a
 * call either succeeds or names the contract's error, at a block time that the test sets. It decides nothing.
 */
import { type Address, decodeErrorResult, getAddress, type Hex, isHex, maxUint256, size, toHex } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { escrowAbi } from '../../contracts/abi.ts';
import { statusNames, type Terms } from '../../contracts/terms.ts';
import { escrowDomain, settlementTypes } from '../../contracts/typed-data.ts';
import { encodeEscrowCall, setStage } from '../../scripts/bench/gas-stage.ts';
import type { Call, ModelDeal } from './escrow.ts';

/** Who takes part: two payers, two payees, and everybody else once. */
export const cast = ['payer', 'otherPayer', 'payee', 'otherPayee', 'operator', 'delegate', 'arbiter', 'fees'] as const;

/** What each of them holds in the beginning, in base units; payees hold little, so that giving back can fail. */
export const START_BALANCE = 100_000n;

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
    await transact(minter.address, token, encodeToken('mint(address,uint256)', address, START_BALANCE));
    await transact(address, token, encodeToken('approve(address,uint256)', stage.diamond, maxUint256));
  }

  async function transact(from: Address, to: Address, data: Hex) {
    await stage.rpc('hardhat_impersonateAccount', [from]);
    await stage.rpc('eth_sendTransaction', [{ from, to, data, gas: toHex(10_000_000n) }]);
  }

  async function sign(signer: Address, terms: Terms, [released, refunded, toPayee, toPayer, deadline]: bigint[]) {
    const account = accounts.find(({ address }) => address === signer);
    if (!account) throw new Error(`${signer} is not in the cast`);
    return account.signTypedData({
      domain: escrowDomain(stage.chainId, stage.diamond),
      types: settlementTypes,
      primaryType: 'Settlement',
      message: {
        deal: stage.idOf(terms),
        released: released!,
        refunded: refunded!,
        toPayee: toPayee!,
        toPayer: toPayer!,
        deadline: deadline!,
      },
    });
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
        const ofPayer = await sign(terms.payer, terms, [...signed.payer]);
        const ofPayee = await sign(terms.payee, terms, [...signed.payee]);
        return encodeEscrowCall('settle', [terms, amount, deadline, ofPayer, ofPayee]);
      }
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

    /** Makes the call in a block of time `now`; the name of the contract's error, or undefined when it succeeded. */
    async call(call: Call, now: bigint): Promise<string | undefined> {
      const data = await encode(call);
      await stage.rpc('evm_setNextBlockTimestamp', [toHex(now)]);
      try {
        await stage.rpc('eth_sendTransaction', [{ from: call.from, to: stage.diamond, data, gas: toHex(10_000_000n) }]);
        return undefined;
      } catch (error) {
        return decodeErrorResult({ abi: escrowAbi, data: revertData(error) }).errorName;
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
      const data = encodeToken('balanceOf(address)', account);
      return BigInt((await stage.rpc('eth_call', [{ to: token, data }, 'latest'])) as Hex);
    },
  };
}

const selectors = {
  'mint(address,uint256)': '0x40c10f19',
  'approve(address,uint256)': '0x095ea7b3',
  'balanceOf(address)': '0x70a08231',
} as const;

function encodeToken(signature: keyof typeof selectors, account: Address, amount?: bigint): Hex {
  const words = [getAddress(account).slice(2).toLowerCase().padStart(64, '0')];
  if (amount !== undefined) words.push(toHex(amount, { size: 32 }).slice(2));
  return `${selectors[signature]}${words.join('')}`;
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
