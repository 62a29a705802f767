/**
 * The story of one cart with three sellers, told by the orders surface: paid at once; one seller is paid, one part goes back, one is
 * disputed and split; a seller pays its subscription; the marketplace takes its fees. After each chapter the accounts must sum to what
 * the escrow holds on chain, to the last unit.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, createPublicClient, formatUnits, type Hex, http, type PublicClient, parseUnits } from 'viem';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { Problem } from '../dev/problem.ts';
import type { StackFile } from '../dev/stackfile.ts';

/** Where the story plays: the merchant's node is added below `node_id`, so that everything of it begins with nothing. */
export type Scene = Pick<StackFile, 'api_url' | 'rpc_url' | 'integration' | 'node_id' | 'network_id' | 'diamond'> & {
  token: { address: Address; decimals: number };
  /** The currency of `token`; the story calls it EUR. */
  currency_id: string;
  /** An arbiter whose key the worker has. */
  arbiter: Address;
};

/** A wallet whose owner does what the story asks. */
export type Signer = {
  address: Address;
  /** Pays a payment with its access token, as a widget does. */
  pay(payment: { id: string; access_token: string }): Promise<void>;
  /** Signs and sends a call that the API hands out. */
  send(call: { to: Address; data: Hex }): Promise<void>;
};

/** Who plays; the first seller, who pays a subscription, needs some coin for gas. The others are addresses that nobody has used. */
export type Cast = {
  buyer: Signer;
  seller: Signer;
  otherSellers: readonly [Address, Address];
  /** Where the marketplace is paid, and its fees. */
  marketplace: Address;
  fees: Address;
  tell: (line: string) => void;
};

/** What became of it, amounts as decimal text: what each wallet has more or less. */
export type StoryEnd = {
  order_id: number;
  payment_id: string;
  checks: number;
  changes: Record<'buyer' | 'seller_1' | 'seller_2' | 'seller_3' | 'marketplace' | 'fees', string>;
};

// biome-ignore lint/suspicious/noExplicitAny: answers are read as any client would, without our types.
type Json = any;

const POLL_MS = 200;
const WAIT_MS = 60_000;

/** Plays it to its end. @throws Problem where anything is not as it should be */
export async function playStory(scene: Scene, cast: Cast): Promise<StoryEnd> {
  const story = await Story.begin(scene, cast);
  await story.sell();
  await story.payFirstSeller();
  await story.refundInPart();
  await story.disputeThird();
  await story.transferSubscription();
  await story.payMarketplace();
  return await story.end();
}

class Story {
  readonly #scene: Scene;
  readonly #cast: Cast;
  readonly #token: string;
  readonly #solutionCode = `MP${hex()}-${hex()}`;
  readonly #chain: PublicClient;
  readonly #wallets: Record<keyof StoryEnd['changes'], Address>;
  readonly #before = new Map<string, bigint>();
  readonly #sellers: number[] = [];
  readonly #deals: { id: Hex; amountUnits: bigint }[] = [];
  readonly #run = randomUUID().slice(0, 8);
  #orderId = 0;
  #paymentId = '';
  #checks = 0;

  private constructor(scene: Scene, cast: Cast, token: string) {
    this.#scene = scene;
    this.#cast = cast;
    this.#token = token;
    this.#chain = createPublicClient({ transport: http(scene.rpc_url) });
    const { buyer, seller, otherSellers, marketplace, fees } = cast;
    const [seller_2, seller_3] = otherSellers;
    this.#wallets = { buyer: buyer.address, seller_1: seller.address, seller_2, seller_3, marketplace, fees };
  }

  /** Signs in, adds the merchant with its money and wallet, and the three sellers. */
  static async begin(scene: Scene, cast: Cast): Promise<Story> {
    const { client_id, client_secret } = scene.integration;
    const login = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret });
    const { json } = await request(`${scene.api_url}/orders/v1/oauth/token`, { method: 'POST', body: login });
    const story = new Story(scene, cast, json.access_token);
    await story.#addMerchant();
    for (const [who, address] of Object.entries(story.#wallets)) {
      story.#before.set(who, await story.#tokenBalance(address));
    }
    return story;
  }

  async #addMerchant(): Promise<void> {
    const { node_id: parent_id, network_id, currency_id, arbiter } = this.#scene;
    const policy = { fee_recipient: this.#cast.fees, arbiter };
    const { id: node_id } = await this.#platform('POST', '/nodes', { parent_id, name: `Story ${this.#run}`, policy });
    const currencies = [{ code: 'EUR', currency_id }];
    await this.#platform('PATCH', `/nodes/${node_id}`, { solution_code: this.#solutionCode, currencies });
    const wallet = { node_id, network_id, address: this.#cast.marketplace, label: 'Marketplace' };
    await this.#platform('POST', '/wallets', wallet);
    for (const address of [this.#cast.seller.address, ...this.#cast.otherSellers]) {
      const external_ids = { orders: `seller-${this.#run}-${this.#sellers.length + 1}` };
      const party = await this.#platform('POST', '/parties', { node_id, kind: 'firm', external_ids });
      await this.#platform('POST', `/parties/${party.id}/payout-instruments`, { type: 'wallet', address });
      this.#sellers.push(party.seller_id);
    }
    this.#cast.tell(`Merchant ${this.#solutionCode} has three sellers: ${this.#sellers.join(', ')}`);
  }

  /** One cart of 100: 50, 30 and 20, of which 5, 3 and 2 are the marketplace's. */
  async sell(): Promise<void> {
    const order = await this.#orders('POST', '/orders', {
      ...this.#named('merchantGlobalOrderId', 'cart'),
      ...{ amount: 100, currencyCode: 'EUR', merchantBuyerId: `buyer-${this.#run}` },
    });
    this.#orderId = order.orderId;
    const shares = [
      [50, 5],
      [30, 3],
      [20, 2],
    ] as const;
    const splits = shares.map(([amount, fee], index) => ({
      ...{ sellerId: this.#sellers[index], amount, amountType: 'SELLER_PAYMENT', fee, feeType: 'MKTP_FEES' },
      ...{ currencyCode: 'EUR', model: '3P' },
    }));
    await this.#orders('POST', '/order-splits', { ...this.#named('merchantGlobalOrderId', 'cart'), splits });
    const transaction = await this.#orders('POST', '/transactions', this.#transaction('payment', 'PAYMENT', 100));
    this.#paymentId = transaction.paymentId;
    await this.#pay(this.#cast.buyer, transaction);
    const path = `/transactions/${transaction.transactionId}`;
    const paid = await this.#until(path, 'paid', ({ isPaid }) => isPaid);
    await this.#learnDeals(this.#paymentId);
    this.#cast.tell(`Order ${this.#orderId}: ${paid.paidAmount} EUR of the buyer are in the escrow, in three deals`);
    await this.#check('the cart is paid', { SELLER: '90', PENDING: '10' });
  }

  /** The first seller's part is paid out by its order. */
  async payFirstSeller(): Promise<void> {
    const path = `/sellers/${this.#sellers[0]}/payout-sellers`;
    const payout = await this.#orders('POST', path, {
      ...this.#named('merchantPayoutSellerId', 'first'),
      ...{ reasonLabel: 'Cart', currencyCode: 'EUR' },
      payoutOrders: [{ merchantGlobalOrderId: `cart-${this.#run}`, payoutRequestedAmount: 45 }],
    });
    await this.#untilExecuted(`${path}/${payout.payoutSellerId}`);
    this.#cast.tell('Seller 1 has been paid 45 EUR; the fee of 5 is earned');
    await this.#check('seller 1 is paid', { SELLER: '45', PENDING: '5', FEES: '5' });
  }

  /** A third of the second seller's part goes back; an amount pays the rest out. */
  async refundInPart(): Promise<void> {
    const sellerId = this.#sellers[1];
    await this.#orders('POST', '/transactions', { ...this.#transaction('refund', 'REFUND', 10), sellerId });
    const accounts = `/sellers/${sellerId}/accounts`;
    const has18 = ({ accounts: list }: Json) => list.some(({ currentBalance }: Json) => currentBalance === 18);
    await this.#until(accounts, 'refunded in part', has18);
    this.#cast.tell('Seller 2: 10 of 30 EUR are back with the buyer, 18 after the fee are left');
    await this.#check('a part is refunded', { SELLER: '36', PENDING: '4', FEES: '5' });
    const path = `/sellers/${sellerId}/payout-seller-amounts`;
    const payout = await this.#orders('POST', path, {
      ...this.#named('merchantPayoutSellerAmountId', 'second'),
      ...{ reasonLabel: 'Cart', payout: { askedAmount: 18, currencyCode: 'EUR' } },
    });
    await this.#untilExecuted(`${path}/${payout.payoutSellerAmountId}`);
    this.#cast.tell('Seller 2 has been paid 18 EUR');
    await this.#check('seller 2 is paid', { SELLER: '18', PENDING: '2', FEES: '7' });
  }

  /** The buyer disputes the third part; nothing pays it out then, until the arbiter gives 12 of 20 to the seller. */
  async disputeThird(): Promise<void> {
    const payment = `/payments/${this.#paymentId}`;
    const { operation } = await this.#platform('POST', `${payment}/dispute`, {
      as: 'payer',
      leg: 2,
      reason: 'Broken.',
    });
    await this.#cast.buyer.send(operation.call);
    await this.#untilPayment(this.#paymentId, 'disputed', ({ status }) => status === 'disputed');
    const path = `/sellers/${this.#sellers[2]}/payout-seller-amounts`;
    const { status } = await this.#answer('POST', `/orders/v1${path}`, {
      ...this.#named('merchantPayoutSellerAmountId', 'third'),
      ...{ reasonLabel: 'Cart', payout: { askedAmount: 1, currencyCode: 'EUR' } },
    });
    if (status !== 409) throw new Problem(`A payout of what is disputed was answered ${status}, not 409.`);
    await this.#check('a part is disputed', { SELLER: '18', PENDING: '2', FEES: '7' });
    await this.#platform('POST', `${payment}/resolve`, { leg: 2, to_payee: 12 });
    await this.#untilPayment(this.#paymentId, 'resolved', ({ legs }) => legs[2].status === 'partially_refunded');
    this.#cast.tell(
      'Seller 3: disputed and resolved, 12 of 20 EUR to the seller (10.80 after the fee), 8 to the buyer',
    );
    await this.#check('the dispute is resolved', { FEES: '8.2' });
  }

  /** The first seller pays its subscription: a payment that it signs itself. */
  async transferSubscription(): Promise<void> {
    const transfer = await this.#orders('POST', '/transfers', {
      ...this.#named('merchantTransferId', 'subscription'),
      ...{
        accountingEntry: 'TRANSFER_TO_MARKETPLACE',
        reasonCode: 'SUBSCRIPTION',
        reasonLabel: 'Subscription for May',
      },
      ...{ amount: 9.99, currencyCode: 'EUR', sellerId: this.#sellers[0] },
    });
    await this.#pay(this.#cast.seller, transfer);
    await this.#until(`/transfers/${transfer.transferId}`, 'EXECUTED', ({ status }) => status === 'EXECUTED');
    await this.#learnDeals(transfer.paymentId);
    this.#cast.tell('Seller 1 has paid 9.99 EUR for its subscription');
    await this.#check('the subscription is paid', { FEES: '8.2', MARKETPLACE: '9.99' });
  }

  /** The marketplace takes everything that is its own. */
  async payMarketplace(): Promise<void> {
    const payout = await this.#orders('POST', '/payout-merchants', {
      ...this.#named('merchantPayoutMerchantId', 'marketplace'),
      ...{ amount: 18.19, currencyCode: 'EUR', reasonLabel: 'May' },
    });
    const path = `/payout-merchants/${payout.payoutMerchantId}`;
    const { effectiveAmount } = await this.#until(path, 'EXECUTED', ({ status }) => status === 'EXECUTED');
    this.#cast.tell(`The marketplace has been paid ${effectiveAmount} EUR: its fees and the subscription`);
    await this.#check('the marketplace is paid', {});
  }

  /** Compares what every wallet has more or less. */
  async end(): Promise<StoryEnd> {
    const expected = {
      ...{ buyer: '-82', seller_1: '35.01', seller_2: '18', seller_3: '10.8' },
      ...{ marketplace: '9.99', fees: '8.2' },
    };
    for (const [who, change] of Object.entries(expected)) {
      const address = this.#wallets[who as keyof StoryEnd['changes']];
      const units = (await this.#tokenBalance(address)) - (this.#before.get(who) ?? 0n);
      if (units !== this.#units(change)) {
        throw new Problem(`The wallet of ${who} changed by ${this.#text(units)}, not ${change}.`);
      }
    }
    return { order_id: this.#orderId, payment_id: this.#paymentId, checks: this.#checks, changes: expected };
  }

  /** The marketplace's accounts must be these, those left out nothing; their lines sum to them, and they to what the escrow has. */
  async #check(when: string, expected: Partial<Record<AccountName, string>>): Promise<void> {
    const { accounts } = await this.#orders('GET', '/accounts?pageSize=100&embeddedLines=true');
    const balance = (type: string): bigint => {
      const found = accounts.find(
        (account: Json) =>
          account.solutionCode === this.#solutionCode && account.accountType === type && account.currency === 'EUR',
      );
      if (!found) throw new Problem(`The marketplace has no ${type} account.`);
      const signed = (line: Json) => this.#units(String(line.amount)) * (line.lineType === 'DEBIT' ? -1n : 1n);
      const sum = found.lines.reduce((total: bigint, line: Json) => total + signed(line), 0n);
      const units = this.#units(String(found.currentBalance));
      if (sum === units) return units;
      throw new Problem(`When ${when}, the lines of ${type} sum to ${this.#text(sum)}, not ${this.#text(units)}.`);
    };
    for (const type of ['SELLER', 'PENDING', 'FEES', 'MARKETPLACE'] as const) {
      const want = this.#units(expected[type] ?? '0');
      if (balance(type) === want) continue;
      throw new Problem(`When ${when}, ${type} is ${this.#text(balance(type))} EUR, not ${this.#text(want)}.`);
    }
    const inAccounts = balance('SETTLEMENT') + balance('SELLER') + balance('PENDING');
    const onChain = await this.#onChainUnits();
    if (inAccounts !== onChain) {
      const [said, has] = [this.#text(inAccounts), this.#text(onChain)];
      throw new Problem(`When ${when}, the accounts sum to ${said} EUR, but the escrow has ${has}.`);
    }
    this.#checks += 1;
    this.#cast.tell(`  the accounts sum to what the escrow has on chain: ${this.#text(onChain)} EUR`);
  }

  /** What the escrow holds in the story's deals, and keeps of its fees, as the diamond says. */
  async #onChainUnits(): Promise<bigint> {
    const { diamond, token } = this.#scene;
    const contract = { address: diamond, abi: escrowAbi } as const;
    let units = await this.#chain.readContract({
      ...{ ...contract, functionName: 'creditOf', args: [token.address, this.#cast.fees] },
    });
    for (const { id, amountUnits } of this.#deals) {
      const deal = await this.#chain.readContract({ ...contract, functionName: 'getDeal', args: [id] });
      units += amountUnits - deal.released - deal.refunded;
    }
    return units;
  }

  async #learnDeals(paymentId: string): Promise<void> {
    const { legs } = await this.#platform('GET', `/payments/${paymentId}`);
    for (const leg of legs) this.#deals.push({ id: leg.hash, amountUnits: BigInt(leg.amount_units) });
  }

  #tokenBalance(owner: Address): Promise<bigint> {
    const { address } = this.#scene.token;
    return this.#chain.readContract({ address, abi: usdcAbi, functionName: 'balanceOf', args: [owner] });
  }

  #units(text: string): bigint {
    return parseUnits(text, this.#scene.token.decimals);
  }

  #text(units: bigint): string {
    return formatUnits(units, this.#scene.token.decimals);
  }

  /** The fields that name the merchant, and a thing of this run. */
  #named(field: string, name: string): Json {
    return { solutionCode: this.#solutionCode, [field]: `${name}-${this.#run}` };
  }

  #transaction(name: string, type: 'PAYMENT' | 'REFUND', amount: number): Json {
    return {
      ...this.#named('merchantGlobalOrderId', 'cart'),
      ...this.#named('merchantTransactionId', name),
      ...{ type, amount, currencyCode: 'EUR', paymentMethodName: 'WEB3', executionDate: new Date().toISOString() },
    };
  }

  async #pay(signer: Signer, { paymentId, accessToken }: Json): Promise<void> {
    await this.#untilPayment(paymentId, 'awaiting_deposit', ({ status }) => status === 'awaiting_deposit');
    await signer.pay({ id: paymentId, access_token: accessToken });
    await this.#untilPayment(paymentId, 'funded', ({ status }) => status === 'funded');
  }

  #orders(method: string, path: string, body?: Json): Promise<Json> {
    return this.#call(method, `/orders/v1${path}`, body);
  }

  #platform(method: string, path: string, body?: Json): Promise<Json> {
    return this.#call(method, `/api/v1${path}`, body);
  }

  async #call(method: string, path: string, body?: Json): Promise<Json> {
    const { status, json } = await this.#answer(method, path, body);
    if (status < 300) return json;
    throw new Problem(`${method} ${path} answered ${status}: ${JSON.stringify(json)}`);
  }

  #answer(method: string, path: string, body?: Json): Promise<{ status: number; json: Json }> {
    return request(`${this.#scene.api_url}${path}`, { method, token: this.#token, body });
  }

  /** Reads a resource of the surface until `is` says so of it. */
  #until(path: string, what: string, is: (json: Json) => boolean): Promise<Json> {
    return this.#poll(() => this.#orders('GET', path), `${path} is not ${what}`, is);
  }

  async #untilExecuted(path: string): Promise<void> {
    await this.#until(path, 'EXECUTED', ({ payoutPayment }) => payoutPayment.paymentStatus === 'EXECUTED');
  }

  #untilPayment(id: string, what: string, is: (json: Json) => boolean): Promise<Json> {
    return this.#poll(() => this.#platform('GET', `/payments/${id}`), `Payment ${id} is not ${what}`, is);
  }

  async #poll(read: () => Promise<Json>, otherwise: string, is: (json: Json) => boolean): Promise<Json> {
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const json = await read();
      if (is(json)) return json;
      if (Date.now() > deadline) throw new Problem(`${otherwise}: ${JSON.stringify(json)}`);
      await sleep(POLL_MS);
    }
  }
}

type AccountName = 'SELLER' | 'PENDING' | 'FEES' | 'MARKETPLACE';

function hex(): string {
  return randomBytes(2).toString('hex').toUpperCase();
}

async function request(
  url: string,
  { method, token, body }: { method: string; token?: string; body?: Json },
): Promise<{ status: number; json: Json }> {
  const isForm = body instanceof URLSearchParams;
  const response = await fetch(url, {
    method,
    headers: {
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...(body !== undefined && !isForm && { 'Content-Type': 'application/json' }),
    },
    ...(body !== undefined && { body: isForm ? body : JSON.stringify(body) }),
  }).catch(() => {
    throw new Problem(`${url} does not answer: is the stack still running?`);
  });
  const text = await response.text();
  return { status: response.status, json: text === '' ? null : JSON.parse(text) };
}
