/** What buyers, sellers and the shop do while everything fails: payments that are created, paid and settled in every way there is. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, encodeFunctionData, type Hex } from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import type { Terms } from '../../contracts/terms.ts';
import { callOf } from '../demo/buyer.ts';
import type { Answer, Json } from './client.ts';
import { Patience } from './patience.ts';
import type { Random } from './random.ts';
import { CONFIRMATIONS } from './schedule.ts';
import type { Stage } from './stage.ts';
import type { Wallet } from './wallets.ts';

/** A payment that was answered with 201, and what was done about it. */
export type Made = {
  id: string;
  externalId: string;
  story: string;
  accessToken: string;
  priceUnits: bigint;
  /** The terms that the widget handed out, whoever pays them. */
  offer: Terms | null;
  /** The hash of its deposit. */
  deposit: Hex | null;
  /** The buyer does not pay again what a reorganisation has taken back. */
  isFickle: boolean;
  /** Operations that were answered with 202. */
  accepted: string[];
};

// Every buyer does one thing at a time.
const WAIT_MS = 20_000;
// What must not be funded is looked at for so long.
const UNFUNDED_FOR_MS = 6_000;
const POLL_MS = 400;
const DECIMALS = 10n ** 6n;
const LIFE_SECONDS = 3n * 3_600n;
const SHORT_LIFE_SECONDS = 60n;
const TRIES = 4;
// What was counted before a reorganisation is taken back within it.
const UNSURE_FOR_MS = 15_000;
const FICKLE_SHARE = 0.3;

type Step = { made: Made; buyer: Wallet };
type Story = (workload: Workload, step: Step, random: Random) => Promise<void>;

/** Every story by its name, as often as it stands here. */
const STORIES: readonly (readonly [name: string, times: number, story: Story])[] = [
  [
    'released by the shop',
    5,
    async (w, s) => void ((await w.fund(s)) && (await w.askFor(s, 'release', {}, 'released'))),
  ],
  [
    'refunded by the shop',
    3,
    async (w, s) => void ((await w.fund(s)) && (await w.askFor(s, 'refund', {}, 'refunded'))),
  ],
  ['cancelled when paid', 2, async (w, s) => void ((await w.fund(s)) && (await w.askFor(s, 'cancel', {}, 'refunded')))],
  [
    'cancelled when handed out',
    2,
    async (w, s) => void ((await w.handOut(s)) && (await w.askFor(s, 'cancel', {}, 'cancelled'))),
  ],
  ['cancelled at once', 1, async (w, s) => void (await w.askFor(s, 'cancel', {}, 'cancelled'))],
  [
    'cancelled while the buyer pays',
    2,
    async (w, s) => {
      const deposit = w.deposit(s);
      await w.askFor(s, 'cancel', {}, 'refunded', 'cancelled');
      await deposit;
    },
  ],
  [
    'released in parts',
    4,
    async (w, s) => {
      if (!(await w.fund(s))) return;
      await w.askFor(s, 'release', { amount: 3 }, 'partially_released');
      await w.askFor(s, 'release', { amount: 2 });
      await w.askFor(s, 'refund', {}, 'partially_refunded');
    },
  ],
  [
    'disputed and resolved',
    2,
    async (w, s, random) => {
      if (!(await w.fund(s))) return;
      const as = random.pick(['payer', 'payee'] as const);
      if (!(await w.dispute(s, as))) return;
      await w.askFor(s, 'resolve', { to_payee: 4 }, 'partially_refunded');
    },
  ],
  [
    'released by the buyer',
    2,
    async (w, s) => void ((await w.fund(s)) && (await w.act(s, s.buyer, 'release', 'released'))),
  ],
  [
    'given back by the seller',
    2,
    async (w, s) => void ((await w.fund(s)) && (await w.act(s, w.payee, 'cancelDeal', 'refunded'))),
  ],
  [
    'paid twice',
    1,
    async (w, s, random) => {
      if (!(await w.fund(s))) return;
      await w.deposit({ ...s, buyer: w.another(random) });
      await w.askFor(s, 'release', {}, 'released');
    },
  ],
  ['paid under other terms', 2, async (w, s, random) => void (await w.impersonate(s, random))],
  ['never paid', 1, async (w, s) => void (await w.handOut(s))],
];

/** Runs stories until told to pause; what it made is kept for whoever checks. */
export class Workload {
  readonly made = new Map<string, Made>();
  /** Keys that were answered with two different payments. */
  readonly doubled: string[] = [];
  /** Payments that counted too early. */
  readonly premature: string[] = [];
  /** Stories that did not come to their end, and why. */
  readonly unfinished = new Map<string, number>();
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #running = new Set<Promise<void>>();
  readonly #free: Wallet[];
  #count = 0;
  #going = false;
  #last: Promise<void> = Promise.resolve();

  constructor(stage: Stage, random: Random) {
    this.#stage = stage;
    this.#random = random;
    this.#free = [...stage.wallets];
  }

  get payee(): Wallet {
    return this.#stage.payee;
  }

  another(random: Random): Wallet {
    return random.pick(this.#stage.wallets);
  }

  /** Starts stories as long as a buyer is free. */
  go(): void {
    if (this.#going) return;
    this.#going = true;
    this.#last = this.#start();
  }

  /** Starts no more, and waits for those that run. */
  async pause(): Promise<void> {
    this.#going = false;
    await this.#last;
    await Promise.all(this.#running);
  }

  async #start(): Promise<void> {
    const names = STORIES.flatMap(([name, times]) => Array<string>(times).fill(name));
    while (this.#going) {
      const buyer = this.#free.shift();
      if (buyer) {
        const name = this.#random.pick(names);
        const running: Promise<void> = this.#tell(name, buyer, this.#random.branch()).finally(() => {
          this.#running.delete(running);
          this.#free.push(buyer);
        });
        this.#running.add(running);
      }
      await sleep(buyer ? 150 : 50);
    }
  }

  async #tell(name: string, buyer: Wallet, random: Random): Promise<void> {
    const story = STORIES.find(([known]) => known === name)?.[2];
    try {
      const made = await this.#create(name, random);
      if (made) await story?.(this, { made, buyer }, random);
    } catch (error) {
      const why = `${name}: ${error instanceof Error ? error.message.replaceAll(/[0-9a-f-]{36}/g, '{id}').slice(0, 200) : error}`;
      this.unfinished.set(why, (this.unfinished.get(why) ?? 0) + 1);
    }
  }

  async #create(story: string, random: Random): Promise<Made | undefined> {
    const { seeded, client, chain, payee } = this.#stage;
    this.#count += 1;
    const externalId = `faults-${this.#count}`;
    const { timestamp } = await chain.getBlock();
    const life = story === 'never paid' ? SHORT_LIFE_SECONDS : LIFE_SECONDS;
    const price = random.whole(6, 60);
    const body = {
      ...{ external_id: externalId, node_id: seeded.nodeId, network_id: seeded.networkId, wallet_id: seeded.walletId },
      ...{ currency_id: seeded.currencies.USDC, price, paid_price: price, payment_method: 'web3' },
      ...{ payment_group: 'product', payment_address: payee.address },
      expires_at: new Date(Number(timestamp + life) * 1_000).toISOString(),
    };
    const { status, json } = await client.call('POST', '/payments', { body, key: externalId });
    if (status !== 201) throw new Error(`creating was refused: ${status} ${JSON.stringify(json)}`);
    const made = {
      ...{ id: json.id as string, externalId, story, accessToken: json.access_token as string },
      ...{
        priceUnits: BigInt(price) * DECIMALS,
        offer: null,
        deposit: null,
        accepted: [],
        isFickle: random.next() < FICKLE_SHARE,
      },
    };
    this.made.set(made.id, made);
    // Asked again with the same key, it must be the same payment.
    if (random.next() < 0.3) {
      const again = await client.call('POST', '/payments', { body, key: externalId });
      if (again.json.id !== made.id) this.doubled.push(`${externalId}: ${made.id}, then ${again.json.id}`);
    }
    return made;
  }

  /** Creates a payment and waits until it is prepared; answers whether it is. */
  async probe(): Promise<boolean> {
    const made = await this.#create('a probe', this.#random.branch());
    return made !== undefined && (await this.until({ made }, 'awaiting_deposit'));
  }

  /** Waits until the payment has one of these statuses; answers whether it has. */
  async until({ made }: Pick<Step, 'made'>, ...statuses: string[]): Promise<boolean> {
    return await this.#untilWithin(WAIT_MS, made, statuses);
  }

  async #untilWithin(waitMs: number, made: Made, statuses: readonly string[]): Promise<boolean> {
    const patience = new Patience(waitMs);
    for (;;) {
      const { status, json } = await this.#stage.client.call('GET', `/payments/${made.id}`);
      if (status === 404) throw new Error('a payment that was created is not there');
      if (statuses.includes(json.status)) return true;
      if (patience.isOver) return false;
      await sleep(POLL_MS);
    }
  }

  /** Waits for the call data of the widget; answers whether it came. */
  async handOut(step: Step): Promise<Json | undefined> {
    if (!(await this.until(step, 'awaiting_deposit'))) return undefined;
    const { made } = step;
    const { status, json } = await this.#stage.client.call('GET', `/widget/payments/${made.id}`, {
      token: made.accessToken,
    });
    if (status !== 200 || json.contract === null) return undefined;
    made.offer = callOf(json.contract).args[0] as Terms;
    return json;
  }

  /** Pays what the widget hands out; answers whether the deposit came into a block. */
  async deposit(step: Step): Promise<boolean> {
    const widget = await this.handOut(step);
    if (!widget) return false;
    const { made, buyer } = step;
    const call = { to: widget.diamond_address, data: encodeFunctionData(callOf(widget.contract)) };
    const hash = await buyer.send(call, made.isFickle);
    const report = { transaction_hash: hash };
    await this.#stage.client.call('POST', `/widget/payments/${made.id}/transaction`, {
      body: report,
      token: made.accessToken,
    });
    made.deposit = hash;
    return (await buyer.mined(hash)) === true;
  }

  /** Pays, and waits until that counts. */
  async fund(step: Step): Promise<boolean> {
    if (!(await this.deposit(step)) || !(await this.until(step, 'funded'))) return false;
    await this.#lookHowDeep(step.made);
    return true;
  }

  /** What counts now must be so deep by now, on the chain itself; unless blocks were taken back a moment ago. */
  async #lookHowDeep({ id, deposit }: Made): Promise<void> {
    const { chain, reorganisedAt } = this.#stage;
    if (deposit === null || Date.now() - reorganisedAt < UNSURE_FOR_MS) return;
    const receipt = await chain.getTransactionReceipt({ hash: deposit }).catch(() => null);
    const confirmations = receipt ? (await chain.getBlockNumber()) - receipt.blockNumber + 1n : 0n;
    if (this.#stage.reorganisedAt !== reorganisedAt || confirmations >= CONFIRMATIONS) return;
    this.premature.push(
      `payment ${id} is funded, and its deposit has ${confirmations} of ${CONFIRMATIONS} confirmations`,
    );
  }

  /** Pays under the payment's own number, but less: that is not what was agreed, and must fund nothing. */
  async impersonate(step: Step, random: Random): Promise<void> {
    const widget = await this.handOut(step);
    if (!widget || !step.made.offer) return;
    // The contract takes no payer for the payee.
    const others = this.#stage.wallets.filter(({ address }) => address !== step.buyer.address);
    const terms = { ...step.made.offer, amount: 1n, fee: 0n, payee: random.pick(others).address };
    await step.buyer.send({ to: this.#stage.diamond, data: dataOf('deposit', terms) });
    await this.#untilWithin(UNFUNDED_FOR_MS, step.made, ['funded']);
  }

  /** Asks the API for a change of the payment's money, and waits for what should come of it. */
  async askFor(step: Step, verb: string, body: Json, ...statuses: string[]): Promise<boolean> {
    const { made } = step;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const key = `${made.externalId}-${verb}-${body.amount ?? ''}-${tries}`;
      const { status, json } = await this.#stage.client.call('POST', `/payments/${made.id}/${verb}`, { body, key });
      if (status === 202) {
        this.#accept(made, { status, json });
        return statuses.length === 0 ? await this.#untilDone(json.operation.id) : await this.until(step, ...statuses);
      }
      if (status !== 409) throw new Error(`${verb} was refused: ${status} ${JSON.stringify(json)}`);
      // A reorganisation may have taken back what it rested on; it comes again.
      await sleep(2_000);
    }
    return false;
  }

  #accept(made: Made, { json }: Answer): void {
    for (const { id } of json.operations) if (!made.accepted.includes(id)) made.accepted.push(id);
  }

  async #untilDone(operationId: string): Promise<boolean> {
    const patience = new Patience(WAIT_MS);
    for (;;) {
      const { json } = await this.#stage.client.call('GET', `/operations/${operationId}`);
      if (json.status === 'done') return true;
      if (json.status === 'failed' || patience.isOver) return false;
      await sleep(POLL_MS);
    }
  }

  /** Has a party open a dispute by the call that the API hands out. */
  async dispute(step: Step, as: 'payer' | 'payee'): Promise<boolean> {
    const { made } = step;
    const body = { as, reason: 'It never arrived.' };
    const { status, json } = await this.#stage.client.call('POST', `/payments/${made.id}/dispute`, { body });
    if (status !== 202) return false;
    const { call } = json.operation as { call: { to: Address; data: Hex } };
    await (as === 'payer' ? step.buyer : this.payee).send(call);
    return await this.until(step, 'disputed');
  }

  /** Has a wallet call the escrow itself. */
  async act(step: Step, wallet: Wallet, verb: 'release' | 'cancelDeal', status: string): Promise<boolean> {
    const { offer } = step.made;
    if (!offer) return false;
    await wallet.send({ to: this.#stage.diamond, data: dataOf(verb, { ...offer, payer: step.buyer.address }) });
    return await this.until(step, status);
  }
}

function dataOf(functionName: 'deposit' | 'release' | 'cancelDeal', terms: Terms): Hex {
  return encodeFunctionData({ abi: escrowAbi, functionName, args: [terms] });
}
