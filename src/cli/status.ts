/** `tidemark status`: the readers of a data center and how each one stands, once or live. */
import { setTimeout as delay } from 'node:timers/promises';
import { createLogUpdate } from 'log-update';
import pico from 'picocolors';
import type { Announcement } from '../core/announcement.js';
import { DEFAULT_COLLECTION } from '../core/collection.js';
import { parseCollections } from '../core/collections-text.js';
import { DEFAULT_TABLE } from '../core/table.js';
import type { SettingsOf } from '../env.js';
import { TidemarkError } from '../errors.js';
import { type FleetView, lagOf, statusScreens } from '../fleet/status-screen.js';
import { ANY_HOST } from '../mysql/hosts.js';
import { MysqlLog } from '../mysql/log.js';
import { openPool } from '../mysql/pool.js';
import { onRedis } from '../redis/on-redis.js';
import { Roster } from '../redis/roster.js';

export interface StatusCommandOptions {
  readonly settings: SettingsOf<'status'>;
  /** Once, as JSON: a line for each table. */
  readonly json?: boolean | undefined;
  /** Once, also in a terminal. */
  readonly once?: boolean | undefined;
}

const AGAIN_AFTER_MS = 1_000;
const TIMEOUT_MS = 5_000;
const USUAL_COLUMNS = 100;

/** Looks once, or again and again until SIGINT or SIGTERM. */
export async function statusCommand(options: StatusCommandOptions): Promise<void> {
  const { settings, json = false, once = false } = options;
  const { stdout } = process;
  const pool =
    settings.mysqlBUrl === undefined
      ? undefined
      : openPool(settings.mysqlBUrl, { connectionLimit: 1, severalHosts: ANY_HOST });
  const log = pool && new MysqlLog(pool, DEFAULT_COLLECTION, TIMEOUT_MS); // for its head
  const names = { ...DEFAULT_TABLE, table: settings.table };
  const tables = parseCollections(settings.collections, names).map(({ table }) => table);
  try {
    await onRedis(settings.redisUrl, {}, async (client) => {
      const roster = new Roster({ client, prefix: settings.keyPrefix });
      const look = async () => await viewsOf(tables, roster, log);
      const line = (view: FleetView) => `${JSON.stringify(statusJson(view))}\n`;
      if (json) stdout.write((await look()).map(line).join(''));
      else if (once || !stdout.isTTY || process.env.TERM === 'dumb') print(await look());
      else await watch(look);
    });
  } finally {
    await pool?.end();
  }
}

/** What the command prints with `--json`. */
export function statusJson({ table, head, readers }: FleetView) {
  return { table, head, readers: readers.map((one) => ({ ...one, lag: lagOf(one, head) })) };
}

async function viewsOf(
  tables: readonly string[],
  roster: Roster,
  log: MysqlLog | undefined,
): Promise<FleetView[]> {
  const [all, tip] = await Promise.all([roster.read(), log?.tip()]);
  return tables.map((table) => {
    const readers = all.filter((reader) => reader.table === table);
    return { table, head: tip?.head ?? null, readers, nowMs: Date.now() };
  });
}

function print(views: readonly FleetView[]): void {
  const size = { columns: process.stdout.columns ?? USUAL_COLUMNS, rows: Number.POSITIVE_INFINITY };
  process.stdout.write(`${statusScreens(views, size, pico)}\n`);
}

/** Draws again each second. What does not answer is told above the last that was known. */
async function watch(look: () => Promise<FleetView[]>): Promise<void> {
  const { stdout } = process;
  const update = createLogUpdate(stdout);
  const ending = new AbortController();
  const end = () => ending.abort();
  // Not `once`: log-update ends the process with a signal that nobody listens to any more.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  let views = await look();
  for (;;) {
    const size = {
      columns: stdout.columns || USUAL_COLUMNS,
      rows: Math.max(1, (stdout.rows || 24) - 1),
    };
    update(statusScreens(views, size, pico));
    await delay(AGAIN_AFTER_MS, undefined, { signal: ending.signal }).catch(() => undefined); // the loop ends
    if (ending.signal.aborted) break;
    const known = views;
    views = await look().catch((error: unknown) => known.map((view) => withProblem(view, error)));
  }
  update.done();
  stdout.write('\n'); // the prompt comes below the ^C of the terminal
}

function withProblem(view: FleetView, error: unknown): FleetView {
  const problem = error instanceof TidemarkError ? error.message : 'Redis does not answer.';
  return { ...view, problem, nowMs: Date.now(), readers: view.readers.map(stale) };
}

function stale(reader: Announcement): Announcement {
  return { ...reader, stale: true };
}
