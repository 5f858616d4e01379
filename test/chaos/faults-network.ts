/** What networks do: between the data centers, and between readers and their stores. */
import { type Fault, READERS } from './fault.js';
import type { FaultProxy, NetworkFault } from './proxy.js';
import type { Random } from './random.js';
import type { Stage } from './stage.js';

interface Kind {
  readonly name: string;
  readonly weight: number;
  readonly lastsMs: readonly [number, number];
  readonly fault: (random: Random) => NetworkFault;
}

const KINDS: readonly Kind[] = [
  {
    name: 'delay',
    ...{ weight: 3, lastsMs: [500, 4_000] },
    fault: (random) => ({ delayMs: random.between(5, 120), jitterMs: random.between(0, 80) }),
  },
  { name: 'stall', weight: 3, lastsMs: [100, 4_000], fault: () => ({ stalled: true }) },
  {
    name: 'one-way-out',
    ...{ weight: 2, lastsMs: [200, 3_000] },
    fault: () => ({ swallows: 'to-server' }),
  },
  {
    name: 'one-way-in',
    ...{ weight: 2, lastsMs: [200, 3_000] },
    fault: () => ({ swallows: 'to-client' }),
  },
  { name: 'refuse', weight: 2, lastsMs: [200, 2_500], fault: () => ({ refuses: true }) },
  { name: 'blackhole', weight: 2, lastsMs: [200, 2_500], fault: () => ({ blackholes: true }) },
  {
    name: 'narrow',
    ...{ weight: 1, lastsMs: [500, 3_000] },
    fault: (random) => ({ bytesPerSecond: Math.round(random.between(20_000, 300_000)) }),
  },
];

interface Place {
  readonly name: string;
  readonly weight: number;
  readonly targets: Fault['targets'];
  readonly proxies: (stage: Stage, target: string) => readonly FaultProxy[];
}

const PLACES: readonly Place[] = [
  {
    name: 'link',
    ...{ weight: 1, targets: [['link']] },
    proxies: ({ servers }) => [servers.link],
  },
  {
    name: 'mysql',
    weight: 1.2,
    targets: READERS.map((reader) => [`${reader}-mysql`]),
    proxies: (stage, target) => [stage.reader(target.replace('-mysql', '')).mysql],
  },
  {
    name: 'redis',
    weight: 1.2,
    targets: READERS.map((reader) => [`${reader}-redis`]),
    proxies: (stage, target) => stage.reader(target.replace('-redis', '')).redis,
  },
];

export const networkFaults: readonly Fault[] = PLACES.flatMap((place) => [
  ...KINDS.map((kind): Fault => lasting(place, kind)),
  {
    name: `${place.name}-reset`,
    ...{ weight: 3 * place.weight, targets: place.targets, lastsMs: [0, 0], costMs: 50 },
    async start(stage, target) {
      for (const proxy of place.proxies(stage, target)) proxy.reset();
      return undefined;
    },
  },
  {
    // A peer that lost its power, a firewall that forgot: nothing ends it but the client's patience.
    name: `${place.name}-half-open`,
    ...{ weight: 2 * place.weight, targets: place.targets, lastsMs: [0, 0], costMs: 50 },
    async start(stage, target, random) {
      for (const proxy of struckOf(place.proxies(stage, target), random)) proxy.vanish();
      return undefined;
    },
  },
]);

/** Of several nodes, a network rarely loses all. */
function struckOf(all: readonly FaultProxy[], random: Random): readonly FaultProxy[] {
  return all.length === 1 ? all : all.filter(() => random.chance(0.4));
}

function lasting(place: Place, kind: Kind): Fault {
  return {
    name: `${place.name}-${kind.name}`,
    ...{ weight: kind.weight * place.weight, targets: place.targets, costMs: 50 },
    lastsMs: kind.lastsMs,
    async start(stage, target, random) {
      const struck = struckOf(place.proxies(stage, target), random);
      const fault = kind.fault(random);
      for (const proxy of struck) {
        proxy.set(fault);
        if (fault.refuses || fault.blackholes) proxy.reset(); // who is cut off comes again
      }
      return async () => {
        for (const proxy of struck) proxy.clear();
      };
    },
  };
}
