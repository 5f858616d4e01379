/**
 * The peer of propagation, as a process: it follows MySQL-B's binlog, writes each changed row to
 * Redis and then to its local cache, and answers GETs from local, else Redis, else MySQL-B. That is
 * all: a fill that is under way during an event leaves the old value in the local cache, and what
 * happens while the listener is down stays unnoticed in Redis.
 */
import ZongJi, { type RowData, type UpdateRowData } from '@vlasky/zongji';
import Fastify from 'fastify';
import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { createPool, type RowDataPacket } from 'mysql2/promise';
import type { Endpoint } from '../../src/demo/data-centers.js';

const TTL_MS = 1_800_000;

/** What the parent passes in the variable LISTENER. */
export interface ListenerOptions {
  readonly mysql: Endpoint;
  readonly redis: string;
}

const options = JSON.parse(process.env.LISTENER ?? '{}') as ListenerOptions; // the parent's
const local = new LRUCache<string, string>({ max: 100_000, ttl: TTL_MS });
const redis = new Redis(options.redis, { keyPrefix: `listener-${process.pid}:` });
const pool = createPool({ ...options.mysql, connectionLimit: 8 });

async function refresh(row: RowData): Promise<void> {
  const [key, value] = [String(row.config_key), String(row.config_value)];
  await redis.set(key, value, 'PX', TTL_MS);
  local.set(key, value);
}

function isUpdate(row: RowData | UpdateRowData): row is UpdateRowData {
  return 'after' in row;
}

async function load(key: string): Promise<string | undefined> {
  const cached = await redis.get(key);
  if (cached !== null) return cached;
  const [[row]] = await pool.execute<RowDataPacket[]>(
    'SELECT config_key, config_value FROM configs WHERE config_key = ?',
    [key],
  );
  if (row !== undefined) await redis.set(key, row.config_value, 'PX', TTL_MS);
  return row?.config_value;
}

const zongji = new ZongJi({ ...options.mysql, charset: 'utf8mb4' });
zongji.on('error', (error: Error) => {
  console.error(error.message);
  process.exit(1);
});
zongji.on('binlog', (event) => {
  if (!('rows' in event)) return;
  for (const row of event.rows) void refresh(isUpdate(row) ? row.after : row);
});
const ready = new Promise<void>((resolve) => zongji.on('ready', resolve));
zongji.start({
  serverId: 1_000 + process.pid, // a server takes two of the same for one that came back
  startAtEnd: true,
  includeEvents: ['tablemap', 'writerows', 'updaterows'],
  includeSchema: { [options.mysql.database]: ['configs'] },
});

const server = Fastify({ logger: false });
server.get<{ Params: { '*': string } }>('/v1/configs/*', async (request, reply) => {
  const key = request.params['*'];
  const value = local.get(key) ?? (await load(key));
  if (value === undefined) return reply.code(404).send();
  local.set(key, value);
  return reply.header('content-type', 'application/json').send(value);
});
const url = await server.listen({ host: '127.0.0.1', port: 0 });
await ready;
process.send?.(url);
process.on('disconnect', () => process.exit());
