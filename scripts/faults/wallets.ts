/** A wallet as people have one: it signs one transaction after the other and gives each to the network again until it is deep. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, encodeFunctionData, type Hex, keccak256, maxUint256, parseEther, parseGwei } from 'viem';
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts';
import { usdcAbi } from '../../contracts/abi.ts';
import { anvilAt } from './anvil.ts';
import { ask } from './nodes.ts';

// Deeper than any reorganisation of the schedule.
const DEEP_BLOCKS = 16n;
const LOOK_INTERVAL_MS = 1_000;
const GAS = 600_000n;
// Enough while the base fee is made to jump.
const FEES = { maxFeePerGas: parseGwei('500'), maxPriorityFeePerGas: parseGwei('2') };
const MILLIONS = 10n ** 15n;

type Receipt = { status: Hex; blockNumber: Hex };
type Sent = { nonce: number; raw: Hex; hash: Hex; isMined: boolean };

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

  /** Signs a call under the next nonce and sends it; it is sent again until it is deep. Answers its hash at once. */
  async send({ to, data }: { to: Address; data: Hex }): Promise<Hex> {
    const signed = this.#signing.then(async () => {
      const nonce = this.#nonce;
      const raw = await this.#account.signTransaction({
        ...{ type: 'eip1559', chainId: this.#place.chainId, nonce, to, data, gas: GAS },
        ...FEES,
      });
      this.#nonce += 1;
      const sent = { nonce, raw, hash: keccak256(raw), isMined: false };
      this.#sent.set(nonce, sent);
      return sent;
    });
    this.#signing = signed.catch(() => {});
    const sent = await signed;
    await this.#broadcast(sent);
    return sent.hash;
  }

  /** The receipt of a transaction as its node has it now; null while there is none or the node does not say. */
  async receipt(hash: Hex): Promise<Receipt | null> {
    return await ask<Receipt | null>(this.#place.url, 'eth_getTransactionReceipt', [hash]).catch(() => null);
  }

  /** Whether it was mined and did not revert, looked at for so long; null: not mined by then. */
  async mined(hash: Hex, withinMs = 30_000): Promise<boolean | null> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const receipt = await this.receipt(hash);
      if (receipt) return receipt.status === '0x1';
      if (Date.now() > deadline) return null;
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

  async #broadcast({ raw }: Sent): Promise<void> {
    // Known, mined or lost on the way: the next look decides.
    await ask(this.#place.url, 'eth_sendRawTransaction', [raw]).catch(() => {});
  }

  async #keep(): Promise<void> {
    while (!this.#stopped) {
      await sleep(LOOK_INTERVAL_MS);
      for (const sent of [...this.#sent.values()]) {
        if (this.#stopped) return;
        const receipt = await this.receipt(sent.hash);
        sent.isMined = receipt !== null;
        if (receipt === null) await this.#broadcast(sent);
        else if (await this.#isDeep(receipt)) this.#sent.delete(sent.nonce);
      }
    }
  }

  async #isDeep({ blockNumber }: Receipt): Promise<boolean> {
    const newest = await ask<Hex>(this.#place.url, 'eth_blockNumber').catch(() => null);
    return newest !== null && BigInt(newest) - BigInt(blockNumber) >= DEEP_BLOCKS;
  }
}
