/** A wallet as people have one: it signs one transaction after the other and gives each to the network again until it is deep. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, encodeFunctionData, type Hex, keccak256, maxUint256, parseEther, parseGwei } from 'viem';
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import { usdcAbi } from '../../contracts/abi.ts';
import { anvilAt } from './anvil.ts';
import { ask } from './nodes.ts';
import { Patience } from './patience.ts';

// Deeper than any reorganisation of the schedule.
const DEEP_BLOCKS = 16n;
const LOOK_INTERVAL_MS = 1_000;
const GAS = 600_000n;
// Enough while the base fee is made to jump.
const FEES = { maxFeePerGas: parseGwei('500'), maxPriorityFeePerGas: parseGwei('2') };
const MILLIONS = 10n ** 15n;

type Receipt = { status: Hex; blockNumber: Hex };
type Form = { raw: Hex; hash: Hex };
/** What is done under a nonce: the last form is the one that is sent, an earlier one may be mined all the same. */
type Sent = { nonce: number; forms: Form[]; isMined: boolean; isFickle: boolean };

/** One key on the stage's chain. */
export class Wallet {
  readonly address: Address;
  readonly #account: PrivateKeyAccount;
  readonly #place: { url: string; chainUrl: string; chainId: number };
  readonly #sent = new Map<number, Sent>();
  #nonce = 0;
  #stopped = false;
  #signing: Promise<unknown> = Promise.resolve();
  readonly #keeping: Promise<void>;

  /** `url`: the node that it speaks to; `chainUrl`: the chain itself, for the beginning. */
  constructor(place: { url: string; chainUrl: string; chainId: number }, key: Hex) {
    this.#place = place;
    this.#account = privateKeyToAccount(key);
    this.address = this.#account.address;
    this.#keeping = this.#keep();
  }

  /** Gives it ether and tokens, and lets the diamond take them. */
  async equip(token: Address, diamond: Address): Promise<void> {
    await anvilAt(this.#place.chainUrl).setBalance({ address: this.address, value: parseEther('1000') });
    const calls = [
      encodeFunctionData({ abi: usdcAbi, functionName: 'mint', args: [this.address, MILLIONS] }),
      encodeFunctionData({ abi: usdcAbi, functionName: 'approve', args: [diamond, maxUint256] }),
    ];
    for (const data of calls) {
      const hash = await this.send({ to: token, data });
      while ((await this.receipt(hash)) === null) await sleep(100);
    }
  }

  /**
   * Signs a call under the next nonce and sends it; it is sent again until it is deep, unless it is `isFickle`: then, when its block
   * is taken back, nothing is done under its nonce instead. Answers its hash at once.
   */
  async send({ to, data }: { to: Address; data: Hex }, isFickle = false): Promise<Hex> {
    const signed = this.#signing.then(async () => {
      const nonce = this.#nonce;
      const form = await this.#sign(nonce, to, data);
      this.#nonce += 1;
      this.#sent.set(nonce, { nonce, forms: [form], isMined: false, isFickle });
      return form;
    });
    this.#signing = signed.catch(() => {});
    const form = await signed;
    await this.#broadcast(form);
    return form.hash;
  }

  /** The receipt of a transaction as its node has it now; null while there is none or the node does not say. */
  async receipt(hash: Hex): Promise<Receipt | null> {
    return (await this.#ask(hash)) ?? null;
  }

  /** Whether it was mined and did not revert, looked at for so long; null: not mined by then. */
  async mined(hash: Hex, withinMs = 30_000): Promise<boolean | null> {
    const patience = new Patience(withinMs);
    for (;;) {
      const receipt = await this.receipt(hash);
      if (receipt) return receipt.status === '0x1';
      if (patience.isOver) return null;
      await sleep(300);
    }
  }

  /** Whether something of it was in no block when it last looked. */
  get isWaiting(): boolean {
    return [...this.#sent.values()].some(({ isMined }) => !isMined);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#keeping;
  }

  async #sign(nonce: number, to: Address, data: Hex): Promise<Form> {
    const raw = await this.#account.signTransaction({
      ...{ type: 'eip1559', chainId: this.#place.chainId, nonce, to, data, gas: GAS },
      ...FEES,
    });
    return { raw, hash: keccak256(raw) };
  }

  async #broadcast({ raw }: Form): Promise<void> {
    // Known, mined or lost on the way: the next look decides.
    await ask(this.#place.url, 'eth_sendRawTransaction', [raw]).catch(() => {});
  }

  async #keep(): Promise<void> {
    while (!this.#stopped) {
      await sleep(LOOK_INTERVAL_MS);
      for (const sent of [...this.#sent.values()]) {
        if (this.#stopped) return;
        const receipt = await this.#look(sent);
        if (receipt === undefined) continue;
        sent.isMined = receipt !== null;
        const form = sent.forms.at(-1);
        if (receipt === null && form) await this.#broadcast(form);
        else if (receipt !== null && (await this.#isDeep(receipt))) this.#sent.delete(sent.nonce);
      }
    }
  }

  /** Its receipt, null when it is in no block, undefined when the node does not say. Of a fickle one another is made meanwhile. */
  async #look(sent: Sent): Promise<Receipt | null | undefined> {
    const receipts = await Promise.all(sent.forms.map(async ({ hash }) => await this.#ask(hash)));
    if (receipts.includes(undefined)) return undefined;
    const receipt = receipts.find((found) => found !== null) ?? null;
    if (receipt === null && sent.isMined && sent.isFickle)
      sent.forms.push(await this.#sign(sent.nonce, this.address, '0x'));
    return receipt;
  }

  async #ask(hash: Hex): Promise<Receipt | null | undefined> {
    return await ask<Receipt | null>(this.#place.url, 'eth_getTransactionReceipt', [hash]).catch(() => undefined);
  }

  async #isDeep({ blockNumber }: Receipt): Promise<boolean> {
    const newest = await ask<Hex>(this.#place.url, 'eth_blockNumber').catch(() => null);
    return newest !== null && BigInt(newest) - BigInt(blockNumber) >= DEEP_BLOCKS;
  }
}
