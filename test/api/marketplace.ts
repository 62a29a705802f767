// A marketplace of its own for each test file: a node with policy, network, currencies, wallet and integration in the shared
// database, and the API over them in this process.
import createClient from 'openapi-fetch';
import { pino } from 'pino';
import type { Address } from 'viem';
import { inject, onTestFinished } from 'vitest';
import { createApp } from '../../api/app.ts';
import { connect, migrate } from '../../api/core/database/db.ts';
import { Tokens } from '../../api/core/platform/auth.ts';
import {
  createChain,
  createCurrency,
  createIntegration,
  createNetwork,
  createNode,
  createWallet,
} from '../../api/core/platform/platform.ts';
import type { Rates } from '../../api/core/platform/rates.ts';
import { Vault } from '../../api/core/vault.ts';
import { usdcAbi } from '../../contracts/abi.ts';
import type { paths } from '../../contracts/api.ts';
import type { Terms } from '../../contracts/terms.ts';
import { createDatabase } from '../../scripts/dev/postgres.ts';
import type { Stack } from '../support/stack.ts';
import { chainOf, strangerAddress } from '../support/wallet.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers are read as any client would, without our types.
export type Json = any;
export type Answer = { status: number; json: Json };

export type Marketplace = Awaited<ReturnType<typeof openMarketplace>>;

const CHAIN_ID = 31337;

/**
 * Opens a marketplace, by default on the shared stack; `rpcUrl` and `confirmations` give it a network of its own. Its node is
 * `local`, since the receivers of tests are.
 */
export async function openMarketplace({
  rpcUrl,
  confirmations,
  stack = inject('stack'),
  local = true,
  rates,
}: {
  rpcUrl?: string;
  confirmations?: number;
  stack?: Stack;
  local?: boolean;
  rates?: Rates;
} = {}) {
  const sql = connect(stack.databaseUrl, { maxConnections: 4 });
  const tokens = new Tokens(stack.secret);
  const vault = new Vault(stack.secret);
  const log = pino({ level: 'silent' });
  const app = createApp({ sql, tokens, vault, log, publicUrl: 'http://127.0.0.1', ...(rates && { rates }) });
  const name = crypto.randomUUID();
  const own = rpcUrl !== undefined || confirmations !== undefined;

  const policy = { feeBps: 100, feeRecipient: stack.feeRecipient };
  const node = await createNode(sql, { name, policy, local });
  const chain = await createChain(sql, { name: 'local', eip155Id: CHAIN_ID });
  const network = await createNetwork(sql, {
    chainId: chain.id,
    name: own ? name : 'shared',
    rpcUrls: [rpcUrl ?? stack.rpcUrl],
    diamondAddress: stack.diamond,
    operatorAddress: stack.operator,
    confirmations: confirmations ?? 1,
  });
  const currency = async (code: 'USDC' | 'USDT') => {
    const tokenAddress = stack.tokens[code];
    return (await createCurrency(sql, { networkId: network.id, code, name: code, decimals: 6, tokenAddress })).id;
  };
  const currencies = { USDC: await currency('USDC'), USDT: await currency('USDT') };
  const payee = strangerAddress();
  const wallet = await createWallet(sql, { nodeId: node.id, networkId: network.id, address: payee, label: 'payee' });
  const integration = await createIntegration(sql, { nodeId: node.id, name });
  const token = await tokens.issueIntegrationToken(integration.id);

  /** Calls the API below /api/v1, or another surface by its whole path; `token` null sends none, `body` as text is sent as it is. */
  async function call(
    method: string,
    path: string,
    options: { token?: string | null | undefined; body?: unknown } = {},
  ): Promise<Answer> {
    const bearer = options.token === undefined ? token : options.token;
    const { body } = options;
    const response = await app.request(wholePath(path), {
      method: method.toUpperCase(),
      headers: {
        ...(bearer !== null && { Authorization: `Bearer ${bearer}` }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === '' ? null : JSON.parse(text) };
  }
  const get = (path: string, bearer?: string | null) => call('GET', path, { token: bearer });
  const post = (path: string, body?: unknown, bearer?: string | null) => call('POST', path, { body, token: bearer });

  /** The client that integrators generate from our OpenAPI document. */
  const api = createClient<paths>({
    baseUrl: 'http://127.0.0.1',
    headers: { Authorization: `Bearer ${token}` },
    fetch: async (request) => await app.fetch(request),
  });

  /** Asks for what moves a payment's money. @throws Error with the problem document of a refusal */
  async function ask(paymentId: string, verb: 'release' | 'refund' | 'cancel') {
    const params = { path: { id: paymentId } };
    const { data, error } = await api.POST(`/api/v1/payments/{id}/${verb}`, { params });
    if (!data) throw new Error(`${verb} was refused: ${JSON.stringify(error)}`);
    return data;
  }

  /** The body of a payment of 25.5 USDC that expires in an hour, with a new external id. */
  function paymentBody(fields: Record<string, unknown> = {}): Record<string, Json> {
    return {
      external_id: `order-${crypto.randomUUID()}`,
      node_id: node.id,
      network_id: network.id,
      currency_id: currencies.USDC,
      price: 25.5,
      paid_price: 25.5,
      payment_method: 'web3',
      payment_group: 'product',
      payment_address: payee,
      expires_at: new Date(Date.now() + 3_600_000).toISOString(),
      ...fields,
    };
  }

  async function createPayment(fields: Record<string, unknown> = {}): Promise<Json> {
    const { status, json } = await post('/payments', paymentBody(fields));
    if (status !== 201) throw new Error(`Creating a payment failed: ${JSON.stringify(json)}`);
    return json;
  }

  /** Reads the payment until it has the status, or fails after 20 seconds with the one it has. */
  async function untilStatus(paymentId: string, status: string): Promise<Json> {
    const deadline = Date.now() + 20_000;
    for (;;) {
      const { json } = await get(`/payments/${paymentId}`);
      if (json.status === status) return json;
      if (Date.now() > deadline) {
        const logs = await get(`/payments/${paymentId}/logs?per_page=100`);
        throw new Error(`Still ${json.status}, not ${status}: ${JSON.stringify(logs.json.items, null, 1)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** A payment whose widget hands out call data, with that data. */
  async function payable(fields: Record<string, unknown> = {}): Promise<{ payment: Json; widget: Json }> {
    const payment = await createPayment(fields);
    await untilStatus(payment.id, 'awaiting_deposit');
    const widget = (await get(`/widget/payments/${payment.id}`, payment.access_token)).json;
    return { payment, widget };
  }

  /** How many payments the node has. */
  async function countPayments(): Promise<number> {
    const [row] = await sql<{ count: number }[]>`select count(*)::int as count from payment where node_id = ${node.id}`;
    return row?.count ?? 0;
  }

  /** Base units of USDC, or of `token`, that an address has on chain. */
  const tokenBalance = (address: Address, token = stack.tokens.USDC): Promise<bigint> =>
    chainOf(stack).readContract({ address: token, abi: usdcAbi, functionName: 'balanceOf', args: [address] });

  return {
    sql,
    app,
    stack,
    tokenBalance,
    nodeId: node.id,
    chainId: chain.id,
    networkId: network.id,
    integrationId: integration.id,
    credentials: { client_id: integration.clientId, client_secret: integration.clientSecret },
    walletId: wallet.id,
    currencies,
    tokens: stack.tokens,
    diamond: stack.diamond,
    operator: stack.operator,
    payee,
    stranger: strangerAddress(),
    token,
    call,
    get,
    post,
    ask,
    paymentBody,
    createPayment,
    payable,
    untilStatus,
    countPayments,
    tokensOf: tokens,
    /** An integration of a node below ours, and its token. */
    openChildIntegration: async () => {
      const child = await createNode(sql, { name: crypto.randomUUID(), parentId: node.id });
      const { id } = await createIntegration(sql, { nodeId: child.id, name: 'child' });
      return { nodeId: child.id, integrationId: id, token: await tokens.issueIntegrationToken(id) };
    },
    openChild: async () => (await createNode(sql, { name: crypto.randomUUID(), parentId: node.id })).id,
    disableIntegration: () => sql`update integration set disabled_at = now() where id = ${integration.id}`,
    close: () => sql.end(),
  };
}

/** Below /api/v1, unless it is another surface's. */
export function wholePath(path: string): string {
  return path.startsWith('/orders/v1/') ? path : `/api/v1${path}`;
}

/** A marketplace on a database of its own, where no worker runs unless the test starts one. */
export async function openQuietMarketplace(): Promise<Marketplace> {
  const stack = inject('stack');
  const databaseUrl = await createDatabase(stack.databaseUrl, `quiet_${crypto.randomUUID().replaceAll('-', '')}`);
  await migrate(databaseUrl);
  return await openMarketplace({ stack: { ...stack, databaseUrl } });
}

/** The terms in a widget's call data. */
export function termsOf(widget: Json): Terms {
  return parseTerms(widget.contract.arguments[0]);
}

/** Terms as JSON carries them, with their integers as bigint. */
export function parseTerms(terms: Json): Terms {
  return {
    ...terms,
    ref: BigInt(terms.ref),
    amount: BigInt(terms.amount),
    fee: BigInt(terms.fee),
    depositDeadline: BigInt(terms.depositDeadline),
    settlementDeadline: BigInt(terms.settlementDeadline),
    resolutionDeadline: BigInt(terms.resolutionDeadline),
  };
}

/** A marketplace that is closed when the test ends. */
export async function testMarketplace(options: Parameters<typeof openMarketplace>[0] = {}): Promise<Marketplace> {
  const market = await openMarketplace(options);
  onTestFinished(async () => void (await market.close()));
  return market;
}
