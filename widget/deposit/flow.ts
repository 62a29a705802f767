/**
 * Owns the way from a chosen wallet to a sent deposit, along one of the routes. It reads the payment anew before each question to
 * the wallet, asks for what the route needs and no more, and stores what was sent before it shows progress. That a payment is
 * funded only the API says: nothing here does. In one piece, since each step asks whether the buyer's last decision still stands.
 */
import type { Address, Hex } from 'viem';
import { chainInfo } from '../chains.ts';
import type { Checkout } from '../checkout.ts';
import { PaymentError } from '../payment.ts';
import { type RouteName, routeOf } from '../routes.ts';
import { alone, forgetSent, isAnswered, loadSent, type Sent, storeSent } from '../sent.ts';
import type { Step } from '../snapshot.ts';
import { inWallet, next } from '../states.ts';
import { askToSend, isOut } from './asking.ts';
import { sendBatch } from './batch.ts';
import { agreeOnDecimals, agreeOnId, type Deal, dealIdFor, openDeal } from './deal.ts';
import {
  approveCall,
  type Call,
  depositCall,
  isOpened,
  type Provider,
  readChainId,
  readDealId,
  readFunds,
  readNonce,
  readPermit2Nonce,
  readPermitNonce,
  send,
  signedDepositCall,
  simulate,
} from './escrow.ts';
import { Problem, problemOf } from './problem.ts';
import { type Signed, signAuthorization, signPermit, signPermit2 } from './signatures.ts';
import { type Connection, Wallets } from './wallets.ts';
import { type Followed, follow } from './watch.ts';
import { findWays } from './ways.ts';

type Question = Step | 'connect' | 'switch' | 'check';

/** The deposit of one payment; it drives the checkout's states by events. */
export class DepositFlow {
  readonly #checkout: Checkout;
  readonly #wallets: Wallets;
  #deal: Deal | null = null;
  #connection: Connection | null = null;
  /** Read with the last check: Permit2 as the escrow names it. */
  #permit2: Address | null = null;
  /** What was signed on the way that is taken; lost with a reload, and then signed anew. */
  #signed: Signed | null = null;
  /** Ways that failed where the buyer can do nothing: they are not offered to this wallet again. */
  readonly #closed = new Set<RouteName>();
  /** The buyer's own choice among the ways. */
  #chosen: RouteName | null = null;
  /** Counts the buyer's decisions: what an older one still brings is dropped. */
  #turn = 0;
  /** Lets go of what the last decision still waits for. */
  #letGo: () => void = () => undefined;

  constructor(checkout: Checkout) {
    this.#checkout = checkout;
    this.#wallets = new Wallets(chainInfo(checkout.snapshot.payment?.network_id ?? 0, checkout.rpcUrl), {
      onWallets: () => checkout.patch({ wallets: this.#wallets.choices() }),
      onMoved: () => void this.#moved(),
    });
    checkout.patch({ wallets: this.#wallets.choices() });
  }

  /** Checks what the payment offers against itself and the page; `payer` is whom its terms were asked for. @throws Mismatch */
  verify(payer?: Address): void {
    const { payment } = this.#checkout.snapshot;
    if (!payment?.contract) return;
    this.#deal = openDeal(payment, this.#checkout.expected, this.#deal, payer);
    this.#checkout.patch({ deal: this.#deal });
  }

  /** Takes up the wallet of the last visit, and follows what it sent. */
  async restore(): Promise<void> {
    const turn = this.#begin();
    const connection = await this.#wallets.restore().catch(() => null);
    if (!connection || turn !== this.#turn) return;
    this.#use(connection);
    const sent = loadSent(this.#checkout.paymentId);
    if (this.#checkout.snapshot.name === 'submitted' && sent && isAnswered(sent)) void this.#followDeposit(sent, turn);
    else if (this.#checkout.snapshot.name === 'ready') await this.check();
  }

  /** Connects the wallet that the buyer chose, then checks it. */
  async connect(id: string): Promise<void> {
    const wallet = this.#wallets.choices().find((choice) => choice.id === id) ?? null;
    if (!this.#checkout.send('connect', { wallet })) return;
    const turn = this.#begin();
    try {
      const connection = await this.#wallets.connect(id);
      if (turn !== this.#turn) return;
      this.#use(connection);
      await this.check();
    } catch (error) {
      this.#stop(error, 'connect', turn);
    }
  }

  /** Back to the choice of wallets. */
  async chooseAnother(): Promise<void> {
    this.#begin();
    this.#connection = null;
    this.#checkout.send('back', { wallet: null, account: null, step: null });
    await this.#wallets.disconnect();
  }

  /** Asks the wallet to change to the payment's chain. */
  async switchChain(): Promise<void> {
    if (!this.#connection || !this.#checkout.send('switch')) return;
    const turn = this.#begin();
    try {
      await this.#wallets.switchChain(this.#connection);
      if (turn === this.#turn) await this.check();
    } catch (error) {
      this.#stop(error, 'switch', turn);
    }
  }

  /** Reads chain, balance, allowances and fee of the connected wallet, and finds the ways to pay. */
  async check(): Promise<void> {
    const deal = this.#deal;
    if (!deal || !this.#connection || !this.#checkout.send('check', { problem: null, step: null })) return;
    const turn = this.#begin();
    this.#signed = null;
    try {
      const { provider, account } = this.#connection;
      const chainId = await readChainId(provider);
      if (turn !== this.#turn) return;
      if (chainId !== deal.chainId) return void this.#checkout.send('strange');
      await this.#finishSent(turn);
      const { payment } = this.#checkout.snapshot;
      if (!payment || turn !== this.#turn) return;
      const { funds, ways: open } = await findWays(provider, account, deal, payment);
      agreeOnDecimals(payment, funds.decimals);
      this.#permit2 = funds.permit2;
      const ways = open.filter(({ route }) => !this.#closed.has(route));
      const way =
        ways.find((candidate) => candidate.route === this.#chosen) ??
        ways.find((candidate) => candidate.feeUnits <= funds.coinUnits) ??
        ways[0];
      if (turn !== this.#turn || !way) return;
      const found = {
        balanceUnits: funds.tokenUnits,
        fee: { needUnits: way.feeUnits, haveUnits: funds.coinUnits },
        ways,
        ...taken(way.route),
      };
      if (funds.tokenUnits < deal.amountUnits) return void this.#checkout.send('short', found);
      if (funds.coinUnits < way.feeUnits) return void this.#checkout.send('dry', found);
      this.#checkout.send('pass', found);
    } catch (error) {
      this.#stop(error, 'check', turn);
    }
  }

  /** Takes another way to pay; one that costs more than the wallet has is taken as the buyer's word. */
  takeWay(route: RouteName): void {
    const { name, ways } = this.#checkout.snapshot;
    if (name !== 'review' || !ways.some((way) => way.route === route)) return;
    this.#signed = null;
    this.#chosen = route;
    this.#checkout.patch(taken(route));
  }

  /** Goes the way that is taken, the deposit last. In one tab of the buyer's at a time. */
  async pay(): Promise<void> {
    const { steps, signed } = this.#checkout.snapshot;
    const turn = this.#begin();
    let step: Step = steps[signed] ?? 'deposit';
    try {
      const left = new Promise<void>((resolve) => {
        this.#letGo = resolve;
      });
      const steppedThrough = async () => {
        for (step of steps.slice(signed)) {
          if (!(await this.#take(step, turn))) return;
        }
      };
      // A wallet that never answers must not keep the buyer, or the other tabs, from asking again.
      const mayPay = await alone(this.#checkout.paymentId, () => Promise.race([steppedThrough(), left]));
      if (!mayPay) throw new Problem('other_tab');
    } catch (error) {
      this.#stop(error, step, turn);
    }
  }

  /** The deposit's transaction is lost, says the buyer: from the beginning. */
  restart(): void {
    this.#begin();
    this.#forget();
    this.#checkout.send('restart', { transactionHash: null });
    if (this.#connection) void this.check();
  }

  /** Stops listening to wallets. */
  close(): void {
    this.#begin();
    this.#wallets.close();
  }

  /** A new decision of the buyer's. */
  #begin(): number {
    this.#letGo();
    this.#turn += 1;
    return this.#turn;
  }

  /** One step of the way; false when the checkout went elsewhere meanwhile. */
  async #take(step: Step, turn: number): Promise<boolean> {
    if (!this.#checkout.send('sign', { step, problem: null })) return false;
    switch (step) {
      case 'permit':
      case 'authorize':
      case 'permit2':
        return await this.#sign(step, turn);
      case 'batch':
        return await this.#sendBatch(turn);
      default:
        return await this.#sendStep(step, turn);
    }
  }

  /** A signature, kept for the deposit that follows or handed to the service. */
  async #sign(step: Signed['step'], turn: number): Promise<boolean> {
    // A permit is the allowance of whoever sends the deposit; the other two are for terms that name their payer.
    const connection = await this.#verifiedConnection(turn, { asPayer: step !== 'permit' });
    const { payment, route } = this.#checkout.snapshot;
    if (!connection || !this.#deal || !payment || turn !== this.#turn) return false;
    const isRelayed = route !== null && routeOf(route).relayed === true;
    // What could not be handed in is not signed twice.
    const kept = isRelayed && this.#signed?.step === step ? this.#signed : null;
    const signed = kept ?? (await this.#signature(step, connection, this.#deal));
    if (turn !== this.#turn) return false;
    this.#signed = signed;
    if (isRelayed) return await this.#relay(signed, connection.account, turn);
    this.#checkout.patch({ signed: this.#checkout.snapshot.signed + 1 });
    return true;
  }

  async #signature(step: Signed['step'], { provider, account }: Connection, deal: Deal): Promise<Signed> {
    const { payment } = this.#checkout.snapshot;
    if (!payment) throw new Problem('signature_failed');
    switch (step) {
      case 'permit':
        return await signPermit(provider, account, deal, payment, await readPermitNonce(provider, deal, account));
      case 'authorize':
        return await signAuthorization(provider, account, deal, payment);
      case 'permit2': {
        if (!this.#permit2) throw new Problem('signature_failed');
        const nonce = await readPermit2Nonce(provider, this.#permit2, account);
        return await signPermit2(provider, account, deal, this.#permit2, nonce);
      }
    }
  }

  /** Hands the signature to the service, which sends the deposit; its word that it has is on every device. */
  async #relay(signed: Signed, payer: Address, turn: number): Promise<boolean> {
    if (!this.#checkout.send('relay')) return false;
    const { signature } = signed;
    if (signed.step === 'authorize') {
      await this.#checkout.relay({ form: 'authorization', payer, valid_before: `${signed.validBefore}`, signature });
    } else if (signed.step === 'permit2') {
      const { nonce, deadline } = signed;
      await this.#checkout.relay({ form: 'permit2', payer, nonce: `${nonce}`, deadline: `${deadline}`, signature });
    }
    return turn === this.#turn && this.#checkout.send('submit');
  }

  /** A transaction: a change of the allowance is waited for, the deposit ends the way. */
  async #sendStep(step: 'reset' | 'approve' | 'deposit', turn: number): Promise<boolean> {
    const asPayer = step === 'deposit' && this.#signed !== null && this.#signed.step !== 'permit';
    const connection = await this.#verifiedConnection(turn, { asPayer });
    const deal = this.#deal;
    if (!connection || !deal || turn !== this.#turn) return false;
    const { provider, account } = connection;
    const call = this.#callOf(step, deal, account);
    if (!(await this.#isPossible(provider, account, call))) return false;
    const sent = await this.#ask(step, connection, deal, turn, async () => ({
      hash: await send(provider, account, call),
    }));
    if (!sent) return false;
    if (step === 'deposit') return this.#submitted(sent);
    if (!this.#checkout.send('send', { step })) return false;
    await this.#mined(sent, turn, { mustStay: true });
    if (turn !== this.#turn) return false;
    forgetSent(this.#checkout.paymentId);
    // Wallets let their owner allow less than was asked for.
    const { allowanceUnits } = await readFunds(provider, deal, account, null);
    if (step === 'approve' && allowanceUnits < deal.amountUnits) throw new Problem('allowance_short');
    this.#checkout.patch({ signed: this.#checkout.snapshot.signed + 1 });
    return turn === this.#turn;
  }

  /** Approval and deposit as one batch of the wallet's. */
  async #sendBatch(turn: number): Promise<boolean> {
    const connection = await this.#verifiedConnection(turn);
    const deal = this.#deal;
    if (!connection || !deal || turn !== this.#turn) return false;
    const { provider, account } = connection;
    const { allowanceUnits } = await readFunds(provider, deal, account, null);
    const reset = allowanceUnits > 0n ? [approveCall(deal, 0n)] : [];
    const calls = [...reset, approveCall(deal, deal.amountUnits), depositCall(deal)];
    const sent = await this.#ask('batch', connection, deal, turn, async () => ({
      batchId: await sendBatch(provider, account, deal.chainId, calls),
    }));
    return sent !== null && this.#submitted(sent);
  }

  /** Asks the wallet to send; null when the checkout went elsewhere, to what the wallet has sent already too. */
  async #ask(
    step: Sent['step'],
    { provider, account }: Connection,
    { chainId }: Deal,
    turn: number,
    send: () => Promise<Partial<Sent>>,
  ): Promise<Sent | null> {
    const isWanted = () => turn === this.#turn;
    const question = { step, account, chainId, provider, isWanted, send };
    const sent = await askToSend(this.#checkout.paymentId, question);
    if (sent !== 'out') return sent;
    void this.check();
    return null;
  }

  #submitted(sent: Sent): true {
    if (this.#checkout.send('submit', { transactionHash: sent.hash })) void this.#followDeposit(sent, this.#turn);
    if (sent.hash) this.#checkout.reportSent(sent.hash);
    return true;
  }

  /** Tries the call; false when this account's deal is there already: another tab, or a lost answer. @throws Problem */
  async #isPossible(provider: Provider, account: Address, call: Call): Promise<boolean> {
    try {
      await simulate(provider, account, call);
      return true;
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'already_paid') throw error;
      this.#checkout.send('submit');
      return false;
    }
  }

  /** Payment, chain, diamond and deal, all read again just before the wallet is asked. @throws Problem, Mismatch */
  async #verifiedConnection(turn: number, { asPayer = false } = {}): Promise<Connection | null> {
    const payer = asPayer ? this.#connection?.account : undefined;
    await this.#checkout.read(payer);
    // What the API told may have led elsewhere, and a payment without a call cannot be paid.
    if (turn !== this.#turn || !inWallet.has(this.#checkout.snapshot.name)) return null;
    const connection = await this.#wallets.current();
    const deal = this.#deal;
    if (!connection || !deal || !this.#checkout.snapshot.payment?.contract) throw new Problem('wallet_failed');
    if (connection.account !== this.#connection?.account) throw new Problem('wallet_moved');
    const { provider, account } = connection;
    const [chainId, ids] = await Promise.all([
      readChainId(provider),
      Promise.all(deal.legs.map(({ terms }) => readDealId(provider, deal, { ...terms, payer: account }))),
    ]).catch(async (error) => {
      // On another chain there is no contract to ask; that the wallet moved there says more.
      if ((await readChainId(provider).catch(() => deal.chainId)) !== deal.chainId) throw new Problem('wallet_moved');
      throw error;
    });
    if (chainId !== deal.chainId) throw new Problem('wallet_moved');
    for (const [index, leg] of deal.legs.entries()) agreeOnId(deal, leg, account, ids[index] ?? '0x');
    return connection;
  }

  #callOf(step: 'reset' | 'approve' | 'deposit', deal: Deal, account: Address): Call {
    if (step !== 'deposit') return approveCall(deal, step === 'approve' ? deal.amountUnits : 0n);
    return this.#signed ? signedDepositCall(deal, account, this.#signed) : depositCall(deal);
  }

  /** Waits for what was sent before a reload or without an answer, so that nothing is signed twice. */
  async #finishSent(turn: number): Promise<void> {
    const sent = loadSent(this.#checkout.paymentId);
    const { provider, account } = this.#connection ?? {};
    if (!sent || !provider || !account || sent.account !== account) return;
    if (!isAnswered(sent) && !isOut(sent, account, await readNonce(provider, account, 'pending'))) return;
    const isThere = await this.#mined(sent, turn).then(
      () => true,
      () => false,
    );
    if (turn !== this.#turn) return;
    forgetSent(this.#checkout.paymentId);
    // That the deal is open, the API says soon.
    if (isThere && (sent.step === 'deposit' || sent.step === 'batch')) this.#checkout.send('submit');
  }

  /** Follows what the API cannot see: a deposit that reverted, was sped up, cancelled or dropped in the wallet. */
  async #followDeposit(sent: Sent, turn: number): Promise<void> {
    let current = sent;
    try {
      const onHash = (hash: Hex) => {
        current = { ...current, hash };
        storeSent(this.#checkout.paymentId, current);
        this.#checkout.patch({ transactionHash: hash });
        this.#checkout.reportSent(hash);
      };
      await this.#mined(sent, turn, { onHash });
      if (turn === this.#turn) this.#checkout.send('mine');
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#forget();
      this.#stop(error, 'deposit', turn);
    }
  }

  async #mined(sent: Sent, turn: number, options: Pick<Followed, 'mustStay' | 'onHash'> = {}): Promise<void> {
    await follow(sent, {
      provider: () => this.#connection?.provider ?? null,
      isWanted: () => turn === this.#turn,
      isDone: async () => {
        const [deal, provider] = [this.#deal, this.#connection?.provider];
        if (!deal || !provider || (sent.step !== 'deposit' && sent.step !== 'batch')) return false;
        return await isOpened(provider, deal, dealIdFor(deal, deal.legs[0], sent.account));
      },
      ...options,
    });
  }

  #forget(): void {
    forgetSent(this.#checkout.paymentId);
    this.#checkout.reportSent(null);
  }

  #use(connection: Connection): void {
    if (connection.account !== this.#connection?.account) this.#closed.clear();
    this.#connection = connection;
    this.#checkout.patch({ wallet: connection.wallet, account: connection.account });
  }

  /** The wallet changed account or chain by itself, or left. */
  async #moved(): Promise<void> {
    // While it asks its owner, the answer decides; what was signed is checked then.
    if (inWallet.has(this.#checkout.snapshot.name) || !this.#connection) return;
    const connection = await this.#wallets.current().catch(() => null);
    if (connection) {
      this.#use(connection);
      await this.check();
      // A locked wallet still tells what becomes of what it has sent.
    } else if (next(this.#checkout.snapshot.name, 'back')) await this.chooseAnother();
  }

  #stop(error: unknown, step: Question, turn: number): void {
    if (turn !== this.#turn) return;
    const { route } = this.#checkout.snapshot;
    if (error instanceof PaymentError && error.code === 'refused') {
      // Of the ways that need the service, none is open for now.
      for (const name of ['gasless', 'gasless_permit2', 'authorization', 'permit2'] as const) this.#closed.add(name);
      return void this.#checkout.send('stop', { problem: 'relay_refused', step });
    }
    const told = this.#checkout.report(error);
    if (told === 'ended') return;
    const problem = told === 'unreachable' ? 'api_down' : problemOf(error).code;
    if (problem === 'signature_failed' && route) {
      this.#closed.add(route);
      this.#chosen = null;
    }
    this.#checkout.send('stop', { problem, step });
  }
}

/** What the screen shows of a way that is taken. */
function taken(route: RouteName) {
  return { route, steps: routeOf(route).steps, signed: 0 };
}
