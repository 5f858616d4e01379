/**
 * Judges what instances say of themselves: fills in flight and connections within their bounds, and
 * memory that does not grow. Growth is the slope of the least squares line after a warm-up; the
 * bound is far above noise: a heap that is collected now and then is a saw. The embedded readers
 * collect theirs before they tell how large it is.
 */
import type { Violations } from './check-violations.js';
import type { MemoryRecord, SampleRecord } from './history.js';

export interface SampleBounds {
  readonly fillsInFlight: number;
  readonly mysqlConnections: number;
  /** Growth that counts as a leak, in MiB per minute, */
  readonly heapMiBPerMin: number;
  readonly rssMiBPerMin: number;
  /** once seen over this long, */
  readonly minMinutes: number;
  /** not counting an instance's first time. */
  readonly warmUpMs: number;
}

export const SAMPLE_BOUNDS: SampleBounds = Object.freeze({
  fillsInFlight: 2_000,
  mysqlConnections: 100,
  heapMiBPerMin: 8,
  rssMiBPerMin: 16,
  minMinutes: 4,
  warmUpMs: 60_000,
});

export interface Growth {
  readonly instance: string;
  readonly minutes: number;
  readonly heapMiBPerMin: number;
  readonly rssMiBPerMin: number;
  readonly heapMaxMiB: number;
  readonly rssMaxMiB: number;
}

const MIB = 1024 * 1024;

/** The slope of the least squares line through points, without keeping them. */
class Line {
  #count = 0;
  #meanX = 0;
  #meanY = 0;
  #spreadX = 0;
  #spreadXY = 0;

  add(x: number, y: number): void {
    this.#count += 1;
    const dx = x - this.#meanX;
    this.#meanX += dx / this.#count;
    this.#meanY += (y - this.#meanY) / this.#count;
    this.#spreadX += dx * (x - this.#meanX);
    this.#spreadXY += dx * (y - this.#meanY);
  }

  get slope(): number {
    return this.#spreadX === 0 ? 0 : this.#spreadXY / this.#spreadX;
  }
}

interface Course {
  readonly firstMs: number;
  lastMs: number;
  readonly heap: Line;
  readonly rss: Line;
  heapMaxBytes: number;
  rssMaxBytes: number;
}

export class SampleJudge {
  readonly #bounds: SampleBounds;
  readonly #violations: Violations;
  readonly #courses = new Map<string, Course>();
  readonly #audited = new Map<string, number>();
  fillsInFlightMax = 0;
  mysqlConnectionsMax = 0;
  localEntriesMax = 0;
  /** Entries that audits have compared. */
  audited = 0;

  constructor(violations: Violations, bounds: Partial<SampleBounds> = {}) {
    this.#violations = violations;
    this.#bounds = { ...SAMPLE_BOUNDS, ...bounds };
  }

  sample(sample: SampleRecord): void {
    const { reader, fillsInFlight, mysqlConnections } = sample;
    this.fillsInFlightMax = Math.max(this.fillsInFlightMax, fillsInFlight);
    this.mysqlConnectionsMax = Math.max(this.mysqlConnectionsMax, mysqlConnections);
    this.localEntriesMax = Math.max(this.localEntriesMax, sample.localEntries);
    for (const name of ['fillsInFlight', 'mysqlConnections'] as const) {
      if (sample[name] <= this.#bounds[name]) continue;
      const what = `${reader}: ${name} is ${sample[name]}, the bound is ${this.#bounds[name]}`;
      this.#violations.add({ guarantee: 'bounded', what, facts: { ...sample } });
    }
    if (sample.flagged > 0) {
      const what = `${reader}: audits flag ${sample.flagged} entries`;
      this.#violations.add({ guarantee: 'audited', what, facts: { ...sample } });
    }
    const before = this.#audited.get(reader) ?? 0;
    const isNew = sample.audited < before; // its process was started again
    this.audited += sample.audited - (isNew ? 0 : before);
    this.#audited.set(reader, sample.audited);
    this.memory({ ...sample, instance: reader });
  }

  memory({ instance, atMs, heapUsedBytes, rssBytes }: MemoryRecord): void {
    const course = this.#courses.get(instance) ?? {
      firstMs: atMs,
      lastMs: atMs,
      heap: new Line(),
      rss: new Line(),
      heapMaxBytes: 0,
      rssMaxBytes: 0,
    };
    this.#courses.set(instance, course);
    course.lastMs = atMs;
    course.heapMaxBytes = Math.max(course.heapMaxBytes, heapUsedBytes);
    course.rssMaxBytes = Math.max(course.rssMaxBytes, rssBytes);
    if (atMs - course.firstMs < this.#bounds.warmUpMs) return;
    const minutes = (atMs - course.firstMs) / 60_000;
    course.heap.add(minutes, heapUsedBytes / MIB);
    course.rss.add(minutes, rssBytes / MIB);
  }

  finish(): Growth[] {
    const growths = [...this.#courses].map(([instance, course]) => this.#growth(instance, course));
    const { minMinutes } = this.#bounds;
    for (const growth of growths) {
      for (const name of ['heapMiBPerMin', 'rssMiBPerMin'] as const) {
        if (growth.minutes < minMinutes || growth[name] <= this.#bounds[name]) continue;
        const what = `${growth.instance}: ${name} is ${growth[name]}, the bound is ${this.#bounds[name]}`;
        this.#violations.add({ guarantee: 'bounded', what, facts: { ...growth } });
      }
    }
    return growths;
  }

  #growth(instance: string, course: Course): Growth {
    const warmMs = course.lastMs - course.firstMs - this.#bounds.warmUpMs;
    return {
      instance,
      minutes: rounded(Math.max(0, warmMs / 60_000)),
      heapMiBPerMin: rounded(course.heap.slope),
      rssMiBPerMin: rounded(course.rss.slope),
      heapMaxMiB: rounded(course.heapMaxBytes / MIB),
      rssMaxMiB: rounded(course.rssMaxBytes / MIB),
    };
  }
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
