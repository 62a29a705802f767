// Owns the shop's server-side calls of the API, as any integrator would write them: client credentials, then REST.
import type { ShopSettings } from './settings.ts';

/** What the shop reads of a payment. */
export type Payment = {
  id: string;
  external_id: string;
  access_token: string;
  status: string;
  paid_price: number;
  paid_price_units: string;
  metadata: string | null;
  currency_id: string;
};

/** One row of a payment's log. */
export type LogEntry = {
  event_type: string;
  message: string;
  created_at: string;
  chain: { transaction_hash: string } | null;
};

/** The API refused; `status` is its HTTP status. */
export class PlatformError extends Error {
  override name = 'PlatformError';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const PAYMENT_LIFETIME_MS = 30 * 60_000;

/** The API as the shop's integration sees it. */
export class Platform {
  readonly #settings: ShopSettings;
  #token: Promise<string> | null = null;

  constructor(settings: ShopSettings) {
    this.#settings = settings;
  }

  /** Creates the payment of an order. @see POST /api/v1/payments */
  async createPayment(order: { externalId: string; price: number; currency: string; sku: string }): Promise<Payment> {
    const { nodeId, networkId, walletId, payee, currencies } = this.#settings;
    return await this.#call('POST', '/payments', {
      external_id: order.externalId,
      node_id: nodeId,
      network_id: networkId,
      wallet_id: walletId,
      currency_id: currencies[order.currency],
      price: order.price,
      paid_price: order.price,
      payment_method: 'web3',
      payment_group: 'product',
      payment_address: payee,
      metadata: order.sku,
      expires_at: new Date(Date.now() + PAYMENT_LIFETIME_MS).toISOString(),
      retry: true,
    });
  }

  /** @throws PlatformError 404 */
  async getPayment(id: string): Promise<Payment> {
    return await this.#call('GET', `/payments/${id}`);
  }

  /** The payment's log, newest first. */
  async getLogs(id: string): Promise<LogEntry[]> {
    const { items } = await this.#call<{ items: LogEntry[] }>('GET', `/payments/${id}/logs?per_page=50`);
    return items;
  }

  /** Pays the seller, or takes the payment back. @throws PlatformError 409 when it is not possible (any more) */
  async ask(id: string, verb: 'release' | 'cancel'): Promise<void> {
    await this.#call('POST', `/payments/${id}/${verb}`);
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    let response = await this.#request(method, path, await this.#bearer(), body);
    if (response.status === 401) {
      this.#token = null;
      response = await this.#request(method, path, await this.#bearer(), body);
    }
    const answer: unknown = await response.json();
    if (!response.ok) throw new PlatformError(response.status, String(Object(answer).detail ?? response.statusText));
    return answer as T;
  }

  #bearer(): Promise<string> {
    const { clientId, clientSecret } = this.#settings;
    this.#token ??= (async () => {
      const credentials = { client_id: clientId, client_secret: clientSecret };
      const response = await this.#request('POST', '/auth/token', null, credentials);
      if (!response.ok) {
        this.#token = null;
        throw new PlatformError(response.status, 'The API does not accept the credentials of the shop.');
      }
      return String(Object(await response.json()).access_token);
    })();
    return this.#token;
  }

  async #request(method: string, path: string, bearer: string | null, body?: unknown): Promise<Response> {
    return await fetch(`${this.#settings.apiUrl}/api/v1${path}`, {
      method,
      headers: {
        ...(bearer !== null && { Authorization: `Bearer ${bearer}` }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    }).catch((cause) => {
      throw new PlatformError(503, `The API does not answer: ${String(cause)}`);
    });
  }
}
