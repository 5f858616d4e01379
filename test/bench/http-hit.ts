/**
 * http-hit: GET of a value that the read app holds in its memory, against a bare Fastify route in a
 * process of its own that sends the same bytes and the same headers.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { AppProcess } from '../../src/demo/app-process.js';
import { compare, type Figure, type Rounds } from './figure.js';
import type { Stage } from './stage.js';

const BARE_ROUTE = fileURLToPath(new URL('./bare-route.mjs', import.meta.url));
const KEY = 'checkout/limits/eu';
const VALUE = Buffer.from(JSON.stringify({ limit: 7, pad: 'x'.repeat(178) })); // 200 bytes
const CONNECTIONS = 32;
/** What Node's server adds by itself to any answer. */
const OF_THE_SERVER = ['connection', 'date', 'keep-alive', 'content-length'];

async function requestsPerSecond(url: string, seconds: number): Promise<number> {
  const result = await autocannon({ url, connections: CONNECTIONS, duration: seconds });
  if (result.non2xx + result.errors > 0) {
    throw new Error(`Expected only 200, got ${result.non2xx} others and ${result.errors} errors`);
  }
  return result.requests.average;
}

export async function httpHit(stage: Stage, rounds: Rounds, quick: boolean): Promise<Figure[]> {
  await stage.fill(new Map([[KEY, VALUE]]));
  await stage.centers.caughtUp();
  const app = await AppProcess.spawn({
    name: 'read app',
    command: 'read',
    env: { MYSQL_B_URL: stage.b, REDIS_URL: stage.redis, LOG_LEVEL: 'warn' },
  });
  stage.after(() => app.stop());
  await app.untilReady(new AbortController().signal);
  const url = `${app.url}/v1/configs/${KEY}`;
  const response = await fetch(url);
  const body = await response.text();
  const headers = [...response.headers].filter(([name]) => !OF_THE_SERVER.includes(name));

  const bare = fork(BARE_ROUTE, [JSON.stringify({ headers: Object.fromEntries(headers), body })]);
  stage.after(async () => bare.kill());
  const [bareUrl] = await once(bare, 'message');
  const seconds = quick ? 1 : 4;
  return [
    await compare(
      {
        name: 'http-hit',
        peerName: 'bare Fastify route, same bytes and headers',
        unit: '1/s',
        better: 'higher',
        target: 0.95,
        ours: () => requestsPerSecond(url, seconds),
        peer: () => requestsPerSecond(`${bareUrl}/v1/configs/${KEY}`, seconds),
      },
      rounds,
    ),
  ];
}
