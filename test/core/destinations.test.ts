import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { destinationFault, isPublicAddress, type Resolve, send } from '../../api/core/destinations.ts';

/** A receiver on loopback that counts its connections; ended with the test. */
async function receiver(
  listener: RequestListener,
): Promise<{ port: number; server: Server; connections: () => number }> {
  let connections = 0;
  const server = createServer(listener);
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server, connections: () => connections };
}

/** A resolver that gives each of these lists of addresses in turn, the last one for good. */
function resolver(...answers: string[][]): Resolve & { calls: number } {
  const resolve: Resolve & { calls: number } = Object.assign(
    ((_name, _options, callback) => {
      const addresses = answers[Math.min(resolve.calls, answers.length - 1)] ?? [];
      resolve.calls += 1;
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    }) satisfies Resolve,
    { calls: 0 },
  );
  return resolve;
}

const request = { method: 'POST', headers: {}, body: '{}', local: true, timeoutMs: 5_000, maxAnswerBytes: 100 };

describe('public addresses', () => {
  test.each([
    ...['93.184.216.34', '8.8.8.8', '172.32.0.1', '100.128.0.1', '223.255.255.255', '169.253.255.255'],
    ...['2606:4700::1111', '2a00:1450:4001::200e', '64:ff9b::8.8.8.8', '64:ff9b::808:808'],
  ])('%s is one', (address) => expect(isPublicAddress(address)).toBe(true));

  test.each([
    ...['0.0.0.0', '10.0.0.1', '100.64.0.1', '100.100.100.200', '127.0.0.1', '127.255.255.254', '169.254.169.254'],
    ...['172.16.0.1', '172.31.255.255', '192.0.0.192', '192.168.1.1', '198.18.0.1', '224.0.0.1', '255.255.255.255'],
    ...['168.63.129.16', '::', '::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:7f00:1', '::127.0.0.1'],
    ...['fe80::1', 'fc00::1', 'fd00:ec2::254', 'ff02::1', 'fec0::1', '2001::1', '2001:db8::1', '2002:7f00:1::'],
    ...['2002:a9fe:a9fe::1', '64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::1', '100::1', 'example.org', ''],
  ])('%s is none', (address) => expect(isPublicAddress(address)).toBe(false));
});

describe('URLs', () => {
  test.each([
    ['https://shop.example/hook?order=1', null],
    ['https://8.8.8.8/hook', null],
    ['http://shop.example/hook', 'must be an https URL'],
    ['ftp://shop.example/', 'must be an https URL'],
    ['shop.example', 'must be an https URL'],
    ['', 'must be an https URL'],
    ['https://user:pass@shop.example/', 'must not contain a user name or password'],
    ['https://user@shop.example/', 'must not contain a user name or password'],
    ['https://127.0.0.1/', 'must not lead to a private address'],
    ['https://2130706433/', 'must not lead to a private address'],
    ['https://0x7f.1/', 'must not lead to a private address'],
    ['https://0251.0376.0251.0376/', 'must not lead to a private address'],
    ['https://[::1]/', 'must not lead to a private address'],
    ['https://[::ffff:10.0.0.1]/', 'must not lead to a private address'],
    ['https://localhost:8443/', 'must not lead to a private address'],
    ['https://api.localhost./', 'must not lead to a private address'],
    [`https://shop.example/${'x'.repeat(2_048)}`, 'must not be longer than 2048 characters'],
  ])('%s', (url, fault) => expect(destinationFault(url, { local: false })).toBe(fault));

  test('of a local node may be plain and private, but hold no credentials', () => {
    expect(destinationFault('http://127.0.0.1:4100/hook', { local: true })).toBeNull();
    expect(destinationFault('http://a:b@127.0.0.1/', { local: true })).toBe('must not contain a user name or password');
    expect(destinationFault('file:///etc/passwd', { local: true })).toBe('must be an http or https URL');
  });
});

describe('a request of a node that is not local', () => {
  const refused = { code: 'refused' };

  test.each([['127.0.0.1'], ['93.184.216.34', '10.0.0.1'], ['::ffff:127.0.0.1'], ['64:ff9b::7f00:1']])(
    'is refused before it connects when the name has a private address: %s',
    async (...addresses) => {
      const { port, connections } = await receiver((_request, response) => response.end());
      const resolve = resolver(addresses);
      const url = `https://shop.example:${port}/`;
      await expect(send(url, { ...request, local: false, resolve })).rejects.toMatchObject(refused);
      expect([resolve.calls, connections()]).toEqual([1, 0]);
    },
  );

  test('does not go over a connection that a local node left open', async () => {
    const { port, connections } = await receiver((_request, response) => response.end('ok'));
    await send(`http://127.0.0.1:${port}/`, request);
    await expect(send(`http://127.0.0.1:${port}/`, { ...request, local: false })).rejects.toMatchObject(refused);
    expect(connections()).toBe(1);
  });
});

describe('a request', () => {
  test('goes to the very address that was checked, under the name of the URL', async () => {
    const { port } = await receiver((incoming, response) => response.end(incoming.headers.host));
    const resolve = resolver(['127.0.0.1'], ['192.0.2.1']);
    const answer = await send(`http://shop.example:${port}/`, { ...request, resolve });
    expect([answer.status, answer.body.toString(), answer.complete]).toEqual([200, `shop.example:${port}`, true]);
    expect(resolve.calls).toBe(1);
  });

  test('follows no redirect', async () => {
    const seen: (string | undefined)[] = [];
    const { port } = await receiver((incoming, response) => {
      seen.push(incoming.url);
      response.writeHead(307, { Location: `http://127.0.0.1:${port}/elsewhere` }).end();
    });
    expect((await send(`http://127.0.0.1:${port}/hook`, request)).status).toBe(307);
    expect(seen).toEqual(['/hook']);
  });

  test('reads no more of the answer than it was told to', async () => {
    let written = 0;
    const { port } = await receiver((_request, response) => {
      const chunk = Buffer.alloc(64 * 1024, 'x');
      const pump = () => {
        while (!response.destroyed && response.write(chunk)) written += chunk.length;
        response.once('drain', pump);
      };
      pump();
    });
    const answer = await send(`http://127.0.0.1:${port}/`, request);
    expect([answer.status, answer.body.length, answer.complete]).toEqual([200, 100, false]);
    expect(written).toBeLessThan(64 * 1024 * 1024);
  });

  test('ends in time when nobody answers, and keeps the status when only the body is slow', async () => {
    const hanging = await receiver(() => {});
    const slow = await receiver((_request, response) => void response.writeHead(202).write('…'));
    const inTime = { ...request, timeoutMs: 200 };
    await expect(send(`http://127.0.0.1:${hanging.port}/`, inTime)).rejects.toMatchObject({ code: 'timeout' });
    const answer = await send(`http://127.0.0.1:${slow.port}/`, inTime);
    expect([answer.status, answer.body.toString(), answer.complete]).toEqual([202, '…', false]);
  });

  test('survives a receiver that answers twice, talks nonsense, or hangs up', async () => {
    const sockets: Socket[] = [];
    const rude = createTcpServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      socket.once('data', (data) => {
        const path = data.toString().split(' ')[1];
        if (path === '/twice') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'.repeat(2));
        if (path === '/nonsense') socket.write('SSH-2.0-OpenSSH_9.9\r\n');
        if (path === '/gone') socket.destroy();
      });
    });
    await new Promise<void>((listening) => rude.listen(0, '127.0.0.1', listening));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      rude.close();
    });
    const url = `http://127.0.0.1:${(rude.address() as AddressInfo).port}`;
    expect((await send(`${url}/twice`, request)).body.toString()).toBe('ok');
    for (const path of ['/nonsense', '/gone']) {
      await expect(send(`${url}${path}`, request)).rejects.toMatchObject({ code: 'unreachable' });
    }
    await expect(send('http://127.0.0.1:1/', request)).rejects.toThrow('The connection failed (ECONNREFUSED).');
  });
});
