/** Bugs of the reader, its loader and its clocks. */
import { inSimulation, type Mutant, WRONG_VALUES } from './mutant.js';

const READER = 'src/reader/reader.ts';
const LOADER = 'src/reader/loader.ts';
const FRESHNESS = 'src/core/freshness.ts';
const GLANCE = 'src/mysql/glance.ts';
const budget = inSimulation();
const STALENESS = ['fresh'];

export const readerMutants: readonly Mutant[] = [
  {
    name: 'as-of-from-after-the-load',
    wrong: 'an answer claims the position that was reached while it was loaded',
    file: READER,
    find: 'const trueAt = isSameHistory ? from.applied.version : entry.asOf;',
    replace: 'const trueAt = now.applied.version;',
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'as-of-of-the-row',
    wrong: "an answer is stamped with the row's version instead of its snapshot's head",
    file: 'src/core/reading.ts',
    find: 'return Math.max(this.entry.asOf, this.trueAt);',
    replace:
      "return this.tier === 'local' ? Math.max(this.entry.asOf, this.trueAt) : this.entry.version;",
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'local-as-of-is-the-position',
    wrong: 'an entry that was read ahead of the position is stamped with the position',
    file: 'src/core/reading.ts',
    find: 'return Math.max(this.entry.asOf, this.trueAt);',
    replace: "return this.tier === 'local' ? this.trueAt : Math.max(this.entry.asOf, this.trueAt);",
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'local-as-of-is-the-entry',
    wrong: 'a local answer is stamped with the as-of of its load, though it is true until now',
    file: READER,
    find: "return new Reading(key, entry, 'local', standing.applied.version, standing);",
    replace: "return new Reading(key, entry, 'local', entry.asOf, standing);",
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'stale-by-what-was-learned-since',
    wrong: 'an answer from before counts as fresh by what the instance learned while it was loaded',
    file: READER,
    find: 'isRecent ? now : from',
    replace: 'now',
    guarantees: STALENESS,
    budget: inSimulation('lag', { faults: [], localTtlMs: 100 }),
  },
  {
    name: 'as-of-of-another-history',
    wrong: 'an answer claims the position that was reached in a history that is no more',
    file: READER,
    find: 'const isSameHistory = from.rewrites === now.rewrites;',
    replace: 'const isSameHistory = true;',
    guarantees: [...WRONG_VALUES, 'fresh'],
    budget,
  },
  {
    name: 'answers-of-a-lost-history',
    wrong: 'a load that was in flight when history was rewritten is answered, not loaded again',
    file: LOADER,
    find: 'if (flight.foreign || entry === undefined) return flight.foreign;',
    replace: 'if (entry === undefined) return false;',
    guarantees: WRONG_VALUES,
    budget: inSimulation('lag', { faults: ['topology'] }),
  },
  {
    name: 'lost-answers-required-as-before',
    wrong: 'what is asked once more need not be more recent than what was asked at first',
    file: LOADER,
    find: `const onSend = () => {
        requiredAsOf = `,
    replace: `const onSend = () => {
        requiredAsOf ||= `,
    guarantees: [
      'what is sent again is answered by what is required then: history may be another one',
    ],
    budget: {
      by: 'contract',
      test: 'test/reader/loader.test.ts',
      only: 'what is sent again is answered by what is required then',
      seconds: 60,
    },
  },
  {
    name: 'min-version-by-the-head',
    wrong: 'minVersion is met as soon as the head was seen, not when it was taken in',
    file: READER,
    find: 'this.#local.applied.version >= minVersion && reconciler.ageMs()',
    replace: 'reconciler.head >= minVersion && reconciler.ageMs()',
    guarantees: ['read-your-writes'],
    budget: inSimulation('replicas', { writers: 2 }),
  },
  {
    name: 'min-version-ignored',
    wrong: 'a read does not wait for the version that its caller has written',
    file: READER,
    find: 'if (await this.#loop.until(holds, deadline.remainingMs)) return;\n    assertReached',
    replace:
      'if (minVersion > 0 || (await this.#loop.until(holds, deadline.remainingMs))) return;\n    assertReached',
    guarantees: ['read-your-writes'],
    budget: inSimulation('replicas', { writers: 2 }),
  },
  {
    name: 'stale-never-said',
    wrong: 'no answer is ever marked stale',
    file: 'src/core/reading.ts',
    find: 'return this.standing.monotonicMs() > this.standing.staleAtMs;',
    replace: 'return false;',
    guarantees: STALENESS,
    budget,
  },
  {
    name: 'stale-by-the-time-of-the-beat',
    wrong: 'an answer counts as fresh for the whole span after a beat, however old the beat was',
    file: READER,
    find: 'staleAtMs: monotonicMs() + staleAfterMs - reconciler.ageMs()',
    replace: 'staleAtMs: monotonicMs() + staleAfterMs',
    guarantees: STALENESS,
    budget,
  },
  {
    name: 'lagging-fetch-not-retried',
    wrong: 'an answer of MySQL-B is taken however old it is',
    file: LOADER,
    find: 'if (answersRead(asOf, requiredAsOf) && isOurs(answer)) return answer;',
    replace: 'if (isOurs(answer)) return answer;',
    guarantees: WRONG_VALUES,
    budget: inSimulation('lag'),
  },
  {
    name: 'lagging-fetch-gives-up',
    wrong: 'an answer of a lagging replica is an error at once',
    file: LOADER,
    find: 'if (this.#options.monotonicMs() + retryMs > deadlineMs) {',
    replace: 'if (asOf < requiredAsOf) {',
    guarantees: ['available'],
    budget: inSimulation('lag'),
  },
  {
    name: 'redis-fault-is-an-error',
    wrong: 'a read fails when Redis does',
    file: LOADER,
    find: `        onRedisFault(error);
        return [];`,
    replace: `        onRedisFault(error);
        for (const load of mine) load.fail(error);
        return [];`,
    guarantees: ['available'],
    budget,
  },
  {
    name: 'single-flight-off',
    wrong: 'every read of a key that is being loaded starts a load of its own',
    file: LOADER,
    find: 'if (flight !== undefined) return flight.landing;',
    replace: 'if (flight !== undefined && flight.floor > 0) return flight.landing;',
    guarantees: ['bounded'],
    budget,
  },
  {
    name: 'redis-never-asked',
    wrong: 'every miss goes to MySQL-B',
    file: LOADER,
    find: 'const missed = await this.#loadFromRedis(loads);',
    replace: 'const missed = loads;',
    guarantees: ['bounded'],
    budget,
  },
  {
    name: 'wall-clock-only',
    wrong: "freshness is told by the wall clocks alone: B's clock that runs behind makes it fresh",
    file: FRESHNESS,
    find: 'return Math.max(0, byWallMs, byServerMs, byMonotonicMs);',
    replace: 'return Math.max(0, byWallMs);',
    guarantees: STALENESS,
    budget,
  },
  {
    name: 'monotonic-clock-only',
    wrong:
      'freshness is told by the quickest beat alone: a replica that always was late looks fresh',
    file: FRESHNESS,
    find: 'return Math.max(0, byWallMs, byServerMs, byMonotonicMs);',
    replace: 'return Math.max(0, byMonotonicMs);',
    guarantees: STALENESS,
    budget,
  },
  {
    name: 'server-clock-unheard',
    wrong:
      "MySQL-B's clock does not count: a process whose own is behind, and that began while replication was late, makes it fresh",
    file: FRESHNESS,
    find: 'return Math.max(0, byWallMs, byServerMs, byMonotonicMs);',
    replace: 'return Math.max(0, byWallMs, byMonotonicMs);',
    guarantees: STALENESS,
    budget: inSimulation('usual', { faults: ['mysql', 'clock', 'crash'], instances: 1 }),
  },
  {
    name: 'slowest-beat-calibrates',
    wrong: 'the slowest arrival of a beat calibrates the clocks, not the quickest',
    file: FRESHNESS,
    find: 'quickestMs: Math.min(seen.quickestMs, offsetMs)',
    replace: 'quickestMs: Math.max(seen.quickestMs, offsetMs)',
    guarantees: STALENESS,
    budget,
  },
  {
    name: 'glance-of-an-equal-key',
    wrong: "what a glance found by the column's collation is the value of another key",
    file: GLANCE,
    find: 'if (row.own_key !== key || row.bytes === null) return',
    replace: 'if (row.bytes === null) return',
    guarantees: [
      'shows at a glance that the very key is absent, though another one is equal to it',
    ],
    budget: {
      by: 'contract',
      test: 'test/contract/glance.contract.test.ts',
      only: 'shows at a glance that the very key is absent, though another one is equal to it',
      seconds: 120,
    },
  },
  {
    name: 'glance-stamped-too-late',
    wrong: 'what a glance brings counts as read one change later than it was',
    file: GLANCE,
    find: 'return { key, entry: new Entry(at, toVersion(row.own_version), row.content) };',
    replace:
      'return { key, entry: new Entry({ ...at, version: at.version + 1 }, at.version, row.content) };',
    guarantees: WRONG_VALUES,
    budget: inSimulation('woken-lag'),
  },
  {
    name: 'glance-asked-when-answered',
    wrong: 'a glance counts as asked for when it is answered, after the wait',
    file: 'src/mysql/wake.ts',
    find: 'const sent = { atMs: startedAtMs,',
    replace: 'const sent = { atMs: performance.now(),',
    guarantees: ['tells when MySQL-B was asked, by both clocks, not when it has answered'],
    budget: {
      by: 'contract',
      test: 'test/reader/early-wake.test.ts',
      only: 'tells when MySQL-B was asked, by both clocks, not when it has answered',
      seconds: 60,
    },
  },
];
