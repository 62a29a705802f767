/**
 * Owns one look at the chain: whether the node is what it is asked to be, which deals there are, how each stands, and what waits to
 * be paid out. What a node says and cannot prove is not shown.
 */
import type { Address } from 'viem';
import { dealId, type Terms } from '../../contracts/terms.ts';
import {
  checkPlace,
  type DealNow,
  type Place,
  readCredit,
  readStanding,
  readToken,
  type Token,
  WrongNode,
} from '../afterwards/calls.ts';
import { type Found, findByTransaction, findDeals, findStart, type Progress } from '../afterwards/finding.ts';
import { NodeError, nodeAt } from '../afterwards/node.ts';
import type { Provider } from '../deposit/escrow.ts';
import type { Wanted } from './form.ts';

/** The node is of another chain. */
export class OtherChain extends Error {
  override name = 'OtherChain';
  readonly actual: number;
  readonly expected: number;
  constructor(actual: number, expected: number) {
    super(`chain ${actual}, not ${expected}`);
    this.actual = actual;
    this.expected = expected;
  }
}

/** Something that waits in the contract for its owner, in base units. */
export type Credit = { token: Token; account: Address; units: bigint };

/** Where the search has come to. */
export type SearchNow = {
  progress: Progress | null;
  /** How many deals were found so far. */
  count: number;
};

/** A node that was checked, and what it showed. */
export class Search {
  readonly wanted: Wanted;
  readonly place: Place;
  readonly node: Provider;
  /** Whether the contract's code is what this page was built with. */
  readonly isKnownCode: boolean;
  deals: readonly DealNow[] = [];
  credits: readonly Credit[] = [];
  /** The blocks that were searched; null: the deals are a transaction's. */
  searched: { from: bigint; to: bigint } | null = null;
  readonly #tokens = new Map<Address, Promise<Token>>();

  private constructor(wanted: Wanted, place: Place, node: Provider, isKnownCode: boolean) {
    this.isKnownCode = isKnownCode;
    this.wanted = wanted;
    this.place = place;
    this.node = node;
  }

  /** Opens the node, and makes sure that it knows this contract. @throws NodeError, OtherChain, WrongNode, Problem */
  static async open(wanted: Wanted): Promise<Search> {
    const node = nodeAt(wanted.rpcUrl);
    const answer = await node.request({ method: 'eth_chainId' });
    const chainId = Number(answer);
    if (typeof answer !== 'string' || !Number.isSafeInteger(chainId) || chainId <= 0) {
      throw new NodeError('not_a_node', 'no chain id');
    }
    if (wanted.chainId !== null && chainId !== wanted.chainId) throw new OtherChain(chainId, wanted.chainId);
    const place = { chainId, diamond: wanted.diamond };
    const { isKnownCode } = await checkPlace(node, place);
    return new Search(wanted, place, node, isKnownCode);
  }

  /** Finds the deals; when the signal aborts, what was found until then counts. @throws NodeError, WrongNode, Problem */
  async find(signal: AbortSignal, onProgress: (now: SearchNow) => void): Promise<void> {
    const found = await this.#look(signal, onProgress);
    await this.#show(found.map(({ terms }) => terms));
  }

  /** Reads every deal again. @throws WrongNode, Problem */
  async refresh(): Promise<void> {
    await this.#show(this.deals.map(({ terms }) => terms));
  }

  /** Takes in a deal whose terms somebody else brings, and answers it. @throws WrongNode not_a_deal · Problem */
  async add(terms: Terms): Promise<DealNow> {
    const id = dealId(terms, this.place.chainId, this.place.diamond);
    const known = this.deals.find((deal) => deal.id === id);
    if (known) return known;
    const deal = await this.#read(terms);
    this.deals = [deal, ...this.deals];
    return deal;
  }

  async #look(signal: AbortSignal, onProgress: (now: SearchNow) => void): Promise<readonly Found[]> {
    const { transaction, account, start } = this.wanted;
    if (transaction) return await findByTransaction(this.node, this.place, transaction);
    if (!account) return [];
    const to = BigInt(String(await this.node.request({ method: 'eth_blockNumber' })));
    const from = start ?? (await findStart(this.node, this.place, to));
    let latest: readonly Found[] = [];
    this.searched = { from, to };
    const range = { account, from, to };
    try {
      return await findDeals(this.node, this.place, range, {
        signal,
        onProgress: (progress, found) => {
          latest = found;
          this.searched = { from: progress.searchedDownTo, to };
          onProgress({ progress, count: found.length });
        },
      });
    } catch (error) {
      if (signal.aborted) return latest;
      throw error;
    }
  }

  async #show(list: readonly Terms[]): Promise<void> {
    const deals: DealNow[] = [];
    // One after the other: public nodes count what arrives at once.
    for (const terms of list) deals.push(await this.#read(terms));
    this.deals = deals;
    this.credits = await this.#readCredits();
  }

  async #read(terms: Terms): Promise<DealNow> {
    const { chainId, diamond } = this.place;
    const [standing, token] = await Promise.all([readStanding(this.node, this.place, terms), this.#token(terms.token)]);
    return { chainId, diamond, id: dealId(terms, chainId, diamond), token, ...standing };
  }

  async #token(address: Address): Promise<Token> {
    const reading = this.#tokens.get(address) ?? readToken(this.node, address);
    this.#tokens.set(address, reading);
    return await reading;
  }

  async #readCredits(): Promise<Credit[]> {
    const owners = new Map<string, { token: Token; account: Address }>();
    for (const { terms, token } of this.deals) {
      const accounts = this.wanted.account ? [this.wanted.account] : [terms.payer, terms.payee];
      for (const account of accounts) owners.set(`${token.address} ${account}`, { token, account });
    }
    const credits: Credit[] = [];
    for (const { token, account } of owners.values()) {
      const units = await readCredit(this.node, this.place, token.address, account);
      if (units > 0n) credits.push({ token, account, units });
    }
    return credits;
  }
}

/** The text of an error of a search: its key in the language file, and what stands in it. */
export function errorWords(error: unknown, { chainId }: { chainId: number | null }) {
  if (error instanceof NodeError) return { key: `error.${error.kind}`, values: { reason: error.message } } as const;
  if (error instanceof OtherChain) {
    return {
      key: 'error.other_chain',
      values: { actual: String(error.actual), expected: String(error.expected) },
    } as const;
  }
  if (error instanceof WrongNode)
    return { key: `error.${error.code}`, values: { chainId: String(chainId ?? '') } } as const;
  return { key: 'error.network_down', values: {} } as const;
}
