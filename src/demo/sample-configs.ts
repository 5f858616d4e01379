/**
 * 1,000 configurations as services have them: flags, limits, log levels, routing rules, prices.
 *
 * The same seed gives the same configurations, so that two runs of the demo can be compared. Values
 * are JSON objects of about 50 bytes to 4 KB.
 */

export interface SampleConfig {
  readonly key: string;
  /** JSON. */
  readonly value: string;
}

/** In [0, 1). */
export type Random = () => number;

interface Kind {
  readonly folder: string;
  readonly names: readonly string[];
  readonly makeValue: (random: Random) => object;
}

const SERVICES = [
  ...['accounts', 'ads', 'basket', 'billing', 'catalog', 'chat', 'checkout', 'delivery', 'email'],
  ...['fraud', 'gateway', 'identity', 'inventory', 'loyalty', 'media', 'orders', 'payments'],
  ...['pricing', 'push', 'ratings', 'recommendations', 'returns', 'search', 'stores', 'tax'],
];
const COUNTRIES = ['AT', 'BE', 'CH', 'CZ', 'DE', 'DK', 'ES', 'FI', 'FR', 'GB', 'IT', 'NL', 'PL'];
const REGIONS = ['eu-central', 'eu-north', 'eu-west', 'us-east', 'us-west', 'ap-south'];
const LEVELS = ['error', 'warn', 'info', 'info', 'debug', 'trace'];

const KINDS: readonly Kind[] = [
  {
    folder: 'feature-flags',
    names: [
      ...['one-click-buy', 'dark-mode', 'guest-access', 'new-layout', 'address-lookup', 'beta'],
      ...['bulk-actions', 'instant-refund', 'live-preview', 'price-alerts', 'quick-reorder'],
      ...['saved-lists', 'social-login', 'split-payment', 'voice-input', 'wallet-pay'],
    ],
    makeValue: flag,
  },
  {
    folder: 'limits',
    names: [
      ...['requests', 'connections', 'uploads', 'exports', 'sessions', 'retries', 'batch-size'],
      ...['queue-depth', 'payload', 'logins'],
    ],
    makeValue: limit,
  },
  { folder: 'log-levels', names: ['api', 'db', 'cache', 'jobs', 'events'], makeValue: logLevel },
  {
    folder: 'routing',
    names: ['default', 'canary', 'premium', 'batch', 'mobile', 'partners'],
    makeValue: routing,
  },
  { folder: 'price-tables', names: ['retail', 'business', 'partner'], makeValue: priceTable },
];

export const SAMPLE_SEED = 1;

/** All of them, in the order of services and kinds. */
export function sampleConfigs(seed = SAMPLE_SEED): SampleConfig[] {
  const random = seededRandom(seed);
  return SERVICES.flatMap((service) =>
    KINDS.flatMap(({ folder, names, makeValue }) =>
      names.map((name) => ({
        key: `${service}/${folder}/${name}`,
        value: JSON.stringify(makeValue(random)),
      })),
    ),
  );
}

/** A new value, of the right kind, for one of them. */
export function sampleChange(random: Random): SampleConfig {
  const kind = pick(KINDS, random);
  const key = `${pick(SERVICES, random)}/${kind.folder}/${pick(kind.names, random)}`;
  return { key, value: JSON.stringify(kind.makeValue(random)) };
}

/** The same numbers for the same seed (the generator is known as mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function flag(random: Random): object {
  return {
    enabled: random() < 0.7,
    percent: between(0, 20, random) * 5,
    countries: some(COUNTRIES, random),
    owner: `team-${pick(SERVICES, random)}`,
  };
}

function limit(random: Random): object {
  const perSecond = between(1, 200, random) * 10;
  return { perSecond, burst: perSecond * between(2, 5, random), timeoutMs: 250, enforce: true };
}

function logLevel(random: Random): object {
  return { level: pick(LEVELS, random), sampleRate: between(1, 100, random) / 100, redact: true };
}

function routing(random: Random): object {
  return {
    rules: some(REGIONS, random).map((region) => ({
      region,
      match: { path: `/v${between(1, 3, random)}/`, tier: pick(['gold', 'standard'], random) },
      upstream: `http://${pick(SERVICES, random)}.${region}.internal:8080`,
      weight: between(1, 100, random),
      timeoutMs: between(1, 40, random) * 50,
    })),
    fallback: pick(REGIONS, random),
  };
}

function priceTable(random: Random): object {
  return {
    currency: pick(['EUR', 'GBP', 'CHF', 'PLN'], random),
    validFrom: `2025-${String(between(1, 12, random)).padStart(2, '0')}-01`,
    rows: Array.from({ length: between(10, 90, random) }, (_, index) => ({
      sku: `SKU-${1000 + index}`,
      cents: between(99, 99_999, random),
      vat: pick([7, 19, 20], random),
    })),
  };
}

function between(least: number, most: number, random: Random): number {
  return least + Math.floor(random() * (most - least + 1));
}

function pick<T>(from: readonly T[], random: Random): T {
  const picked = from[Math.floor(random() * from.length)];
  if (picked === undefined) throw new RangeError('Expected something to pick from, got nothing.');
  return picked;
}

/** At least one. */
function some<T>(from: readonly T[], random: Random): T[] {
  const chosen = from.filter(() => random() < 0.5);
  return chosen.length > 0 ? chosen : [pick(from, random)];
}
