/** What a person is told once a stack is up: where everything is, who may do what, and a request to paste. */
import { join } from 'node:path';
import type { StackFile } from './stackfile.ts';

const WEEK_MS = 7 * 86_400_000;

/** A shell command that fetches a token and creates a payment of 25.50; may be pasted as often as one likes. */
export function curlExample(stack: StackFile): string {
  const [code, currencyId] = Object.entries(stack.currencies)[0] ?? [];
  if (code === undefined) return `# No currency is known on chain ${stack.eip155_id}.`;
  const body = JSON.stringify({
    external_id: 'order-NUMBER',
    node_id: stack.node_id,
    network_id: stack.network_id,
    currency_id: currencyId,
    wallet_id: stack.wallet_id,
    price: 25.5,
    paid_price: 25.5,
    payment_method: 'web3',
    payment_group: 'product',
    payment_address: stack.payment_address,
    expires_at: new Date(Date.now() + WEEK_MS).toISOString(),
  }).replace('NUMBER', `'"$(date +%s)"'`);
  const json = "-H 'Content-Type: application/json'";
  return [
    `TOKEN=$(curl -s ${stack.api_url}/api/v1/auth/token ${json} -d '${JSON.stringify(stack.integration)}' | sed -E 's/.*"access_token":"([^"]+)".*/\\1/')`,
    `curl -s ${stack.api_url}/api/v1/payments -H "Authorization: Bearer $TOKEN" ${json} -d '${body}'`,
  ].join('\n');
}

/** The closing lines of a start. */
export function farewell(stack: StackFile, dataDir: string): string {
  const tokens = Object.entries(stack.tokens).map(([symbol, { address }]) => `  ${symbol.padEnd(12)} ${address}`);
  const buyers = stack.buyers.map(({ address }) => `  buyer        ${address}, with test money`);
  return [
    '',
    `  API          ${stack.api_url}/api/v1`,
    `  reference    ${stack.docs_url}`,
    `  demo shop    ${stack.shop_url}`,
    `  sandbox      ${stack.sandbox_url}/bank, a bank to send transfers from`,
    `  chain        ${stack.rpc_url} (chain id ${stack.eip155_id})`,
    `  diamond      ${stack.diamond}`,
    ...tokens,
    `  operator     ${stack.operator}`,
    `  payee        ${stack.payment_address}`,
    ...buyers,
    '',
    `  client_id     ${stack.integration.client_id}`,
    `  client_secret ${stack.integration.client_secret}`,
    '',
    'Create a payment:',
    '',
    curlExample(stack),
    '',
    `Play a buyer:  npm run demo`,
    `All of this:   ${join(dataDir, 'stack.json')}   logs: ${join(dataDir, 'logs')}`,
    'Stop:          Ctrl-C',
  ].join('\n');
}
