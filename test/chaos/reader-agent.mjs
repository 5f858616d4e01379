// One process of a chaos run that embeds a reader, reads at a steady rate, and tells its parent each
// read (agent.ts is the parent's side). Plain JavaScript, so that it starts quickly; it needs the
// built library.
//
// Invariants: no read is dropped. Each batch of records is acknowledged; while too many are not, or
// too many reads are under way, no new ones begin. All times are CLOCK_MONOTONIC. A value is told by
// its mark, and only after its whole body was found to fit.
import { createReader } from '../../dist/index.js';

const TICK_MS = 20;
const FLUSH_MS = 100;
const SAMPLE_MS = 1_000;
const SAMPLES_PER_COLLECTION = 10;
const MAX_UNACKED = 8;
const MAX_IN_FLIGHT = 256;
const MAX_BATCH = 500;
const KNOWN_WRITES = 64;
const ABSENT_KEYS = 200;
/** How often each kind of read comes; the rest are plain. */
const MIX = {
  many: 0.08,
  minVersion: 0.04,
  bounded: 0.03,
  absent: 0.02,
  refresh: 0.001,
  invalidate: 0.001,
};
const BODY = /^\{"mark":"([^"]+)","pad":"(?:x*|renamed)"\}$/;

const RealDate = Date;
let clockShiftMs = 0;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length === 0 ? [RealDate.now() + clockShiftMs] : given));
  }
  static now() {
    return RealDate.now() + clockShiftMs;
  }
};

const { reader: readerOptions, keys, readsPerSecond, seed, lying } = JSON.parse(process.argv[2]);
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const reader = createReader({ ...readerOptions, logger: silent });

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
const knownWrites = [];
const marks = new WeakMap();
const memory = new Map();
const records = [];
const samples = [];
let unacked = 0;
let inFlight = 0;
let isReading = true;
let debt = 0;
let state = seed >>> 0;

/** In [0, 1): mulberry32. */
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

const below = (count) => Math.floor(random() * count);
/** A few keys get most of the reads; the first ones. */
const anyKey = () => keys[Math.floor(random() ** 3 * keys.length)];

/** Held values are shared buffers: each is looked through once. */
function markOf(buffer) {
  if (buffer === undefined) return null;
  const known = marks.get(buffer);
  if (known !== undefined) return known;
  const text = buffer.toString();
  const mark = BODY.exec(text)?.[1] ?? `torn:${text.slice(0, 60)}`;
  marks.set(buffer, mark);
  return mark;
}

/** A record as the parent unpacks it; `reading` is an error when there is none. */
function note(key, startMs, demand, appliedBefore, heldLocally, reading) {
  const { minVersion = 0, maxStalenessMs } = demand;
  const read = [key, startMs, nowMs(), minVersion, maxStalenessMs, appliedBefore, heldLocally];
  if (reading instanceof Error) {
    records.push([...read, `${reading.name}: ${reading.message}`.slice(0, 200)]);
  } else {
    const { value, asOf, tier, stale } = lying ? lie(key, reading) : reading;
    records.push([...read, undefined, markOf(value), asOf, tier, stale]);
  }
}

/** The planted bug: a memory that nobody evicts, and an as-of that it does not have. */
function lie(key, reading) {
  if (!memory.has(key)) memory.set(key, reading);
  const { asOf, tier, stale } = reading;
  return { value: memory.get(key).value, asOf, tier, stale };
}

async function readOne(key, demand, ask) {
  const isPlain = demand.minVersion === undefined && demand.maxStalenessMs === undefined;
  const startMs = nowMs();
  const appliedBefore = reader.status().applied;
  const held = isPlain && ask === undefined && reader.peek(key) !== undefined;
  try {
    const reading = await (ask === undefined ? reader.get(key, demand) : ask());
    note(key, startMs, demand, appliedBefore, held, reading);
  } catch (error) {
    note(key, startMs, demand, appliedBefore, held, error);
  }
}

async function readMany(some) {
  const startMs = nowMs();
  const appliedBefore = reader.status().applied;
  try {
    const readings = await reader.getMany(some);
    for (const key of some) note(key, startMs, {}, appliedBefore, false, readings.get(key));
  } catch (error) {
    for (const key of some) note(key, startMs, {}, appliedBefore, false, error);
  }
}

/** One act of the mix. @returns how many keys it read */
function act() {
  let chance = random();
  const is = (share) => {
    chance -= share;
    return chance < 0;
  };
  if (is(MIX.many)) {
    const some = [...new Set(Array.from({ length: 2 + below(8) }, anyKey))];
    track(readMany(some));
    return some.length;
  }
  if (is(MIX.minVersion) && knownWrites.length > 0) {
    const { key, version } = knownWrites[below(knownWrites.length)];
    track(readOne(key, { minVersion: version }));
  } else if (is(MIX.bounded)) {
    track(readOne(anyKey(), { maxStalenessMs: 1_500 + below(4_000) }));
  } else if (is(MIX.absent)) {
    track(readOne(`never/${below(ABSENT_KEYS)}`, {}));
  } else if (is(MIX.refresh)) {
    const key = anyKey();
    track(readOne(key, {}, () => reader.refresh(key)));
  } else if (is(MIX.invalidate)) {
    track(reader.invalidate(anyKey()));
  } else {
    track(readOne(anyKey(), {}));
  }
  return 1;
}

function track(work) {
  inFlight += 1;
  work.finally(() => {
    inFlight -= 1;
  });
}

let lastTickMs = nowMs();
function tick() {
  const atMs = nowMs();
  // What was not read while stopped, or while the parent was slow, is not made up for.
  debt = Math.min(
    debt + ((atMs - lastTickMs) * readsPerSecond) / 1_000,
    (readsPerSecond * 3 * TICK_MS) / 1_000,
  );
  lastTickMs = atMs;
  while (debt >= 1 && isReading && unacked < MAX_UNACKED && inFlight < MAX_IN_FLIGHT) debt -= act();
}

function flush() {
  while ((records.length > 0 || samples.length > 0) && unacked < MAX_UNACKED) {
    unacked += 1;
    process.send({ batch: { reads: records.splice(0, MAX_BATCH), samples: samples.splice(0) } });
  }
}

/** What a collection leaves, which takes a moment, so not for each sample. */
let heapUsed = 0;
let sampled = 0;

function sample() {
  const { applied, local, audit } = reader.status();
  if (sampled++ % SAMPLES_PER_COLLECTION === 0) {
    globalThis.gc();
    heapUsed = process.memoryUsage().heapUsed;
  }
  const { rss } = process.memoryUsage();
  const { fillsInFlight } = local;
  const localEntries = local.entries + local.absences;
  samples.push({
    atMs: nowMs(),
    applied,
    rssBytes: rss,
    heapUsedBytes: heapUsed,
    fillsInFlight,
    localEntries,
    audited: audit.checked,
    flagged: audit.mismatches,
  });
}

const answers = {
  status: () => ({
    ...reader.status(),
    cpuMs: (({ user, system }) => (user + system) / 1000)(process.cpuUsage()),
  }),
  async dump({ keys: wanted }) {
    const found = [];
    for (let start = 0; start < wanted.length; start += 100) {
      const readings = await reader.getMany(wanted.slice(start, start + 100));
      for (const [key, { value }] of readings) found.push([key, markOf(value)]);
    }
    return found;
  },
  clockJump({ byMs }) {
    clockShiftMs += byMs;
  },
  /** Resolves when no read is under way and all records were sent. */
  async stopReading() {
    isReading = false;
    while (inFlight > 0 || records.length > 0) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      flush();
    }
  },
  startReading() {
    isReading = true;
  },
  async stop() {
    await answers.stopReading();
    await reader.stop();
  },
};

process.on('message', async ({ id, ask, acked, wrote, forget, ...question }) => {
  if (acked) {
    unacked -= 1;
    return;
  }
  if (forget) knownWrites.length = 0;
  if (wrote) {
    knownWrites.push(...wrote);
    knownWrites.splice(0, knownWrites.length - KNOWN_WRITES);
  }
  if (ask === undefined) return;
  try {
    process.send({ id, answer: await answers[ask](question) });
  } catch (error) {
    process.send({ id, error: `${error.name}: ${error.message}` });
  }
  if (ask === 'stop') process.disconnect();
});
process.on('disconnect', () => process.exit());

process.send({ spawned: nowMs() });
await reader.start();
lastTickMs = nowMs();
setInterval(tick, TICK_MS);
setInterval(flush, FLUSH_MS);
setInterval(sample, SAMPLE_MS);
process.send({ started: true });
