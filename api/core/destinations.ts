// Owns where requests may go whose URL a caller has set: RPC nodes, providers, rate sources, webhooks. Only to the public
// internet, unless the node is marked local; no redirect is followed, and no answer is read further than was asked for.
import dns from 'node:dns';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Why nothing was answered: the destination is not allowed, did not answer in time, or not at all. */
export class DestinationError extends Error {
  readonly code: 'refused' | 'timeout' | 'unreachable';

  constructor(code: DestinationError['code'], message: string) {
    super(message);
    this.name = 'DestinationError';
    this.code = code;
  }
}

// IANA's special-purpose registries (RFC 6890 and its successors), multicast, and Azure's metadata service, which hides behind
// a public address.
const SPECIAL_V4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4', '168.63.129.16/32'],
];
// Of IPv6 only global unicast is public, and of that not: protocol assignments with Teredo, documentation, 6to4. Addresses that
// IPv4 is translated into (RFC 6052) are as public as what they stand for; mapped ones never come from a public name.
const PUBLIC_V6 = ['2000::/3', '64:ff9b::/96'];
const SPECIAL_V6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

function listOf(v4: readonly string[], v6: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of v4) {
    const [address = '', prefix] = range.split('/');
    list.addSubnet(address, Number(prefix), 'ipv4');
    list.addSubnet(`64:ff9b::${address}`, 96 + Number(prefix), 'ipv6');
  }
  for (const range of v6) {
    const [address = '', prefix] = range.split('/');
    list.addSubnet(address, Number(prefix), 'ipv6');
  }
  return list;
}

const special = listOf(SPECIAL_V4, SPECIAL_V6);
const publicV6 = listOf([], PUBLIC_V6);

/** Whether an IP address is one of the public internet. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special.check(address, 'ipv4');
    case 6:
      return publicV6.check(address, 'ipv6') && !special.check(address, 'ipv6');
    default:
      return false;
  }
}

// An address in a URL's host: IPv6 stands in brackets, and other spellings of IPv4 have been normalised by the URL parser.
function addressIn({ hostname }: URL): string | null {
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(address) === 0 ? null : address;
}

const MAX_URL_LENGTH = 2_048;

/**
 * What is wrong with a URL that a caller wants to be called, said so that it fits after a field's name; null: nothing. A name is
 * resolved when it is called, not here.
 */
export function destinationFault(text: string, { local }: { local: boolean }): string | null {
  if (text.length > MAX_URL_LENGTH) return `must not be longer than ${MAX_URL_LENGTH} characters`;
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) return local ? 'must be an http or https URL' : 'must be an https URL';
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or password';
  if (local) return null;
  if (url.protocol !== 'https:') return 'must be an https URL';
  const address = addressIn(url);
  if (address !== null && !isPublicAddress(address)) return 'must not lead to a private address';
  return /(^|\.)localhost\.?$/.test(url.hostname) ? 'must not lead to a private address' : null;
}

/** Resolves a name as `dns.lookup` does with `all`. */
export type Resolve = (
  hostname: string,
  options: dns.LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: dns.LookupAddress[]) => void,
) => void;

/** A request to a URL that a caller set. */
export type OutgoingRequest = {
  method: string;
  headers: Record<string, string>;
  body?: string | undefined;
  /** Whether the node is marked local, and may be led anywhere. */
  local: boolean;
  /** For all of it, from the name's resolution to the answer's last byte. */
  timeoutMs: number;
  /** More than this of the answer's body is not read. */
  maxAnswerBytes: number;
  signal?: AbortSignal | undefined;
  resolve?: Resolve;
};

/** What came back; `complete` false: the body went on, or broke off. */
export type IncomingAnswer = { status: number; headers: IncomingMessage['headers']; body: Buffer; complete: boolean };

// Sockets are kept for the next request to the same host, but never handed from a local node to another.
const agents = {
  public: { 'http:': new http.Agent({ keepAlive: true }), 'https:': new https.Agent({ keepAlive: true }) },
  local: { 'http:': new http.Agent({ keepAlive: true }), 'https:': new https.Agent({ keepAlive: true }) },
};

/**
 * Sends one request and answers with whatever status came, redirects included. The name is resolved once, every address that it
 * has is checked, and the connection goes to one of those, so that a name cannot lead elsewhere in between.
 * @throws DestinationError
 */
export async function send(text: string, request: OutgoingRequest): Promise<IncomingAnswer> {
  const { method, headers, body, local, timeoutMs, maxAnswerBytes, signal, resolve = dns.lookup } = request;
  const fault = destinationFault(text, { local });
  if (fault) throw new DestinationError('refused', `The URL ${fault}.`);
  const url = new URL(text);
  const protocol = url.protocol as 'http:' | 'https:';
  const options = {
    method,
    headers,
    agent: agents[local ? 'local' : 'public'][protocol],
    lookup: local ? unguardedLookup(resolve) : guardedLookup(resolve),
    ...(signal && { signal }),
  };
  return await new Promise((answered, failed) => {
    const outgoing = (protocol === 'https:' ? https : http).request(url, options);
    const timer = setTimeout(() => {
      outgoing.destroy(new DestinationError('timeout', `No answer within ${timeoutMs} ms.`));
    }, timeoutMs);
    let answering = false;
    outgoing.on('response', (incoming) => {
      answering = true;
      void readAnswer(incoming, maxAnswerBytes).then((answer) => {
        clearTimeout(timer);
        answered(answer);
      });
    });
    outgoing.on('error', (error) => {
      // Once a status is known the body's end is the answer's, however it comes.
      if (answering) return;
      clearTimeout(timer);
      failed(error instanceof DestinationError ? error : new DestinationError('unreachable', reasonOf(error)));
    });
    outgoing.end(body);
  });
}

/** Reads a body up to a bound; never fails, since the status is known by then. */
async function readAnswer(incoming: IncomingMessage, maxBytes: number): Promise<IncomingAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  let complete = false;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxBytes) break;
    }
    complete = incoming.complete && length <= maxBytes;
  } catch {
    // Broken off, or out of time: what came is the answer.
  }
  const body = Buffer.concat(chunks).subarray(0, maxBytes);
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body, complete };
}

function guardedLookup(resolve: Resolve): LookupFunction {
  return lookupThrough(resolve, (addresses) => addresses.every(({ address }) => isPublicAddress(address)));
}

function unguardedLookup(resolve: Resolve): LookupFunction {
  return lookupThrough(resolve, () => true);
}

function lookupThrough(resolve: Resolve, allows: (addresses: dns.LookupAddress[]) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    const { all, ...rest } = options;
    resolve(hostname, { ...rest, all: true } as dns.LookupAllOptions, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error) callback(error, '');
      else if (!first) callback(new DestinationError('unreachable', 'The name has no address.'), '');
      else if (!allows(addresses)) {
        callback(new DestinationError('refused', 'The name leads to a private address.'), '');
      } else if (all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

/** A failed connection in a few words, without the address that a name led to. */
function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return code ? `The connection failed (${code}).` : 'The connection failed.';
}
