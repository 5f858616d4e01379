/** What a simulated world is like: how many instances, how small its caches, what can go wrong. */
import { seeded } from './scheduler.js';

/** Families of faults. 'audit': audits, and repairs that nothing was the reason for. 'server clock':
 * that of MySQL-B, where 'clock' is a reader's. */
export type Family =
  | 'redis'
  | 'mysql'
  | 'log'
  | 'topology'
  | 'clock'
  | 'crash'
  | 'writer'
  | 'audit'
  | 'server clock';

export interface Setting {
  /** Readers of data center B. */
  readonly instances: number;
  readonly keys: readonly string[];
  readonly buckets: number;
  readonly localMaxEntries: number;
  readonly localTtlMs: number;
  readonly redisTtlMs: number;
  readonly onChange: 'evict' | 'refresh';
  readonly pageSize: number;
  /** Servers of MySQL-B. */
  readonly replicas: number;
  /** Each query goes to any replica; otherwise each reader has its own. */
  readonly isBalanced: boolean;
  /** Whether replicas take their time. */
  readonly isLagging: boolean;
  /** Instances of the real writer; the other changes are plain SQL. */
  readonly writers: number;
  /** Whether MySQL takes 'a', 'A' and 'a ' for one key. */
  readonly isCaseBlind: boolean;
  /** What the size of every value is said to be; over 1 MiB cuts pages. */
  readonly valueBytes?: number;
  /** Whether it takes readers a step to open a connection to MySQL-B. */
  readonly opensInSteps?: boolean;
  /** Whether an early wake brings a glance at the log, now and then. */
  readonly isWoken?: boolean;
  /** The most entries of each tier that one audit looks at. */
  readonly auditSample?: number;
  readonly faults: readonly Family[];
}

const FOREVER_MS = 2 ** 30;
/** All that seeds were found with before there were others: another one changes what they do. */
export const ALL_FAULTS: readonly Family[] = [
  'redis',
  'mysql',
  'log',
  'topology',
  'clock',
  'crash',
  'writer',
];

const usual: Setting = {
  instances: 2,
  keys: ['a', 'b', 'c'],
  buckets: 1,
  localMaxEntries: 100,
  localTtlMs: FOREVER_MS,
  redisTtlMs: FOREVER_MS,
  onChange: 'evict',
  pageSize: 3,
  replicas: 1,
  isBalanced: false,
  isLagging: false,
  writers: 0,
  isCaseBlind: false,
  faults: ALL_FAULTS,
};

const LOOK_ALIKES = ['a', 'A', 'a ', 'b'];
const MANY_KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

export const settings = {
  usual,
  calm: { ...usual, instances: 3, buckets: 2, writers: 1, faults: [] },
  three: { ...usual, instances: 3, buckets: 2 },
  small: { ...usual, localMaxEntries: 1 },
  refresh: { ...usual, onChange: 'refresh' },
  lag: { ...usual, replicas: 2, isBalanced: true, isLagging: true },
  'small-lag': { ...usual, localMaxEntries: 1, replicas: 2, isBalanced: true, isLagging: true },
  'refresh-lag': { ...usual, onChange: 'refresh', replicas: 3, isBalanced: true, isLagging: true },
  replicas: { ...usual, instances: 3, replicas: 3, isLagging: true },
  expiry: { ...usual, localTtlMs: 300, redisTtlMs: 1_000 },
  writers: { ...usual, writers: 2 },
  'look-alikes': { ...usual, keys: LOOK_ALIKES, isCaseBlind: true, writers: 1 },
  'large-pages': {
    ...usual,
    keys: MANY_KEYS,
    pageSize: 20,
    valueBytes: 1_500_000,
    isLagging: true,
  },
  reconnecting: { ...usual, opensInSteps: true },
  woken: { ...usual, isWoken: true },
  'woken-lag': {
    ...usual,
    onChange: 'refresh',
    isWoken: true,
    replicas: 3,
    isBalanced: true,
    isLagging: true,
  },
  audit: audited(usual),
  'audit-many': audited({ ...usual, keys: MANY_KEYS, instances: 3, buckets: 2, writers: 1 }),
  'audit-lag': audited({
    ...usual,
    localMaxEntries: 2,
    replicas: 3,
    isBalanced: true,
    isLagging: true,
  }),
} as const satisfies Record<string, Setting>;

/** The same with audits, and repairs. */
export function audited(setting: Setting): Setting {
  return { ...setting, faults: [...setting.faults, 'audit'] };
}

/** As seeds drew it before MySQL-B's clock could be set. */
export function drawnBefore(seed: number): Setting {
  const setting = drawn(seed);
  return { ...setting, faults: setting.faults.filter((family) => family !== 'server clock') };
}

/** Each seed has a setting of its own. */
export function drawn(seed: number): Setting {
  const random = seeded(seed ^ 0x5e77);
  const one = <T>(...of: readonly [T, ...T[]]): T => of[Math.floor(random() * of.length)] ?? of[0];
  const valueBytes = one(undefined, undefined, 1_500_000);
  return {
    instances: one(1, 2, 2, 3),
    keys: one<readonly string[]>(['a'], ['a', 'b'], ['a', 'b', 'c'], LOOK_ALIKES, MANY_KEYS),
    buckets: one(1, 1, 2),
    localMaxEntries: one(100, 100, 1, 2),
    localTtlMs: one(FOREVER_MS, FOREVER_MS, 300),
    redisTtlMs: one(FOREVER_MS, FOREVER_MS, 1_000),
    onChange: one('evict', 'evict', 'refresh'),
    pageSize: one(3, 3, 1, 8),
    replicas: one(1, 2, 3),
    isBalanced: one(false, true),
    isLagging: one(false, true, true),
    writers: one(0, 0, 1, 2),
    isCaseBlind: one(false, false, true),
    ...(valueBytes === undefined ? {} : { valueBytes }),
    faults: [
      ...ALL_FAULTS.filter(() => random() < 0.8),
      ...one<readonly Family[]>([], ['server clock']),
    ],
  };
}
