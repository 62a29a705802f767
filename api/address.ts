// Owns from where a request comes. An X-Forwarded-For is believed only as far as trusted proxies wrote it.
import { BlockList, isIP } from 'node:net';
import type { Context } from 'hono';
import { CoreError } from './core/errors.ts';

/** A list of addresses and CIDR ranges. @throws invalid_request naming the first that is neither. */
export function addressList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    if (!isAddressRange(entry)) {
      throw new CoreError('invalid_request', `${JSON.stringify(entry)} is neither an IP address nor a CIDR range.`);
    }
    const [address = '', prefix] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}

/** Whether a text is an IP address or a CIDR range. */
export function isAddressRange(entry: string): boolean {
  const [address = '', prefix, more] = entry.split('/');
  const family = isIP(address);
  if (family === 0 || more !== undefined) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 6 ? 128 : 32));
}

/** Whether an address is in the list. */
export function includesAddress(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/**
 * The address that a request comes from: the connection's, or behind trusted proxies the last one in X-Forwarded-For that is
 * not theirs. Null when there is no connection or a proxy wrote no address.
 */
export function clientAddress(c: Context, trustedProxies: BlockList | undefined): string | null {
  const peer = plain(socketAddress(c.env) ?? '');
  if (!peer || !trustedProxies || !includesAddress(trustedProxies, peer)) return peer;
  const hops = (c.req.header('X-Forwarded-For') ?? '').split(',').map((hop) => plain(hop.trim()));
  for (const hop of hops.reverse()) {
    if (hop === null || !includesAddress(trustedProxies, hop)) return hop;
  }
  return peer;
}

/** An IPv4 address as it is, an IPv6 address as its /64: so much one caller has to itself. */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail = ''] = address.replace(/%.*/, '').toLowerCase().split('::');
  const groupsOf = (part: string) => (part === '' ? [] : part.split(':'));
  const before = groupsOf(head);
  const after = groupsOf(tail);
  const gap = Array(Math.max(0, 8 - before.length - after.length)).fill('0');
  const groups = [...before, ...gap, ...after].slice(0, 4).map((group) => group.replace(/^0+(?=.)/, ''));
  return `${groups.join(':')}::/64`;
}

// The Node server hands its request over as `incoming`; a request made in this process has none.
function socketAddress(bindings: unknown): string | undefined {
  const { incoming } = (bindings ?? {}) as { incoming?: { socket?: { remoteAddress?: string } } };
  return incoming?.socket?.remoteAddress;
}

/** An IPv4 address that a dual-stack socket shows as IPv6 is the IPv4 address. */
function plain(address: string): string | null {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  return isIP(mapped) === 0 ? null : mapped;
}
