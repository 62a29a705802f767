/**
 * A browser wallet for tests: announced by EIP-6963 in the page, decided and signed here. Each question of the page is a
 * `Deed`; a test can have it declined, held back, or refused with an error.
 */
import type { BrowserContext, Page } from 'playwright-core';
import { type Address, type Hex, keccak256, slice, toFunctionSelector } from 'viem';
import { expect } from 'vitest';
import { escrowAbi } from '../../contracts/abi.ts';
import type { RouteName } from '../../widget/routes.ts';
import type { EscrowChain } from '../support/escrow-chain.ts';
import { chainOf, openWallet, type Wallet } from '../support/wallet.ts';

/** What the page asks the wallet's owner. */
export type Deed =
  | 'connect'
  | 'switch'
  | 'add'
  | 'reset'
  | 'approve'
  | 'permit'
  | 'authorize'
  | 'permit2'
  | 'deposit'
  | 'batch'
  /** Any other verb of the escrow. */
  | 'act'
  | 'settle';

type Answer = () => Promise<void> | void;
type TypedData = { domain: object; types: object; primaryType: string; message: object };

/** An error as wallets answer it. */
export class WalletError extends Error {
  readonly code: number;
  readonly data: unknown;
  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

const APPROVE = toFunctionSelector('approve(address,uint256)');
const verbs = escrowAbi.flatMap((item) => (item.type === 'function' ? [item] : []));
const DEPOSITS = verbs.filter(({ name }) => name.startsWith('deposit')).map((item) => toFunctionSelector(item));
const VERBS = verbs.map((item) => toFunctionSelector(item));
const SIGNATURES: Record<string, Deed> = {
  Permit: 'permit',
  ReceiveWithAuthorization: 'authorize',
  PermitWitnessTransferFrom: 'permit2',
  Settlement: 'settle',
};
const ICON =
  'data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCAzMiAzMiI+PHJlY3Qgd2lkdGg9IjMyIiBoZWlnaHQ9IjMyIiByeD0iOCIgZmlsbD0iIzMzNGRiMyIvPjxjaXJjbGUgY3g9IjE2IiBjeT0iMTYiIHI9IjciIGZpbGw9IiNmZmYiLz48L3N2Zz4=';

/** What a node of another chain answers: another world, in which the account has sent more than in ours. */
function elsewhere(method: string): unknown {
  if (method === 'eth_call' || method === 'eth_getCode') return '0x';
  return /Transaction(ByHash|Receipt)$/.test(method) ? null : '0xffff';
}

/** A wallet with its own account; `inject` puts it into pages. */
export class ScriptedWallet {
  readonly name: string;
  readonly wallet: Wallet;
  /** What the page asked its owner, in order. */
  readonly deeds: Deed[] = [];
  /** Every method that the page called. */
  readonly methods: string[] = [];
  /** The chains that it knows; it is on the first. */
  chains: number[];
  /** Whether its node answers. */
  online = true;
  /** Its node leaves every question unanswered. */
  silent = false;
  /** Its node says of every transaction, or of this one, that it is not mined yet. */
  hidesReceipts: boolean | Hex = false;
  /** The way to pay that its owner takes; null: the one that the checkout proposes. */
  way: RouteName | null = 'approve';
  /** Whether it sends batches (EIP-5792). */
  batches = false;
  /** Says of a batch that it is still under way. */
  hidesBatches = false;
  /** Whether it signs typed data. */
  signs = true;
  /** Signs typed data as a smart account does, with more than 65 bytes. */
  signsLong = false;
  /** Sends a deposit, and answers with an error all the same. */
  losesAnswers = false;
  /** How it shows itself: by EIP-6963, as `window.ethereum` alone, or so a second after the page was loaded. */
  appears: 'announced' | 'injected' | 'late' = 'announced';
  /** Sends a deposit even when it must revert. */
  insists = false;
  /** What its owner does with a deposit before any node has it: the next one takes its nonce. */
  keeps: 'speed_up' | 'cancel' | 'drop' | null = null;
  /** What its owner approves instead of the amount asked for. */
  approveUnits: bigint | null = null;
  readonly #stack: EscrowChain;
  #account: Address;
  #connected = false;
  /** Nonce of the deposit that it keeps. */
  #kept: number | null = null;
  /** Speeds up or cancels the deposit that it keeps. */
  replace: () => Promise<void> = async () => undefined;
  readonly #batches = new Map<string, Hex[]>();
  readonly #answers = new Map<Deed, Answer>();
  readonly #pages = new Set<Page>();
  readonly #binding = `scriptedWallet_${crypto.randomUUID().replaceAll('-', '')}`;
  readonly #rdns: string;

  constructor(stack: EscrowChain, wallet: Wallet, name: string) {
    this.#stack = stack;
    this.wallet = wallet;
    this.name = name;
    this.chains = [stack.chainId];
    this.#account = wallet.address;
    this.#rdns = `test.${name.toLowerCase().replaceAll(' ', '-')}`;
  }

  /** A wallet that holds 1,000 of each test token and 10 ether, or what is said. */
  static async open(
    stack: EscrowChain,
    { name = 'Scripted Wallet', tokenUnits }: { name?: string; tokenUnits?: bigint } = {},
  ) {
    const wallet = await openWallet(stack, tokenUnits === undefined ? {} : { tokenUnits });
    return new ScriptedWallet(stack, wallet, name);
  }

  get address(): Address {
    return this.wallet.address;
  }

  /** Whether it keeps a deposit that no node has seen. */
  get isKeeping(): boolean {
    return this.#kept !== null;
  }

  /** Declines this deed from now on. */
  decline(deed: Deed): void {
    this.#answers.set(deed, () => {
      throw new WalletError(4001, 'User rejected the request.');
    });
  }

  /** Answers this deed with an error. */
  fail(deed: Deed, error: WalletError): void {
    this.#answers.set(deed, () => {
      throw error;
    });
  }

  /** Leaves this deed unanswered until the function that it returns is called. */
  hold(deed: Deed): () => void {
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#answers.set(deed, () => released);
    return release;
  }

  /** Leaves its account without a coin for fees. */
  async spendEther(): Promise<void> {
    await chainOf(this.#stack).setBalance({ address: this.address, value: 0n });
  }

  /** Waits until the page has asked for this deed. */
  async asked(deed: Deed): Promise<void> {
    await expect.poll(() => this.deeds, { timeout: 20_000 }).toContain(deed);
  }

  /** Agrees again. */
  agree(deed: Deed): void {
    this.#answers.delete(deed);
  }

  /** Puts the wallet into every page of the context, from its next navigation on. */
  async inject(context: BrowserContext): Promise<void> {
    await context.exposeBinding(this.#binding, async ({ page }, method: string, params: unknown[]) => {
      this.#pages.add(page);
      this.methods.push(method);
      try {
        return { result: (await this.#handle(method, params)) ?? null };
      } catch (error) {
        const { code = -32603, message, data } = Object(error);
        return { error: { code: Number(code), message: String(message), data } };
      }
    });
    await context.addInitScript({ content: this.#script() });
  }

  /** Changes to another chain by itself, as its owner might. */
  async moveTo(chainId: number): Promise<void> {
    this.chains = [chainId, ...this.chains.filter((known) => known !== chainId)];
    await this.#emit('chainChanged', `0x${chainId.toString(16)}`);
  }

  /** Shows another account, as its owner might choose. */
  async useAccount(account: Address): Promise<void> {
    this.#account = account;
    await this.#emit('accountsChanged', [account]);
  }

  /** Is locked, by itself after a while: it shows no account any more, and still reads. */
  async lock(): Promise<void> {
    this.#connected = false;
    await this.#emit('accountsChanged', []);
  }

  async #emit(event: string, value: unknown): Promise<void> {
    for (const page of this.#pages) {
      if (page.isClosed()) continue;
      await page.evaluate(`window.${this.#binding}_emit(${JSON.stringify(event)}, ${JSON.stringify(value)})`);
    }
  }

  async #ask(deed: Deed): Promise<void> {
    this.deeds.push(deed);
    await this.#answers.get(deed)?.();
  }

  async #handle(method: string, params: unknown[]): Promise<unknown> {
    const [chainId = 0] = this.chains;
    switch (method) {
      case 'wallet_requestPermissions':
        await this.#ask('connect');
        this.#connected = true;
        return [{ caveats: [{ type: 'restrictReturnedAccounts', value: [this.#account] }] }];
      case 'wallet_revokePermissions':
        this.#connected = false;
        return null;
      case 'eth_requestAccounts':
      case 'eth_accounts':
        return this.#connected ? [this.#account] : [];
      case 'eth_chainId':
        return `0x${chainId.toString(16)}`;
      case 'wallet_switchEthereumChain': {
        const wanted = Number(Object(params[0]).chainId);
        if (!this.chains.includes(wanted)) throw new WalletError(4902, 'Unrecognized chain ID.');
        await this.#ask('switch');
        await this.moveTo(wanted);
        return null;
      }
      case 'wallet_addEthereumChain': {
        const { chainId: wanted, rpcUrls } = Object(params[0]);
        if (!Array.isArray(rpcUrls) || !URL.canParse(rpcUrls[0])) throw new WalletError(-32602, 'No RPC URL.');
        await this.#ask('add');
        await this.moveTo(Number(wanted));
        return null;
      }
      case 'eth_sendTransaction':
        return await this.#send(Object(params[0]));
      case 'eth_signTypedData_v4':
        return await this.#sign(JSON.parse(String(params[1])));
      case 'wallet_getCapabilities':
        if (!this.batches) throw new WalletError(4200, 'Unsupported method.');
        return { [`0x${chainId.toString(16)}`]: { atomic: { status: 'supported' } } };
      case 'wallet_sendCalls':
        return await this.#sendBatch(Object(params[0]));
      case 'wallet_getCallsStatus': {
        const hashes = this.hidesBatches ? [] : (this.#batches.get(String(params[0])) ?? []);
        const receipts = hashes.map((transactionHash) => ({ transactionHash, status: '0x1' }));
        return { version: '2.0.0', id: params[0], status: receipts.length > 0 ? 200 : 100, receipts };
      }
      default:
        if (!this.online) throw new WalletError(-32603, 'fetch failed');
        if (this.silent) return await new Promise(() => undefined);
        if (chainId !== this.#stack.chainId) return elsewhere(method);
        if (method === 'eth_getTransactionCount' && params[1] === 'pending' && this.#kept !== null) {
          return `0x${(this.#kept + 1).toString(16)}`;
        }
        if (method === 'eth_getTransactionReceipt' && [true, params[0]].includes(this.hidesReceipts)) return null;
        return await this.wallet.client.request({ method, params } as never);
    }
  }

  async #send({ to, data }: { to: Address; data: Hex }): Promise<Hex> {
    const selector = data.slice(0, 10);
    const isDeposit = DEPOSITS.some((known) => known === selector);
    const isAct = !isDeposit && VERBS.some((known) => known === selector);
    if (selector !== APPROVE && !isDeposit && !isAct) throw new WalletError(-32602, `Unexpected call ${selector}.`);
    const isReset = selector === APPROVE && BigInt(`0x${data.slice(74)}`) === 0n;
    await this.#ask(isDeposit ? 'deposit' : isAct ? 'act' : isReset ? 'reset' : 'approve');
    if (isDeposit && this.insists) return await this.#insist({ to, data });
    if (isDeposit && this.keeps) return await this.#lose(this.#keep({ to, data }));
    const own = selector === APPROVE && this.approveUnits !== null;
    const units = (this.approveUnits ?? 0n).toString(16).padStart(64, '0');
    return await this.wallet.client.sendTransaction({ to, data: own ? `${slice(data, 0, 36)}${units}` : data });
  }

  /** The answer, unless it is to get lost. */
  async #lose(answer: Promise<Hex>): Promise<Hex> {
    const hash = await answer;
    if (this.losesAnswers) throw new WalletError(-32603, 'Internal error.');
    return hash;
  }

  async #sign({ domain, types, primaryType, message }: TypedData): Promise<Hex> {
    if (!this.signs) throw new WalletError(4200, 'Unsupported method.');
    const deed = SIGNATURES[primaryType];
    if (!deed) throw new WalletError(-32602, `Unexpected signature ${primaryType}.`);
    await this.#ask(deed);
    const signature = await this.wallet.account.signTypedData({ domain, types, primaryType, message } as never);
    return this.signsLong ? `${signature}${'00'.repeat(31)}` : signature;
  }

  /** One transaction after the other; its owner sees one question. */
  async #sendBatch({ calls }: { calls: { to: Address; data: Hex }[] }): Promise<{ id: string }> {
    await this.#ask('batch');
    const id = crypto.randomUUID();
    this.#batches.set(id, []);
    const hashes: Hex[] = [];
    for (const { to, data } of calls) hashes.push(await this.wallet.client.sendTransaction({ to, data }));
    this.#batches.set(id, hashes);
    return { id };
  }

  /** Sends without asking the node what it thinks of it. */
  async #insist(call: { to: Address; data: Hex }): Promise<Hex> {
    const { client, account } = this.wallet;
    const prepared = await client.prepareTransactionRequest({ ...call, account, gas: 300_000n });
    const serializedTransaction = await account.signTransaction(prepared as never);
    // Hardhat mines what reverts and answers with an error.
    await client.sendRawTransaction({ serializedTransaction }).catch(() => undefined);
    return keccak256(serializedTransaction);
  }

  /** Signs a deposit that no node gets to see, and answers its hash; `replace` then does as its owner wants. */
  async #keep(call: { to: Address; data: Hex }): Promise<Hex> {
    const { client, account } = this.wallet;
    const prepared = await client.prepareTransactionRequest({ ...call, account });
    const { nonce } = prepared;
    this.#kept = this.keeps === 'drop' ? null : nonce;
    this.replace = async () => {
      this.#kept = null;
      if (this.keeps === 'speed_up') await this.wallet.mined(await client.sendTransaction({ ...call, nonce }));
      if (this.keeps === 'cancel') {
        await this.wallet.mined(await client.sendTransaction({ to: account.address, value: 0n, nonce }));
      }
    };
    return keccak256(await account.signTransaction(prepared as never));
  }

  #script(): string {
    const info = { uuid: crypto.randomUUID(), name: this.name, icon: ICON, rdns: this.#rdns };
    return `(() => {
      const listeners = {};
      const provider = {
        async request({ method, params = [] }) {
          const { result, error } = await window.${this.#binding}(method, params);
          if (error) throw Object.assign(new Error(error.message), error);
          return result;
        },
        on(event, listener) { (listeners[event] ??= new Set()).add(listener); return provider; },
        removeListener(event, listener) { listeners[event]?.delete(listener); return provider; },
      };
      window.${this.#binding}_emit = (event, value) => listeners[event]?.forEach((listener) => listener(value));
      const inject = () => { window.ethereum = provider; };
      if (${this.appears === 'injected'}) return inject();
      if (${this.appears === 'late'}) {
        const initialize = () => { inject(); window.dispatchEvent(new Event('ethereum#initialized')); };
        return window.addEventListener('load', () => setTimeout(initialize, 1000));
      }
      const info = ${JSON.stringify(info)};
      const announce = () => window.dispatchEvent(
        new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }));
      window.addEventListener('eip6963:requestProvider', announce);
      announce();
    })();`;
  }
}
