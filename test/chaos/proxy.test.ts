/** The network faults of chaos runs do what they are called, shown on a plain echo server. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { until } from '../support/until.js';
import { FaultProxy } from './proxy.js';

describe('a proxy', () => {
  let echo: Server;
  let proxy: FaultProxy;
  let heard = '';
  /** The server's ends. */
  let peers: Socket[] = [];
  const open = () => peers.filter(({ closed }) => !closed).length;
  beforeEach(async () => {
    heard = '';
    peers = [];
    echo = createServer((socket) => {
      peers.push(socket);
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        heard += bytes;
        socket.write(bytes);
      });
    });
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    const { port } = echo.address() as AddressInfo; // it listens on TCP
    proxy = await FaultProxy.start({ target: () => port, random: Math.random });
  });
  afterEach(async () => {
    await proxy.close();
    echo.close();
  });

  test('passes bytes on, in order, however many', async () => {
    const client = await Client.to(proxy);
    const sent = Array.from({ length: 200 }, (_, index) => `${index},`.repeat(5_000)).join('');
    client.socket.write(sent);
    await until('all of it back', () => client.got.length === sent.length);
    expect(client.got).toBe(sent);
  });

  test('delays, and keeps the order in spite of jitter', async () => {
    proxy.set({ delayMs: 60, jitterMs: 40 });
    const client = await Client.to(proxy);
    const startMs = performance.now();
    for (const word of ['one ', 'two ', 'three ', 'four ']) client.socket.write(word);
    await until('the echo', () => client.got.length === 'one two three four '.length);
    expect(client.got).toBe('one two three four ');
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(119); // both ways
  });

  test('stalls: nothing passes, nothing breaks, all of it comes afterwards', async () => {
    const client = await Client.to(proxy);
    await client.echoes('before');
    proxy.set({ stalled: true });
    client.socket.write('during');
    const other = await Client.to(proxy);
    other.socket.write('other');
    await passed(50);
    expect([heard, client.got, client.broken]).toEqual(['before', 'before', false]);
    proxy.clear();
    await until('the rest', () => client.got === 'beforeduring' && other.got === 'other');
  });

  test('swallows what the client sends; afterwards the connection is cut', async () => {
    const client = await Client.to(proxy);
    await client.echoes('before');
    proxy.set({ swallows: 'to-server' });
    client.socket.write('lost');
    await passed(50);
    expect([heard, client.broken]).toEqual(['before', false]);
    proxy.clear();
    await until('a cut', () => client.broken);
    expect(heard).toBe('before');
  });

  test('swallows what the server sends, which does hear the client', async () => {
    const client = await Client.to(proxy);
    await client.echoes('before');
    proxy.set({ swallows: 'to-client' });
    client.socket.write('heard');
    await until('the server to hear it', () => heard === 'beforeheard');
    await passed(50);
    expect([client.got, client.broken]).toEqual(['before', false]);
    proxy.clear();
    await until('a cut', () => client.broken);
  });

  test('resets every open connection and takes new ones', async () => {
    const clients = [await Client.to(proxy), await Client.to(proxy)];
    for (const client of clients) await client.echoes('a');
    proxy.reset();
    await until('both cut', () => clients.every(({ broken }) => broken));
    expect(proxy.connections).toBe(0);
    await (await Client.to(proxy)).echoes('b');
  });

  test('refuses new connections while open ones go on', async () => {
    const open = await Client.to(proxy);
    await open.echoes('a');
    proxy.set({ refuses: true });
    const refused = new Client(connect({ port: proxy.port, host: '127.0.0.1' }));
    await until('a refusal', () => refused.broken);
    await open.echoes('b');
    proxy.clear();
    await (await Client.to(proxy)).echoes('c');
  });

  test('forgets open connections: silence both ways, for good, and new ones work', async () => {
    const client = await Client.to(proxy);
    await client.echoes('before');
    proxy.vanish();
    client.socket.write('lost');
    for (const peer of peers) peer.write('never seen');
    await (await Client.to(proxy)).echoes('new'); // time enough for what was sent
    proxy.reset();
    for (const peer of peers.splice(0)) peer.destroy();
    await passed(50);
    expect([heard, client.got, client.broken]).toEqual(['beforenew', 'before', false]);
  });

  test('forgets a connection whose end was on its way', async () => {
    const client = await Client.to(proxy);
    await client.echoes('before');
    proxy.vanish();
    for (const peer of peers.splice(0)) peer.end();
    await (await Client.to(proxy)).echoes('new');
    await passed(50);
    expect([client.ended, client.broken]).toEqual([false, false]);
  });

  test('leaves no connection to the server behind when a forgotten client gives up', async () => {
    const client = await Client.to(proxy);
    await client.echoes('before');
    proxy.vanish();
    await passed(20);
    expect(open()).toBe(1);
    client.socket.destroy();
    await until('the server to be rid of it', () => open() === 0);
  });

  test('takes new connections into a black hole, and open ones go on', async () => {
    const client = await Client.to(proxy);
    await client.echoes('a');
    proxy.set({ blackholes: true });
    const lost = await Client.to(proxy); // as far as it can see, it is connected
    lost.socket.write('lost');
    await client.echoes('b');
    proxy.clear();
    lost.socket.write('lost');
    await (await Client.to(proxy)).echoes('c');
    expect([heard, lost.got, lost.broken, open()]).toEqual(['abc', '', false, 2]);
  });

  test('limits the bandwidth', async () => {
    proxy.set({ bytesPerSecond: 200_000 });
    const client = await Client.to(proxy);
    const startMs = performance.now();
    client.socket.write('x'.repeat(40_000));
    await until('all of it back', () => client.got.length === 40_000);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(199);
  });

  test('passes an end on, and leaves nothing behind', async () => {
    const client = await Client.to(proxy);
    await client.echoes('a');
    client.socket.end('last');
    await until('the server to hear it', () => heard === 'alast');
    await until('no connection', () => proxy.connections === 0);
  });
});

class Client {
  got = '';
  ended = false;
  broken = false;

  constructor(readonly socket: Socket) {
    socket.on('error', () => {
      this.broken = true;
    });
    socket.on('close', () => {
      this.broken = true;
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('data', (bytes) => {
      this.got += bytes;
    });
    onTestFinished(() => {
      socket.destroy();
    });
  }

  static async to({ port }: FaultProxy): Promise<Client> {
    const socket = connect({ port, host: '127.0.0.1' });
    const client = new Client(socket);
    await once(socket, 'connect');
    return client;
  }

  async echoes(text: string): Promise<void> {
    const all = this.got + text;
    this.socket.write(text);
    await until('the echo', () => this.got === all);
  }
}

/** That nothing happens can only be seen by letting time pass. */
async function passed(ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  await until('time to pass', () => performance.now() >= endMs);
}
