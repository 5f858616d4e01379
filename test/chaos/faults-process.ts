/** Processes that die, freeze, or are restarted: Tidemark's own, and the databases. */
import { type Fault, READERS, STEADY_READER, STEADY_WRITE_APP, WRITE_APPS } from './fault.js';
import type { Stage } from './stage.js';

/** What every process can be done to. */
interface Victim {
  start(): Promise<void>;
  kill(): Promise<void>;
  stop(): Promise<void>;
  pause(): void;
  resume(): void;
}

interface Place {
  readonly name: string;
  readonly weight: number;
  readonly targets: Fault['targets'];
  /** Of these, what may be killed and restarted; all when left out. */
  readonly killable?: Fault['targets'];
  readonly startMs: number;
  readonly victim: (stage: Stage, target: string) => Victim;
}

const PLACES: readonly Place[] = [
  {
    name: 'reader',
    ...{ weight: 3, startMs: 900, targets: READERS.map((reader) => [reader]) },
    killable: READERS.filter((reader) => reader !== STEADY_READER).map((reader) => [reader]),
    victim: (stage, target) => stage.reader(target),
  },
  {
    name: 'writer',
    ...{ weight: 1.5, startMs: 900, targets: WRITE_APPS.map((app) => [app]) },
    killable: WRITE_APPS.filter((app) => app !== STEADY_WRITE_APP).map((app) => [app]),
    victim: (stage, target) => stage.writeApp(target),
  },
  {
    name: 'a',
    ...{ weight: 0.7, startMs: 2_500, targets: [['a']] },
    victim: ({ servers }) => servers.a,
  },
  {
    name: 'b',
    ...{ weight: 1, startMs: 2_500, targets: [['b']] },
    victim: ({ servers }) => servers.b,
  },
];

export const processFaults: readonly Fault[] = PLACES.flatMap((place): Fault[] => [
  {
    name: `${place.name}-kill`,
    ...{ weight: place.weight, targets: place.killable ?? place.targets },
    ...{ lastsMs: [50, 2_000], costMs: place.startMs },
    async start(stage, target) {
      const victim = place.victim(stage, target);
      await victim.kill();
      return () => victim.start();
    },
  },
  {
    name: `${place.name}-restart`,
    ...{ weight: 0.5 * place.weight, targets: place.killable ?? place.targets },
    ...{ lastsMs: [0, 1_000], costMs: place.startMs + 700 },
    async start(stage, target) {
      const victim = place.victim(stage, target);
      await victim.stop();
      return () => victim.start();
    },
  },
  {
    name: `${place.name}-freeze`,
    ...{ weight: 1.5 * place.weight, targets: place.targets },
    ...{ lastsMs: [100, 4_500], costMs: 50 },
    async start(stage, target) {
      const victim = place.victim(stage, target);
      victim.pause();
      return async () => victim.resume();
    },
  },
]);

/** Readers whose clock on the wall is wrong for a while. */
export const clockFaults: readonly Fault[] = [
  {
    name: 'reader-clock',
    weight: 2,
    targets: READERS.filter((reader) => reader !== 'read-app').map((reader) => [reader]),
    ...{ lastsMs: [500, 5_000], costMs: 50 },
    async start(stage, target, random) {
      const reader = stage.reader(target);
      await reader.setClock?.(random.pick([-3_600_000, 3_600_000]));
      return async () => await reader.setClock?.(0);
    },
  },
];
