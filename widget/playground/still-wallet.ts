/**
 * Owns the playground's wallet: one page's own, with a chain of a single deal behind it, so that the panel after the payment can be
 * tried without keys, nodes and money. What it signs is worth nothing anywhere.
 */
import {
  decodeFunctionData,
  encodeAbiParameters,
  encodeEventTopics,
  encodeFunctionResult,
  erc20Abi,
  type Hex,
  numberToHex,
} from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import { dealId, termsParameters } from '../../contracts/terms.ts';
import { BUYER, CHAIN_ID, DEPOSIT, DIAMOND, paidTerms } from './samples.ts';
import type { WalletMood } from './scenes.ts';

const DEPOSIT_BLOCK = 1_000n;
const RELEASE: Hex = `0x${'7e'.repeat(32)}`;
const SIGNATURE: Hex = `0x${'51'.repeat(65)}`;
const [SETTLED, FUNDED] = [4n, 1n];
const id = dealId(paidTerms, CHAIN_ID, DIAMOND);
const icon =
  'data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCAzMiAzMiI+PHJlY3Qgd2lkdGg9IjMyIiBoZWlnaHQ9IjMyIiByeD0iOCIgZmlsbD0iIzMzNGRiMyIvPjxjaXJjbGUgY3g9IjE2IiBjeT0iMTYiIHI9IjciIGZpbGw9IiNmZmYiLz48L3N2Zz4=';

let mood: WalletMood = 'absent';
let isReleased = false;

/** Lets the wallet be in this mood, and its chain as it was after the deposit. */
export function setMood(wanted: WalletMood): void {
  mood = wanted;
  isReleased = false;
  // Whoever was connected before is not any more, and nothing was sent.
  for (const key of Object.keys(localStorage)) if (key.startsWith('dealkeep.')) localStorage.removeItem(key);
}

/** Shows the wallet to whoever asks for wallets (EIP-6963), unless it is away. */
export function announceWallet(): void {
  const info = { uuid: crypto.randomUUID(), name: 'Blue Wallet', icon, rdns: 'test.blue' };
  const detail = Object.freeze({ info, provider: { request, on: () => undefined, removeListener: () => undefined } });
  window.addEventListener('eip6963:requestProvider', () => {
    if (mood !== 'absent') window.dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail }));
  });
}

async function request({ method, params = [] }: { method: string; params?: readonly unknown[] }): Promise<unknown> {
  const [first] = params;
  switch (method) {
    case 'wallet_requestPermissions':
      return [{ caveats: [{ type: 'restrictReturnedAccounts', value: [BUYER] }] }];
    case 'eth_requestAccounts':
    case 'eth_accounts':
      return [BUYER];
    case 'eth_chainId':
      return numberToHex(mood === 'elsewhere' ? 1 : CHAIN_ID);
    case 'eth_sendTransaction':
      await decide();
      isReleased = mood !== 'mines_never';
      return RELEASE;
    case 'eth_signTypedData_v4':
      await decide();
      return SIGNATURE;
  }
  if (mood === 'offline') throw Object.assign(new Error('fetch failed'), { code: -32603 });
  switch (method) {
    case 'eth_getBlockByNumber':
      return { number: numberToHex(DEPOSIT_BLOCK + 5n), timestamp: numberToHex(nowSeconds()), transactions: [] };
    case 'eth_blockNumber':
      return numberToHex(DEPOSIT_BLOCK + 5n);
    case 'eth_getTransactionCount':
      return '0x1';
    case 'eth_getTransactionByHash':
      return { hash: first, blockNumber: null, from: BUYER, nonce: '0x1', input: '0x', value: '0x0', gas: '0x0' };
    case 'eth_getTransactionReceipt':
      return receiptOf(first);
    case 'eth_getLogs':
      return [depositLog(), ...(isReleased ? [releaseLog()] : [])];
    case 'eth_call':
      return call(Object(first).data);
    default:
      throw Object.assign(new Error(`The playground’s wallet does not know ${method}.`), { code: 4200 });
  }
}

/** What its owner says. */
async function decide(): Promise<void> {
  if (mood === 'declines') throw Object.assign(new Error('User rejected the request.'), { code: 4001 });
  if (mood === 'hesitates') await new Promise(() => undefined);
}

function call(data: Hex): Hex {
  const token = { abi: erc20Abi } as const;
  try {
    const { functionName } = decodeFunctionData({ ...token, data });
    switch (functionName) {
      case 'symbol':
        return encodeFunctionResult({ ...token, functionName, result: 'USDC' });
      case 'decimals':
        return encodeFunctionResult({ ...token, functionName, result: 6 });
      default:
        return numberToHex(0, { size: 32 });
    }
  } catch {
    const { functionName } = decodeFunctionData({ abi: escrowAbi, data });
    if (functionName !== 'getDeal') return '0x';
    const released = isReleased ? paidTerms.amount : 0n;
    const result = { released, refunded: 0n, status: Number(isReleased ? SETTLED : FUNDED) };
    return encodeFunctionResult({ abi: escrowAbi, functionName, result });
  }
}

function receiptOf(hash: unknown): object | null {
  if (hash !== DEPOSIT && !isReleased) return null;
  const isDeposit = hash === DEPOSIT;
  return {
    ...{ transactionHash: hash, from: BUYER, to: DIAMOND, status: '0x1', type: '0x2', transactionIndex: '0x0' },
    ...{ blockHash: hash, blockNumber: numberToHex(isDeposit ? DEPOSIT_BLOCK : DEPOSIT_BLOCK + 5n) },
    ...{ cumulativeGasUsed: '0x1', gasUsed: '0x1', effectiveGasPrice: '0x1', contractAddress: null, logsBloom: '0x' },
    logs: [isDeposit ? depositLog() : releaseLog()],
  };
}

function depositLog(): object {
  const args = { id, payer: paidTerms.payer, payee: paidTerms.payee };
  const data = encodeAbiParameters([{ type: 'tuple', components: termsParameters }], [paidTerms]);
  return log(encodeEventTopics({ abi: escrowAbi, eventName: 'Deposited', args }), data, DEPOSIT, DEPOSIT_BLOCK);
}

function releaseLog(): object {
  const state = paidTerms.amount | (SETTLED << 240n);
  const topics = encodeEventTopics({ abi: escrowAbi, eventName: 'Released', args: { id } });
  return log(topics, numberToHex(state, { size: 32 }), RELEASE, DEPOSIT_BLOCK + 5n);
}

function log(topics: readonly unknown[], data: Hex, transactionHash: Hex, block: bigint): object {
  const blockTimestamp = numberToHex(nowSeconds());
  return { address: DIAMOND, topics, data, transactionHash, blockNumber: numberToHex(block), blockTimestamp };
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}
