/** A shop's side of the demo: signs in as the stack's integration and speaks to the API by REST, knowing nothing else. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../dev/problem.ts';
import type { StackFile } from '../dev/stackfile.ts';
import type { WidgetPayment } from './buyer.ts';

/** What the demo reads of a payment. */
export type Payment = {
  id: string;
  external_id: string;
  status: string;
  access_token: string;
  transaction_hash: string | null;
  deal: { amount_units: string; fee_units: string };
};

type Node = { effective_policy: { arbiter: `0x${string}` | null } };

const HOUR_MS = 3_600_000;
const POLL_MS = 200;
const WAIT_MS = 60_000;

/** What a shop knows of a stack. */
type ShopStack = Pick<
  StackFile,
  'api_url' | 'integration' | 'node_id' | 'network_id' | 'wallet_id' | 'currencies' | 'payment_address'
>;

/** A shop that is signed in. */
export class Shop {
  readonly #stack: ShopStack;
  readonly #token: string;

  private constructor(stack: ShopStack, token: string) {
    this.#stack = stack;
    this.#token = token;
  }

  /** Fetches a token with the integration's credentials. @throws Problem when the API does not answer or refuses them */
  static async open(stack: ShopStack): Promise<Shop> {
    const answer = await send(`${stack.api_url}/api/v1/auth/token`, { body: stack.integration });
    return new Shop(stack, (answer as { access_token: string }).access_token);
  }

  /** Creates a payment of `price` (decimal text) that expires in an hour. */
  async createPayment(currency: string, price: string): Promise<Payment> {
    const { node_id, network_id, wallet_id, currencies, payment_address } = this.#stack;
    const body = {
      ...{ external_id: `demo-${randomUUID()}`, node_id, network_id, wallet_id, payment_address },
      ...{ currency_id: currencies[currency], price: Number(price), paid_price: Number(price) },
      ...{ payment_method: 'web3', payment_group: 'product' },
      expires_at: new Date(Date.now() + HOUR_MS).toISOString(),
    };
    return (await this.#call('/payments', { body })) as Payment;
  }

  /** What the payment's widget gets with the payment's own access token. */
  async widget({ id, access_token }: Pick<Payment, 'id' | 'access_token'>): Promise<WidgetPayment> {
    return (await this.#call(`/widget/payments/${id}`, { token: access_token })) as WidgetPayment;
  }

  /** Asks for the release of a payment to its payee. */
  async release(id: string): Promise<void> {
    await this.#call(`/payments/${id}/release`, { body: {} });
  }

  /** Asks for the cancellation of a payment. */
  async cancel(id: string): Promise<void> {
    await this.#call(`/payments/${id}/cancel`, { body: {} });
  }

  /** The arbiter that the node's policy names. */
  async arbiter(): Promise<`0x${string}`> {
    const { effective_policy: policy } = (await this.#call(`/nodes/${this.#stack.node_id}`)) as Node;
    if (policy.arbiter !== null) return policy.arbiter;
    throw new Problem('The node names no arbiter, who would settle the dispute.');
  }

  /** Has every event of the shop's node sent to this URL. */
  async addWebhookEndpoint(url: string): Promise<void> {
    await this.#call('/webhook-endpoints', { body: { node_id: this.#stack.node_id, url } });
  }

  /** Waits until the payment has this status. @throws Problem with its log when it has not within a minute */
  async until(id: string, status: string): Promise<Payment> {
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const payment = (await this.#call(`/payments/${id}`)) as Payment;
      if (payment.status === status) return payment;
      if (Date.now() > deadline) {
        const { items } = (await this.#call(`/payments/${id}/logs`)) as { items: { message: string }[] };
        const log = items.map(({ message }) => `  ${message}`).join('\n');
        throw new Problem(
          `The payment ${id} is still ${payment.status}, not ${status}. Its log, newest first:\n${log}`,
        );
      }
      await sleep(POLL_MS);
    }
  }

  #call(path: string, { body, token = this.#token }: { body?: unknown; token?: string } = {}): Promise<unknown> {
    return send(`${this.#stack.api_url}/api/v1${path}`, { body, token });
  }
}

async function send(url: string, { body, token }: { body?: unknown; token?: string }): Promise<unknown> {
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }).catch(() => {
    throw new Problem(`${url} does not answer: is the stack still running?`);
  });
  const text = await response.text();
  if (!response.ok) throw new Problem(`${url} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}
