/**
 * `npm run demo`: plays a buyer from the terminal against the running stack. One payment is made, deposited and released,
 * a second one is cancelled after funding; every step is printed with the balances that it left behind, and checked.
 */
import { Command } from 'commander';
import { formatUnits, type Hex, isHex, parseEther } from 'viem';
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts';
import { type Buyer, createBuyer } from './demo/buyer.ts';
import { Shop } from './demo/shop.ts';
import { playStory, type Signer } from './demo/story.ts';
import { describe, Problem } from './dev/problem.ts';
import { type Progress, startProgress } from './dev/progress.ts';
import { readStackFile, type StackFile } from './dev/stackfile.ts';

// Two transactions of a seller, at any price that a test chain has.
const COIN_FOR_GAS = parseEther('0.05');

type Flags = { data: string; currency: string; price: string; story: boolean; json: boolean };
/** Base units of one token. */
type Balances = { buyer: bigint; escrow: bigint; payee: bigint; fee: bigint };
type Story = { payment_id: string; status: string; deposit_transaction: Hex; changes: Record<keyof Balances, string> };

class Demo {
  readonly #stack: StackFile;
  readonly #shop: Shop;
  readonly #buyer: Buyer;
  readonly #flags: Flags;
  readonly #progress: Progress;
  readonly #token: { address: `0x${string}`; decimals: number };

  constructor(stack: StackFile, shop: Shop, flags: Flags, progress: Progress) {
    const token = stack.tokens[flags.currency];
    if (token === undefined) {
      throw new Problem(`No currency ${flags.currency} here: choose --currency ${currencyNames(stack)}.`);
    }
    this.#token = token;
    this.#stack = stack;
    this.#shop = shop;
    this.#flags = flags;
    this.#progress = progress;
    this.#buyer = createBuyer(stack, buyerKey(stack));
  }

  /** Plays one payment to its end by `verb` and checks who has how much more or less. */
  async play(verb: 'release' | 'cancel'): Promise<Story> {
    const { currency, price } = this.#flags;
    const before = await this.#balances();
    this.#show(before);
    const created = await this.#shop.createPayment(currency, price);
    this.#progress.step(`Payment ${created.id} over ${price} ${currency} created: ${created.status}`);
    await this.#shop.until(created.id, 'awaiting_deposit');
    this.#progress.step('awaiting_deposit: the terms are frozen');
    const widget = await this.#shop.widget(created);
    const { transactionHash } = await this.#buyer.pay(widget);
    this.#progress.step(`Deposited by ${this.#buyer.address}, transaction ${transactionHash}`);
    await this.#shop.until(created.id, 'funded');
    this.#progress.step('funded: the escrow holds the money');
    this.#show(await this.#balances());
    await (verb === 'release' ? this.#shop.release(created.id) : this.#shop.cancel(created.id));
    const end = await this.#shop.until(created.id, verb === 'release' ? 'released' : 'refunded');
    const after = await this.#balances();
    this.#progress.step(
      `${end.status}: ${verb === 'release' ? 'the payee has the amount less the fee' : 'the buyer has everything back'}`,
    );
    this.#show(after);

    const [amount, fee] = [BigInt(end.deal.amount_units), BigInt(end.deal.fee_units)];
    const nothing = { buyer: 0n, escrow: 0n, payee: 0n, fee: 0n };
    const expected = verb === 'release' ? { buyer: -amount, escrow: fee, payee: amount - fee, fee } : nothing;
    return {
      payment_id: end.id,
      status: end.status,
      deposit_transaction: transactionHash,
      changes: this.#compare(before, after, expected),
    };
  }

  async #balances(): Promise<Balances> {
    const { diamond, payment_address: payee, fee_recipient: feeRecipient } = this.#stack;
    const { address } = this.#token;
    const [buyer, escrow, paid, fee] = await Promise.all([
      this.#buyer.balance(address),
      this.#buyer.balance(address, diamond),
      this.#buyer.balance(address, payee),
      this.#buyer.credit(address, feeRecipient),
    ]);
    return { buyer, escrow, payee: paid, fee };
  }

  #format(units: bigint): string {
    return formatUnits(units, this.#token.decimals);
  }

  #show({ buyer, escrow, payee, fee }: Balances): void {
    const shown = { buyer, escrow, payee, 'fee credit': fee };
    const parts = Object.entries(shown).map(([name, units]) => `${name} ${this.#format(units)}`);
    this.#progress.line(`          ${parts.join('   ')}   ${this.#flags.currency}`);
  }

  /** @throws Problem when a balance changed otherwise than `expected`, as it does when two demos run at once */
  #compare(before: Balances, after: Balances, expected: Balances): Record<keyof Balances, string> {
    const change = (who: keyof Balances): string => {
      const units = after[who] - before[who];
      if (units === expected[who]) return this.#format(units);
      throw new Problem(`The balance of ${who} changed by ${this.#format(units)}, not ${this.#format(expected[who])}.`);
    };
    return { buyer: change('buyer'), escrow: change('escrow'), payee: change('payee'), fee: change('fee') };
  }
}

function buyerKey(stack: StackFile): Hex {
  const [buyer] = stack.buyers;
  if (buyer !== undefined) return buyer.private_key;
  const key = process.env.BUYER_KEY;
  if (isHex(key) && key.length === 66) return key;
  throw new Problem(
    'Off a local chain set BUYER_KEY to the private key (0x and 64 hex digits) of a wallet with the token and gas.',
  );
}

/** Plays the story of a cart with three sellers. */
async function tellStory(stack: StackFile, { currency, json }: Flags, progress: Progress): Promise<void> {
  const token = stack.tokens[currency];
  const currencyId = stack.currencies[currency];
  if (!token || !currencyId)
    throw new Problem(`No currency ${currency} here: choose --currency ${currencyNames(stack)}.`);
  const shop = await Shop.open(stack);
  const signer = (wallet: Buyer): Signer => ({
    address: wallet.address,
    pay: async (payment) => void (await wallet.pay(await shop.widget(payment))),
    send: async (call) => void (await wallet.send(call)),
  });
  const buyer = createBuyer(stack, buyerKey(stack));
  const seller = createBuyer(stack, generatePrivateKey());
  await buyer.giveCoin(seller.address, COIN_FOR_GAS);
  const stranger = () => privateKeyToAddress(generatePrivateKey());
  const scene = { ...stack, token, currency_id: currencyId, arbiter: await shop.arbiter() };
  const end = await playStory(scene, {
    ...{ buyer: signer(buyer), seller: signer(seller), otherSellers: [stranger(), stranger()] },
    ...{ marketplace: stranger(), fees: stranger(), tell: (line) => progress.step(line) },
  });
  progress.line(
    `\nAll as it should be: ${end.checks} times the accounts summed to the chain. What each wallet has more:`,
  );
  for (const [who, change] of Object.entries(end.changes)) progress.line(`  ${who.padEnd(12)} ${change}`);
  if (json) console.log(JSON.stringify(end));
}

function currencyNames({ tokens }: StackFile): string {
  return Object.keys(tokens).join(' or ');
}

async function run(flags: Flags): Promise<void> {
  const progress = startProgress(flags);
  try {
    const stack = readStackFile(flags.data);
    if (flags.story) return await tellStory(stack, flags, progress);
    const demo = new Demo(stack, await Shop.open(stack), flags, progress);
    progress.line('1. Paid and released');
    const released = await demo.play('release');
    progress.line('\n2. Paid, then cancelled');
    const refunded = await demo.play('cancel');
    progress.line('\nBoth went as they should.');
    if (flags.json) console.log(JSON.stringify({ released, refunded }));
  } catch (error) {
    console.error(describe(error));
    process.exit(1);
  }
}

await new Command()
  .name('npm run demo --')
  .description('Plays a buyer against the running stack: one payment is released, one is cancelled after funding.')
  .option('--data <dir>', 'folder of the stack, where stack.json is', '.data')
  .option('--currency <code>', 'USDC or USDT', 'USDC')
  .option('--price <amount>', 'in the currency', '25.5')
  .option('--story', 'one cart with three sellers instead, told by the orders surface', false)
  .option('--json', 'print one JSON object on standard output, the steps on standard error', false)
  .addHelpText(
    'after',
    '\nExamples:\n  npm run demo\n  npm run demo -- --story\n  npm run demo -- --currency USDT --price 3.99 --data .data/second',
  )
  .action(run)
  .parseAsync();
