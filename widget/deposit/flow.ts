/**
 * Owns the way from a chosen wallet to a sent deposit. It reads the payment anew before each signature, asks for what the
 * allowance lacks and no more, and stores a transaction's hash before it shows progress. That a payment is funded only the
 * API says: nothing here does.
 */
import { createClient, type Hex } from 'viem';
import { waitForTransactionReceipt } from 'viem/actions';
import type { Checkout } from '../checkout.ts';
import { forgetSent, loadSent, type Sent, storeSent } from '../sent.ts';
import type { Step } from '../snapshot.ts';
import { inWallet } from '../states.ts';
import { agreeOnId, type Deal, openDeal } from './deal.ts';
import {
  approveCall,
  type Call,
  depositCall,
  feeUnits,
  readChainId,
  readDealId,
  readFunds,
  send,
  simulate,
} from './escrow.ts';
import { Problem, problemOf } from './problem.ts';
import { type Connection, transportOf, Wallets } from './wallets.ts';

const RECEIPT_POLL_MS = 400;
const RETRY_MS = 1_000;

/** The deposit of one payment; it drives the checkout's states by events. */
export class DepositFlow {
  readonly #checkout: Checkout;
  readonly #wallets: Wallets;
  #deal: Deal | null = null;
  #connection: Connection | null = null;
  /** Counts the buyer's decisions: what an older one still brings is dropped. */
  #turn = 0;

  constructor(checkout: Checkout) {
    this.#checkout = checkout;
    this.#wallets = new Wallets(checkout.chain, {
      onWallets: () => checkout.patch({ wallets: this.#wallets.choices() }),
      onMoved: () => void this.#moved(),
    });
    checkout.patch({ wallets: this.#wallets.choices() });
  }

  /** Checks what the payment offers against itself and the page. @throws Mismatch */
  verify(): void {
    const { payment } = this.#checkout.snapshot;
    if (!payment?.contract) return;
    this.#deal = openDeal(payment, this.#checkout.expected, this.#deal);
    this.#checkout.patch({ deal: this.#deal });
  }

  /** Takes up the wallet of the last visit, and watches a transaction that it sent. */
  async restore(): Promise<void> {
    const turn = ++this.#turn;
    const connection = await this.#wallets.restore().catch(() => null);
    if (!connection || turn !== this.#turn) return;
    this.#use(connection);
    const sent = loadSent(this.#checkout.paymentId);
    if (this.#checkout.snapshot.name === 'submitted' && sent) void this.#watchDeposit(sent, turn);
    else if (this.#checkout.snapshot.name === 'ready') await this.check();
  }

  /** Connects the wallet that the buyer chose, then checks it. */
  async connect(id: string): Promise<void> {
    const wallet = this.#wallets.choices().find((choice) => choice.id === id) ?? null;
    if (!this.#checkout.send('connect', { wallet })) return;
    const turn = ++this.#turn;
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
    this.#turn += 1;
    this.#connection = null;
    this.#checkout.send('back', { wallet: null, account: null, step: null });
    await this.#wallets.disconnect();
  }

  /** Asks the wallet to change to the payment's chain. */
  async switchChain(): Promise<void> {
    if (!this.#connection || !this.#checkout.send('switch')) return;
    const turn = ++this.#turn;
    try {
      await this.#wallets.switchChain(this.#connection);
      if (turn === this.#turn) await this.check();
    } catch (error) {
      this.#stop(error, 'switch', turn);
    }
  }

  /** Reads chain, balance, allowance and fee of the connected wallet. */
  async check(): Promise<void> {
    const deal = this.#deal;
    if (!deal || !this.#connection || !this.#checkout.send('check', { problem: null, step: null })) return;
    const turn = ++this.#turn;
    try {
      const { provider, account } = this.#connection;
      const chainId = await readChainId(provider);
      if (turn !== this.#turn) return;
      if (chainId !== deal.chainId) return void this.#checkout.send('strange');
      await this.#finishAllowance(turn);
      const funds = await readFunds(provider, deal, account);
      const steps = await this.#stepsFor(funds.allowanceUnits);
      const fee = { needUnits: feeUnits(steps, deal.legs.length, funds.gasPriceUnits), haveUnits: funds.coinUnits };
      if (turn !== this.#turn) return;
      const found = { balanceUnits: funds.tokenUnits, fee, steps, signed: 0 };
      if (funds.tokenUnits < deal.amountUnits) return void this.#checkout.send('short', found);
      if (fee.haveUnits < fee.needUnits) return void this.#checkout.send('dry', found);
      this.#checkout.send('pass', found);
    } catch (error) {
      this.#stop(error, 'check', turn);
    }
  }

  /** Signs whatever is left to sign, the deposit last. */
  async pay(): Promise<void> {
    const { steps, signed } = this.#checkout.snapshot;
    const turn = ++this.#turn;
    let step: Step = 'deposit';
    try {
      for (step of steps.slice(signed)) {
        if (!(await this.#sign(step, turn))) return;
      }
    } catch (error) {
      this.#stop(error, step, turn);
    }
  }

  /** The deposit's transaction is lost, says the buyer: from the beginning. */
  restart(): void {
    this.#turn += 1;
    forgetSent(this.#checkout.paymentId);
    this.#checkout.send('restart', { transactionHash: null });
    if (this.#connection) void this.check();
  }

  /** Stops listening to wallets. */
  close(): void {
    this.#turn += 1;
    this.#wallets.close();
  }

  /** One signature; false when the checkout went elsewhere meanwhile. */
  async #sign(step: Step, turn: number): Promise<boolean> {
    if (!this.#checkout.send('sign', { step, problem: null })) return false;
    const connection = await this.#verifiedConnection(turn);
    const deal = this.#deal;
    if (!connection || !deal || turn !== this.#turn) return false;
    const { provider, account } = connection;
    const call = callOf(step, deal);
    try {
      await simulate(provider, account, call);
    } catch (error) {
      // This account's deal is there already: another tab, or a transaction whose answer was lost.
      if (!(error instanceof Problem) || error.code !== 'already_paid') throw error;
      return !this.#checkout.send('submit');
    }
    if (turn !== this.#turn) return false;
    const hash = await send(provider, account, call);
    const sent: Sent = { step, hash, account, chainId: deal.chainId, sentAt: Date.now() };
    // Stored even when the buyer went elsewhere meanwhile: the transaction is out.
    storeSent(this.#checkout.paymentId, sent);
    if (step === 'deposit') {
      if (this.#checkout.send('submit', { transactionHash: hash })) void this.#watchDeposit(sent, this.#turn);
      return true;
    }
    if (!this.#checkout.send('send', { step })) return false;
    await this.#mined(hash, turn);
    if (turn !== this.#turn) return false;
    forgetSent(this.#checkout.paymentId);
    // Wallets let their owner allow less than was asked for.
    const { allowanceUnits } = await readFunds(provider, deal, account);
    if (step === 'approve' && allowanceUnits < deal.amountUnits) throw new Problem('allowance_short');
    this.#checkout.patch({ signed: this.#checkout.snapshot.signed + 1 });
    return turn === this.#turn;
  }

  /** Payment, chain, diamond and deal, all read again just before a signature. @throws Problem, Mismatch */
  async #verifiedConnection(turn: number): Promise<Connection | null> {
    await this.#checkout.read();
    // What the API told may have led elsewhere, and a payment without a call cannot be paid.
    if (turn !== this.#turn || !inWallet.has(this.#checkout.snapshot.name)) return null;
    const connection = await this.#wallets.current();
    const deal = this.#deal;
    if (!connection || !deal || !this.#checkout.snapshot.payment?.contract) throw new Problem('wallet_failed');
    if (connection.account !== this.#connection?.account) throw new Problem('wallet_moved');
    if ((await readChainId(connection.provider)) !== deal.chainId) throw new Problem('wallet_moved');
    const { provider, account } = connection;
    for (const leg of deal.legs) {
      agreeOnId(deal, leg, account, await readDealId(provider, deal, { ...leg.terms, payer: account }));
    }
    return connection;
  }

  /** What has to be signed, given the allowance that is there. */
  async #stepsFor(allowanceUnits: bigint): Promise<Step[]> {
    const deal = this.#deal;
    const connection = this.#connection;
    if (!deal || !connection || allowanceUnits >= deal.amountUnits) return ['deposit'];
    if (allowanceUnits === 0n) return ['approve', 'deposit'];
    // Tokens like USDT refuse to change an allowance that is not zero; the others need no reset.
    const call = approveCall(deal, deal.amountUnits);
    const changes = await simulate(connection.provider, connection.account, call).then(
      () => true,
      (error) => {
        if (problemOf(error).code === 'network_down') throw error;
        return false;
      },
    );
    return changes ? ['approve', 'deposit'] : ['reset', 'approve', 'deposit'];
  }

  /** Waits for a change of the allowance that was sent before a reload, so that it is not signed twice. */
  async #finishAllowance(turn: number): Promise<void> {
    const sent = loadSent(this.#checkout.paymentId);
    if (!sent || sent.step === 'deposit' || sent.account !== this.#connection?.account) return;
    await this.#mined(sent.hash, turn).catch(() => undefined);
    if (turn === this.#turn) forgetSent(this.#checkout.paymentId);
  }

  /** Watches for what the API cannot see: a deposit that reverted, or was replaced in the wallet. */
  async #watchDeposit({ hash }: Sent, turn: number): Promise<void> {
    try {
      await this.#mined(hash, turn);
    } catch (error) {
      if (error instanceof Problem && ['reverted', 'replaced'].includes(error.code)) {
        forgetSent(this.#checkout.paymentId);
        this.#stop(error, 'deposit', turn);
      }
    }
  }

  /**
   * Waits until the transaction is mined, as long as this turn lasts: the buyer may take all day, and a node that fails
   * meanwhile says nothing about what was sent.
   * @throws Problem reverted, replaced
   */
  async #mined(hash: Hex, turn: number): Promise<void> {
    while (turn === this.#turn) {
      const receipt = await this.#receipt(hash).catch(() => null);
      if (receipt?.replaced) throw new Problem('replaced');
      if (receipt) {
        if (receipt.status !== 'success') throw new Problem('reverted');
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #receipt(hash: Hex): Promise<{ status: string; replaced: boolean }> {
    const { provider } = this.#connection ?? {};
    if (!provider) throw new Problem('wallet_failed');
    const client = createClient({ transport: transportOf(provider), pollingInterval: RECEIPT_POLL_MS });
    let replaced = false;
    const { status } = await waitForTransactionReceipt(client, {
      hash,
      timeout: 0,
      onReplaced: ({ reason }) => {
        replaced = reason !== 'repriced';
      },
    });
    return { status, replaced };
  }

  #use(connection: Connection): void {
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
    } else await this.chooseAnother();
  }

  #stop(error: unknown, step: Step | 'connect' | 'switch' | 'check', turn: number): void {
    if (turn !== this.#turn) return;
    const told = this.#checkout.report(error);
    if (told === 'unreachable') this.#checkout.send('stop', { problem: 'api_down', step });
    else if (told === null) this.#checkout.send('stop', { problem: problemOf(error).code, step });
  }
}

function callOf(step: Step, deal: Deal): Call {
  if (step === 'deposit') return depositCall(deal);
  return approveCall(deal, step === 'approve' ? deal.amountUnits : 0n);
}
