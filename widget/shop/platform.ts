// Owns the shop's server-side calls of the API, as any integrator would write them: client credentials, then REST.
import createClient from 'openapi-fetch';
import type { components, paths } from '../../contracts/api.ts';
import type { ShopSettings } from './settings.ts';

/** A payment as the API returns it. */
export type Payment = components['schemas']['Payment'];
/** One row of a payment's log. */
export type LogEntry = components['schemas']['PaymentLog'];

/** What the shop's desk may ask for. */
export type Verb = (typeof verbs)[number];

/** The same, to walk over. */
export const verbs = ['release', 'cancel', 'refund-excess'] as const;

/** The API refused; `status` is its HTTP status. */
export class PlatformError extends Error {
  override name = 'PlatformError';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** How an order is paid. */
export type Method = Payment['payment_method'];

const MINUTE_MS = 60_000;
// Banks take days.
const LIFETIME_MS = {
  web3: 30 * MINUTE_MS,
  credit_card: 30 * MINUTE_MS,
  bank_transfer: 7 * 1_440 * MINUTE_MS,
} as const;

/** The API as the shop's integration sees it. */
export class Platform {
  readonly #settings: ShopSettings;
  readonly #api;
  #token: Promise<string> | null = null;

  constructor(settings: ShopSettings) {
    this.#settings = settings;
    this.#api = createClient<paths>({ baseUrl: settings.apiUrl, fetch: (request) => this.#send(request) });
  }

  /** Creates the payment of an order; by card or transfer it needs no chain. @see POST /api/v1/payments */
  async createPayment(order: {
    externalId: string;
    price: number;
    currency: string;
    sku: string;
    method: Method;
    returnUrl: string;
  }): Promise<Payment> {
    const { nodeId, networkId, walletId, payee, currencies } = this.#settings;
    const { method } = order;
    const currencyId = currencies[order.currency];
    if (currencyId === undefined) throw new PlatformError(400, `The shop takes no ${order.currency}.`);
    return answerOf(
      await this.#api.POST('/api/v1/payments', {
        body: {
          external_id: order.externalId,
          node_id: nodeId,
          ...(method === 'web3' && { network_id: networkId, wallet_id: walletId, payment_address: payee }),
          ...(method === 'credit_card' && { return_url: order.returnUrl }),
          currency_id: currencyId,
          price: order.price,
          paid_price: order.price,
          payment_method: method,
          payment_group: 'product',
          metadata: order.sku,
          expires_at: new Date((await this.#now()) + LIFETIME_MS[method]).toISOString(),
          retry: true,
        },
      }),
    );
  }

  /** @throws PlatformError 404 */
  async getPayment(id: string): Promise<Payment> {
    return answerOf(await this.#api.GET('/api/v1/payments/{id}', { params: { path: { id } } }));
  }

  /** The payment's log, newest first. */
  async getLogs(id: string): Promise<LogEntry[]> {
    const params = { path: { id }, query: { per_page: 50 } };
    return answerOf(await this.#api.GET('/api/v1/payments/{id}/logs', { params })).items;
  }

  /** Pays the seller, or takes the payment or its excess back. @throws PlatformError 409 when it is not possible (any more) */
  async ask(id: string, verb: Verb): Promise<void> {
    answerOf(await this.#api.POST(`/api/v1/payments/{id}/${verb}`, { params: { path: { id } } }));
  }

  /** Local mode: lets a day pass, for banks and deadlines. @see POST /api/v1/test-clock */
  async letDayPass(): Promise<void> {
    answerOf(await this.#api.POST('/api/v1/test-clock', { body: { advance_seconds: 86_400 } }));
  }

  /** The API's time: in local mode it may be ahead. */
  async #now(): Promise<number> {
    if (this.#settings.sandboxUrl === null) return Date.now();
    return Date.parse(answerOf(await this.#api.GET('/api/v1/test-clock')).now);
  }

  /** Sends a request as our integration, once more with a new token when the API takes the old one no longer. */
  async #send(request: Request): Promise<Response> {
    const again = request.clone();
    const response = await this.#sendWith(request, await this.#bearer());
    if (response.status !== 401) return response;
    this.#token = null;
    return await this.#sendWith(again, await this.#bearer());
  }

  async #sendWith(request: Request, bearer: string): Promise<Response> {
    request.headers.set('Authorization', `Bearer ${bearer}`);
    return await fetch(request).catch(unreachable);
  }

  #bearer(): Promise<string> {
    this.#token ??= this.#login().catch((error) => {
      this.#token = null;
      throw error;
    });
    return this.#token;
  }

  async #login(): Promise<string> {
    const { apiUrl, clientId, clientSecret } = this.#settings;
    const { data, response } = await createClient<paths>({ baseUrl: apiUrl })
      .POST('/api/v1/auth/token', { body: { client_id: clientId, client_secret: clientSecret } })
      .catch(unreachable);
    if (!data) throw new PlatformError(response.status, 'The API does not accept the credentials of the shop.');
    return data.access_token;
  }
}

function unreachable(cause: unknown): never {
  throw new PlatformError(503, `The API does not answer: ${String(cause)}`);
}

/** What the API answered. @throws PlatformError when it refused, with what its problem document says */
function answerOf<T>({ data, error, response }: { data?: T; error?: { detail?: string }; response: Response }): T {
  if (data === undefined) throw new PlatformError(response.status, error?.detail ?? response.statusText);
  return data;
}
