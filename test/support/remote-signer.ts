/**
 * The reference of a remote signer: JSON-RPC `eth_signTransaction` over HTTP behind a bearer token, one key. What a production
 * signer adds is where the key lives and which transactions it refuses (here: those that are not to `onlyTo`).
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Address, type Hex, hexToBigInt, hexToNumber } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

/** What a client asks to be signed; numbers in hex. */
type Request = Record<'from' | 'to' | 'data' | 'chainId' | 'nonce' | 'gas', Hex> &
  Record<'value' | 'maxFeePerGas' | 'maxPriorityFeePerGas', Hex>;
type Transaction = ReturnType<typeof read>;

export type RemoteSignerServer = { readonly url: string; readonly address: Address; stop(): Promise<void> };

/** Starts it on a free port of this machine; `tamper` changes what it signs, as one in the wrong hands would. */
export async function startRemoteSigner({
  privateKey,
  bearerToken,
  onlyTo,
  tamper = (transaction) => transaction,
}: {
  privateKey: Hex;
  bearerToken: string;
  onlyTo?: Address;
  tamper?: (transaction: Transaction) => Transaction;
}): Promise<RemoteSignerServer> {
  const account = privateKeyToAccount(privateKey);

  async function answer(body: string): Promise<object> {
    const { method, params } = JSON.parse(body) as { method: string; params: [Request] };
    if (method !== 'eth_signTransaction') return { error: { code: -32_601, message: 'Only eth_signTransaction.' } };
    const [request] = params;
    if (request.from.toLowerCase() !== account.address.toLowerCase()) {
      return { error: { code: -32_000, message: 'That key is not here.' } };
    }
    if (onlyTo && request.to.toLowerCase() !== onlyTo.toLowerCase()) {
      return { error: { code: -32_000, message: 'Transactions to that address are refused.' } };
    }
    return { result: await account.signTransaction(tamper(read(request))) };
  }

  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    if (request.headers.authorization !== `Bearer ${bearerToken}`) {
      response.writeHead(401).end();
      return;
    }
    const text = JSON.stringify({ jsonrpc: '2.0', id: 1, ...(await answer(body)) });
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    address: account.address,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function read(request: Request) {
  return {
    type: 'eip1559' as const,
    chainId: hexToNumber(request.chainId),
    nonce: hexToNumber(request.nonce),
    to: request.to,
    data: request.data,
    value: hexToBigInt(request.value),
    gas: hexToBigInt(request.gas),
    maxFeePerGas: hexToBigInt(request.maxFeePerGas),
    maxPriorityFeePerGas: hexToBigInt(request.maxPriorityFeePerGas),
  };
}
