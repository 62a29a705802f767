/**
 * Owns what one person does with deals on one page: their wallet, and one action at a time. Before the wallet opens, the deal is
 * read again, what would move is computed, and the call is tried; then what was sent is followed into its block. It renders
 * nothing; of what it sent it keeps the hash until a block holds it, so that a reload sends nothing twice. In one piece, since each
 * step asks whether its action is still the one that the person chose.
 */
import { type Address, type Hex, isAddressEqual } from 'viem';
import { type ChainInfo, chainInfo } from '../chains.ts';
import {
  approveCall,
  type Call,
  type Provider,
  readChainId,
  readFunds,
  readNonce,
  send,
  simulate,
} from '../deposit/escrow.ts';
import { Problem, problemOf } from '../deposit/problem.ts';
import { type Connection, Wallets } from '../deposit/wallets.ts';
import { follow } from '../deposit/watch.ts';
import { alone } from '../sent.ts';
import type { ProblemCode, WalletChoice } from '../snapshot.ts';
import { type AmountFault, readAmount } from './amount.ts';
import {
  type DealNow,
  type Place,
  type Refusal,
  readStanding,
  readTime,
  refusalOf,
  settleCall,
  verbCall,
  WrongNode,
  withdrawCall,
} from './calls.ts';
import {
  heldUnits,
  isOpen,
  type Movement,
  movementOf,
  optionsOf,
  returnableUnits,
  rolesOf,
  type Verb,
} from './options.ts';
import { isCurrent, type Party, type Proposal, signSplit } from './proposal.ts';
import { forgetUnderway, loadUnderway, storeUnderway, type Underway } from './underway.ts';

/** What somebody wants to do. */
export type Wish =
  | { kind: 'verb'; deal: DealNow; verb: Exclude<Verb, 'settle'>; units: bigint | null }
  | { kind: 'propose'; deal: DealNow; units: bigint | null }
  | { kind: 'accept'; deal: DealNow; proposal: Proposal }
  | { kind: 'withdraw'; token: DealNow['token']; account: Address; units: bigint };

/** Why it stopped besides what wallets and nodes do. */
export type Stop =
  | ProblemCode
  | 'deal_moved'
  | 'not_yours'
  | 'not_now'
  | 'nodes_disagree'
  | 'balance_short'
  | 'proposal_over'
  | 'keeping_failed';

/** What is done at the moment. */
export type Deed = {
  wish: Wish;
  /**
   * asking: an amount is to be typed; connect: a wallet is to be chosen; wrong_chain: it has to change; checking: reading and
   * trying; review: the words are shown; signing: the wallet asks; mining: sent; done; stopped.
   */
  stage: 'asking' | 'connect' | 'wrong_chain' | 'checking' | 'review' | 'signing' | 'mining' | 'done' | 'stopped';
  /** What would move, from the review on. */
  movement: Movement | null;
  /** What the wallet is asked for, in order, and how much of it is done. */
  steps: readonly ('reset' | 'approve' | 'call' | 'sign')[];
  signed: number;
  /** Last second in which a proposed split holds. */
  deadline: bigint | null;
  /** Another transaction of this account is still under way. */
  isCrowded: boolean;
  stop: Stop | null;
  refusal: Refusal | null;
  /** What is wrong with the amount that was typed. */
  fault: AmountFault | null;
  hash: Hex | null;
  proposal: Proposal | null;
};

/** What the page around brings. */
export type Ground = {
  place: Place;
  rpcUrl: string | null;
  /** A node besides the wallet's; null: only the wallet's is asked. */
  node: Provider | null;
  /** Takes a split that was signed; null: the page shows it to be handed on. */
  keep: ((proposal: Proposal) => Promise<void>) | null;
  onChange: () => void;
  /** Something was mined, or kept. */
  onDone: () => void;
};

/** How long a proposed split holds. */
const PROPOSAL_SECONDS = 7n * 86_400n;

/** A wallet, and one action at a time. */
export class Desk {
  readonly #ground: Ground;
  readonly #wallets: Wallets;
  #connection: Connection | null = null;
  #asked: WalletChoice | null = null;
  #deed: Deed | null = null;
  /** What the chain's time was when it was read last, and when that was. */
  #time: { seconds: bigint; readAt: number } | null = null;
  /** Counts the person's decisions: what an older one still brings is dropped. */
  #turn = 0;

  constructor(ground: Ground) {
    this.#ground = ground;
    this.#wallets = new Wallets(this.chain, {
      onWallets: ground.onChange,
      onMoved: () => void this.#moved(),
    });
  }

  get chain(): ChainInfo {
    return chainInfo(this.#ground.place.chainId, this.#ground.rpcUrl);
  }

  get wallets(): readonly WalletChoice[] {
    return this.#wallets.choices();
  }

  /** The wallet that is connected, or that is asked to. */
  get wallet(): WalletChoice | null {
    return this.#connection?.wallet ?? this.#asked;
  }

  get isConnecting(): boolean {
    return this.#asked !== null && this.#connection === null;
  }

  /** Whether a signed split is kept for the other side; else the page hands it on. */
  get keepsProposals(): boolean {
    return this.#ground.keep !== null;
  }

  get account(): Address | null {
    return this.#connection?.account ?? null;
  }

  get deed(): Deed | null {
    return this.#deed;
  }

  /** Where readings go: the page's own node, else the wallet's. */
  get node(): Provider | null {
    return this.#ground.node ?? this.#connection?.provider ?? null;
  }

  /** The chain's time by now, in Unix seconds; the page's own clock until the chain's was read. */
  get now(): bigint {
    if (!this.#time) return BigInt(Math.floor(Date.now() / 1_000));
    return this.#time.seconds + BigInt(Math.floor((Date.now() - this.#time.readAt) / 1_000));
  }

  /** Reads the chain's time. @throws Problem network_down */
  async readTime(): Promise<void> {
    if (this.node) this.#time = { seconds: await readTime(this.node), readAt: Date.now() };
  }

  /** Takes up the wallet of the last visit where it still shows its accounts. */
  async restore(): Promise<void> {
    const connection = await this.#wallets.restore().catch(() => null);
    if (!connection || this.#connection) return;
    this.#connection = connection;
    this.#ground.onChange();
  }

  /** Asks a wallet for its account, then goes on with what is to be done. */
  async connect(id: string): Promise<void> {
    const turn = this.#begin();
    this.#asked = this.wallets.find((choice) => choice.id === id) ?? null;
    this.#ground.onChange();
    try {
      const connection = await this.#wallets.connect(id);
      if (turn !== this.#turn) return;
      this.#connection = connection;
      this.#asked = null;
      if (this.#deed) return await this.#check(turn);
      this.#ground.onChange();
    } catch (error) {
      this.#stop(error, turn);
    }
  }

  /** Lets go of the wallet. */
  async leave(): Promise<void> {
    const turn = this.#begin();
    this.#connection = null;
    this.#asked = null;
    if (this.#deed) this.#patch({ stage: 'connect' });
    else this.#ground.onChange();
    await this.#wallets.disconnect();
    if (turn === this.#turn) this.#ground.onChange();
  }

  /** Asks the wallet to change to the deal's chain. */
  async switchChain(): Promise<void> {
    if (!this.#connection || !this.#deed) return;
    const turn = this.#begin();
    this.#patch({ stage: 'checking' });
    try {
      await this.#wallets.switchChain(this.#connection);
      if (turn === this.#turn) await this.#check(turn);
    } catch (error) {
      this.#stop(error, turn);
    }
  }

  /** Takes up what this page sent for one of the deals before it was loaded anew; false when there is nothing of the kind. */
  async resume(deals: readonly DealNow[]): Promise<boolean> {
    if (this.#deed || !this.node) return false;
    for (const deal of deals) {
      const sent = loadUnderway(deal.id);
      if (!sent) continue;
      await this.#takeUp(deal, sent);
      return true;
    }
    return false;
  }

  /** Begins to do something; it is checked at once when nothing has to be typed first. */
  async begin(wish: Wish): Promise<void> {
    // Another tab may have sent something since, and be gone.
    if (wish.kind !== 'withdraw' && (await this.resume([wish.deal]))) return;
    const turn = this.#begin();
    this.#deed = { ...fresh, wish };
    const isOpenEnded = (wish.kind === 'verb' && needsUnits(wish.verb)) || wish.kind === 'propose';
    if (isOpenEnded && wish.units === null) return this.#patch({ stage: 'asking' });
    await this.#check(turn);
  }

  /** Takes the amount that was typed, or says what is wrong with it. */
  async take(text: string): Promise<void> {
    const wish = this.#deed?.wish;
    if (wish?.kind !== 'verb' && wish?.kind !== 'propose') return;
    const units = readAmount(text, { decimals: wish.deal.token.decimals, ...boundsOf(wish) });
    if (typeof units === 'bigint') await this.begin({ ...wish, units });
    else this.#patch({ fault: units });
  }

  /** Looks again. */
  async again(): Promise<void> {
    if (this.#deed) await this.#check(this.#begin());
  }

  /** Lets it be. What the wallet has sent goes on. */
  cancel(): void {
    this.#begin();
    this.#deed = null;
    this.#ground.onChange();
  }

  /** Asks the wallet for everything that the deed needs, each tried first and followed into its block. */
  async sign(): Promise<void> {
    const deed = this.#deed;
    if (deed?.stage !== 'review') return;
    const turn = this.#begin();
    try {
      const isAlone = await alone(keyOf(deed.wish), async () => {
        for (const [index, step] of deed.steps.entries()) {
          this.#patch({ stage: 'signing', signed: index });
          const { account, provider } = await this.#sameConnection();
          if (turn !== this.#turn) return;
          if (step === 'sign') await this.#propose(provider, account, turn);
          else await this.#send(step, provider, account, turn);
          if (turn !== this.#turn) return;
        }
        this.#patch({ stage: 'done', signed: deed.steps.length });
        this.#ground.onDone();
      });
      if (!isAlone) throw new Problem('other_tab');
    } catch (error) {
      this.#stop(error, turn);
    }
  }

  /** Stops listening to wallets. */
  close(): void {
    this.#begin();
    this.#wallets.close();
  }

  async #propose(provider: Provider, account: Address, turn: number): Promise<void> {
    const { wish, deadline } = this.#deed ?? {};
    if (wish?.kind !== 'propose' || wish.units === null || !deadline) throw new Problem('signature_failed');
    const signedBy = partyOf(wish.deal, account);
    const proposal = await signSplit(provider, account, wish.deal, { toPayee: wish.units, deadline, signedBy });
    if (turn !== this.#turn) return;
    this.#patch({ proposal });
    await this.#ground.keep?.(proposal).catch((error) => {
      throw new Stopped('keeping_failed', { cause: error });
    });
  }

  async #send(step: 'reset' | 'approve' | 'call', provider: Provider, account: Address, turn: number): Promise<void> {
    const wish = this.#deed?.wish;
    if (!wish) return;
    const call = this.#callOf(step, wish);
    const node = this.#ground.node ?? provider;
    await simulate(node, account, call);
    // The wallet's own node decides what is signed over; it has to see the same.
    if (node !== provider) await simulate(provider, account, call);
    const nonce = await readNonce(provider, account, 'pending').catch(() => undefined);
    if (turn !== this.#turn) return;
    const sent = { step, account, ...(nonce !== undefined && { nonce }) };
    const keep = (hash: Hex) => {
      if (wish.kind !== 'withdraw') storeUnderway(wish.deal.id, { ...sent, hash, ...purposeOf(wish) });
    };
    const hash = await send(provider, account, call);
    // Kept whatever the page does meanwhile: the wallet has sent it.
    keep(hash);
    if (turn !== this.#turn) return;
    this.#patch({ stage: 'mining', hash });
    await this.#follow({ ...sent, hash }, wish, turn, keep);
  }

  /** Waits until a block holds it; then, or when it came to nothing, it is forgotten. @throws Problem reverted, replaced, dropped */
  async #follow(
    { hash, account, nonce }: Pick<Underway, 'hash' | 'account' | 'nonce'>,
    wish: Wish,
    turn: number,
    keep: (hash: Hex) => void,
  ): Promise<void> {
    const forget = () => void (wish.kind !== 'withdraw' && forgetUnderway(wish.deal.id));
    try {
      const { chainId } = this.#ground.place;
      const sent = { hash, account, chainId, ...(nonce !== undefined && { nonce }) };
      await follow(sent, {
        provider: () => this.node,
        isWanted: () => turn === this.#turn,
        onHash: (hash) => {
          keep(hash);
          this.#patch({ hash });
        },
      });
    } catch (error) {
      forget();
      throw error;
    }
    if (turn === this.#turn) forget();
  }

  async #takeUp(deal: DealNow, sent: Underway): Promise<void> {
    const turn = this.#begin();
    const wish: Wish =
      'split' in sent
        ? { kind: 'accept', deal, proposal: sent.split }
        : { kind: 'verb', deal, verb: sent.verb, units: sent.units };
    this.#deed = { ...fresh, wish };
    this.#patch({ stage: 'mining', hash: sent.hash });
    try {
      await this.#follow(sent, wish, turn, (hash) => storeUnderway(deal.id, { ...sent, hash }));
      if (turn !== this.#turn) return;
      // An approval was but the first step.
      if (sent.step !== 'call') return await this.#check(turn);
      this.#patch({ stage: 'done' });
      this.#ground.onDone();
    } catch (error) {
      this.#stop(error, turn);
    }
  }

  #callOf(step: 'reset' | 'approve' | 'call', wish: Wish): Call {
    const { place } = this.#ground;
    if (wish.kind === 'withdraw') return withdrawCall(place, wish.token.address, wish.account);
    const { deal } = wish;
    if (step !== 'call' && wish.kind === 'verb') {
      const token = { token: deal.terms.token, diamond: place.diamond };
      return approveCall(token, step === 'reset' ? 0n : (wish.units ?? 0n));
    }
    if (wish.kind === 'verb') return verbCall(deal, wish.verb, wish.units ?? 0n);
    if (wish.kind === 'accept') return settleCall(deal, wish.proposal, wish.proposal.signature, wish.proposal.signedBy);
    throw new Problem('signature_failed');
  }

  /** Reads and tries everything anew, up to the review. */
  async #check(turn: number): Promise<void> {
    const wish = this.#deed?.wish;
    if (!wish) return;
    if (!this.#connection) return this.#patch({ stage: 'connect' });
    this.#patch({ ...fresh, stage: 'checking' });
    try {
      const { provider, account } = await this.#sameConnection();
      if ((await readChainId(provider)) !== this.#ground.place.chainId) {
        if (turn === this.#turn) this.#patch({ stage: 'wrong_chain' });
        return;
      }
      const node = this.#ground.node ?? provider;
      const [, latest, pending] = await Promise.all([
        this.readTime(),
        readNonce(provider, account, 'latest'),
        readNonce(provider, account, 'pending'),
      ]);
      const plan = wish.kind === 'withdraw' ? withdrawal(wish) : await this.#plan(wish, node, provider, account);
      const first = plan.steps[0];
      if (first && first !== 'sign') {
        const call = this.#callOf(first, plan.wish);
        await simulate(node, account, call);
      }
      if (turn === this.#turn) this.#patch({ ...plan, stage: 'review', isCrowded: pending > latest });
    } catch (error) {
      this.#stop(error, turn);
    }
  }

  /** What would happen, by the deal as it stands now. @throws Stopped, Problem, WrongNode */
  async #plan(wish: Exclude<Wish, { kind: 'withdraw' }>, node: Provider, provider: Provider, account: Address) {
    const { place } = this.#ground;
    const standing = await readStanding(node, place, wish.deal.terms);
    if (node !== provider) {
      const other = await readStanding(provider, place, wish.deal.terms);
      const isSame =
        other.status === standing.status &&
        other.released === standing.released &&
        other.refunded === standing.refunded;
      if (!isSame) throw new Stopped('nodes_disagree');
    }
    const deal = { ...wish.deal, ...standing };
    const verb = wish.kind === 'verb' ? wish.verb : 'settle';
    const options = optionsOf(deal).filter((option) => option.verb === verb);
    if (options.length === 0) throw new Stopped('deal_moved');
    const roles = rolesOf(deal.terms, account);
    const own = options.filter(({ by }) => roles.includes(by));
    if (own.length === 0) throw new Stopped('not_yours');
    if (!own.some((option) => isOpen(option, this.now))) throw new Stopped('not_now');
    switch (wish.kind) {
      case 'verb': {
        const movement = moving(wish.verb, deal, wish.units);
        const steps =
          wish.verb === 'returnPayment' ? await this.#allowing(provider, account, deal, wish.units ?? 0n) : [];
        return { wish: { ...wish, deal }, movement, steps: [...steps, 'call' as const] };
      }
      case 'propose': {
        const movement = moving('settle', deal, wish.units);
        const deadline = this.now + PROPOSAL_SECONDS;
        return { wish: { ...wish, deal }, movement, steps: ['sign' as const], deadline };
      }
      case 'accept': {
        const { proposal } = wish;
        if (!isCurrent(proposal, deal, this.now)) throw new Stopped('proposal_over');
        if (partyOf(deal, account) === proposal.signedBy) throw new Stopped('not_yours');
        const movement = moving('settle', deal, proposal.toPayee);
        return { wish: { ...wish, deal }, movement, steps: ['call' as const], deadline: proposal.deadline };
      }
    }
  }

  /** The approvals that giving back needs first. */
  async #allowing(provider: Provider, account: Address, { terms, diamond }: DealNow, units: bigint) {
    const { tokenUnits, allowanceUnits } = await readFunds(provider, { token: terms.token, diamond }, account, null);
    if (tokenUnits < units) throw new Stopped('balance_short');
    if (allowanceUnits >= units) return [];
    return allowanceUnits > 0n ? (['reset', 'approve'] as const) : (['approve'] as const);
  }

  /** The connection, unless its wallet shows another account by now. @throws Problem wallet_moved */
  async #sameConnection(): Promise<Connection> {
    const current = await this.#wallets.current();
    if (!current || !this.#connection) throw new Problem('wallet_failed');
    if (!isAddressEqual(current.account, this.#connection.account)) throw new Problem('wallet_moved');
    return current;
  }

  /** The wallet went to another account or chain by itself: what is reviewed is checked anew. */
  async #moved(): Promise<void> {
    const stage = this.#deed?.stage;
    if (stage === 'signing' || stage === 'mining') return;
    const turn = this.#begin();
    const connection = await this.#wallets.current().catch(() => null);
    if (turn !== this.#turn) return;
    this.#connection = connection;
    if (this.#deed && stage !== 'asking' && stage !== 'done') await this.#check(turn);
    else this.#ground.onChange();
  }

  #stop(error: unknown, turn: number): void {
    if (turn !== this.#turn) return;
    this.#asked = null;
    if (!this.#deed) {
      this.#ground.onChange();
      return;
    }
    const stop: Stop =
      error instanceof Stopped ? error.reason : error instanceof WrongNode ? 'nodes_disagree' : problemOf(error).code;
    this.#patch({ stage: 'stopped', stop, refusal: refusalOf(error) });
  }

  #patch(patch: Partial<Deed>): void {
    if (this.#deed) this.#deed = { ...this.#deed, ...patch };
    this.#ground.onChange();
  }

  #begin(): number {
    this.#asked = null;
    this.#turn += 1;
    return this.#turn;
  }
}

const fresh: Omit<Deed, 'wish'> = {
  stage: 'checking',
  movement: null,
  steps: [],
  signed: 0,
  deadline: null,
  isCrowded: false,
  stop: null,
  refusal: null,
  fault: null,
  hash: null,
  proposal: null,
};

/** What the deed needs to be true, and is not. */
class Stopped extends Error {
  override name = 'Stopped';
  readonly reason: Stop;
  constructor(reason: Stop, options?: ErrorOptions) {
    super(reason, options);
    this.reason = reason;
  }
}

/** Whether the verb takes an amount. */
function needsUnits(verb: Verb): boolean {
  return ['releasePart', 'refundPart', 'resolve', 'returnPayment'].includes(verb);
}

/** The least and the most that may be typed, in base units. */
export function boundsOf(wish: Extract<Wish, { kind: 'verb' | 'propose' }>): { least: bigint; most: bigint } {
  if (wish.kind === 'propose') return { least: 0n, most: heldUnits(wish.deal) };
  if (wish.verb === 'returnPayment') return { least: 1n, most: returnableUnits(wish.deal) };
  return { least: wish.verb === 'resolve' ? 0n : 1n, most: heldUnits(wish.deal) };
}

function moving(verb: Verb, deal: DealNow, units: bigint | null): Movement {
  try {
    return movementOf(verb, deal, units);
  } catch (cause) {
    throw new Stopped('deal_moved', { cause });
  }
}

function partyOf({ terms }: DealNow, account: Address): Party {
  return isAddressEqual(terms.payer, account) ? 'payer' : 'payee';
}

/** What two tabs must not do at once. */
function keyOf(wish: Wish): string {
  return wish.kind === 'withdraw' ? `${wish.account} ${wish.token.address}` : wish.deal.id;
}

/** What of a wish has to be known to go on with what was sent for it. */
function purposeOf(wish: Exclude<Wish, { kind: 'withdraw' }>) {
  if (wish.kind === 'accept') return { split: wish.proposal };
  if (wish.kind === 'verb') return { verb: wish.verb, units: wish.units };
  throw new Problem('signature_failed');
}

function withdrawal(wish: Extract<Wish, { kind: 'withdraw' }>) {
  return { wish, movement: null, steps: ['call' as const] };
}
