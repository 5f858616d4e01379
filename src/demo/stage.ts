/**
 * The whole of Tidemark on one machine: two data centers with real servers and real replication,
 * one write app in A, some read apps in B, and 1,000 configurations.
 *
 * Invariant: whatever has been started is ended in reverse order, by `stop()` or by a start that
 * fails or is aborted, so that no process and no folder is left behind.
 */
import { randomBytes } from 'node:crypto';
import { SETTINGS, type Setting } from '../settings.js';
import { AppProcess } from './app-process.js';
import { type DataCenters, type Endpoint, type Flavor, startDataCenters } from './data-centers.js';
import { migrateAndGrant, type SqlScripts, seed, writeSqlScripts } from './prepare.js';

export interface StageOptions {
  readonly flavor: Flavor;
  /** How many read apps, at least 1. */
  readonly readers: number;
  /** Ends a start that is under way; `startStage` then cleans up and rejects. */
  readonly signal: AbortSignal;
  /** Takes each step as it begins, for people. */
  readonly onStep?: (step: string) => void;
}

/** What a program needs to use the stage. */
export interface StageDescription {
  readonly flavor: Flavor;
  readonly mysqlA: Endpoint;
  readonly mysqlB: Endpoint;
  readonly redisB: { readonly host: string; readonly port: number };
  readonly write: { readonly url: string; readonly token: string };
  readonly read: readonly { readonly url: string; readonly pid: number }[];
}

export interface Stage {
  readonly description: StageDescription;
  readonly centers: DataCenters;
  readonly configs: number;
  readonly sql: SqlScripts;
  readonly writeApp: AppProcess;
  readonly readApps: readonly AppProcess[];
  /** Ends all of it and removes the folder. */
  stop(): Promise<void>;
}

/** What the demo's apps have unless the environment says otherwise. */
const USUAL = { LOG_LEVEL: 'warn', PAGE: 'on' } as const;
/** Settings that would lead the demo's apps elsewhere; all others (`POLL_INTERVAL_MS=50 npm start`)
 * pass through to them. */
const OWN_KINDS: readonly Setting['kind'][] = [
  'mysql-url',
  'redis-url',
  'http-url',
  'http-urls',
  'tokens',
  'identifier',
];
const OWN_SETTINGS = Object.values<Setting>(SETTINGS)
  .filter(({ kind, env }) => OWN_KINDS.includes(kind) || env === 'HOST' || env === 'PORT')
  .map(({ env }) => env);

export async function startStage(options: StageOptions): Promise<Stage> {
  const { flavor, readers, signal, onStep = () => {} } = options;
  const stops: (() => Promise<void>)[] = [];
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= stopAll(stops);
    return stopping;
  };
  try {
    signal.throwIfAborted();
    onStep(`Starting ${flavor} in A, its replica and Redis in B`);
    const centers = await startDataCenters({ flavor });
    stops.push(() => centers.stop());
    signal.throwIfAborted();
    onStep('Applying the migrations, writing 1,000 configurations');
    const readerUrl = await migrateAndGrant(centers);
    const configs = await seed(centers);
    const sql = await writeSqlScripts(centers);
    await centers.caughtUp();
    signal.throwIfAborted();
    onStep(`Starting the write app and ${readers} read app${readers === 1 ? '' : 's'}`);
    const token = randomBytes(8).toString('hex');
    const [writeApp, ...readApps] = await startApps(
      [
        { name: 'write app', command: 'write', env: writeSettings(centers, token) },
        ...Array.from({ length: readers }, (_, index) => ({
          name: `read app ${index + 1}`,
          command: 'read' as const,
          env: readSettings(centers, readerUrl),
        })),
      ],
      stops,
      signal,
    );
    if (writeApp === undefined) throw new RangeError('Expected a write app, got none.');
    const description = describe(centers, writeApp, token, readApps);
    return { description, centers, configs, sql, writeApp, readApps, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Tells of each app that ends by itself. The stage goes on without it. */
export function reportDeaths(
  { writeApp, readApps }: Stage,
  ending: AbortSignal,
  report: (text: string) => void,
): void {
  for (const app of [writeApp, ...readApps]) {
    void app.ended.then((how) => {
      if (ending.aborted) return;
      const printed = app.tail.trim() === '' ? '' : ` It had printed:\n${app.tail}`;
      report(`The ${app.name} ended with ${how}; the others go on without it.${printed}`);
    });
  }
}

/** Starts all at once, and waits for each. */
async function startApps(
  apps: readonly Parameters<typeof AppProcess.spawn>[0][],
  stops: (() => Promise<void>)[],
  signal: AbortSignal,
): Promise<AppProcess[]> {
  const started: AppProcess[] = [];
  stops.push(async () => {
    await Promise.all(started.map((app) => app.stop()));
  });
  for (const app of apps) started.push(await AppProcess.spawn(app));
  await Promise.all(started.map((app) => app.untilReady(signal)));
  return started;
}

async function stopAll(stops: (() => Promise<void>)[]): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

function writeSettings(centers: DataCenters, token: string): NodeJS.ProcessEnv {
  return { ...passedOn(), MYSQL_A_URL: centers.a.url(), WRITE_TOKENS: token };
}

function readSettings(centers: DataCenters, readerUrl: string): NodeJS.ProcessEnv {
  return { ...passedOn(), MYSQL_B_URL: readerUrl, REDIS_URL: centers.redis.url() };
}

function passedOn(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !OWN_SETTINGS.includes(name));
  return { ...USUAL, ...Object.fromEntries(kept) };
}

function describe(
  { flavor, a, b, redis }: DataCenters,
  writeApp: AppProcess,
  token: string,
  readApps: readonly AppProcess[],
): StageDescription {
  return {
    flavor,
    mysqlA: a.endpoint,
    mysqlB: b.endpoint,
    redisB: { host: redis.host, port: redis.port },
    write: { url: writeApp.url, token },
    read: readApps.map(({ url, pid }) => ({ url, pid })),
  };
}
