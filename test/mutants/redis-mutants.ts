/** Bugs of the Redis tier and its scripts. */
import { inSimulation, type Mutant, WRONG_VALUES } from './mutant.js';

const FILL = 'src/redis/fill.lua';
const APPLY = 'src/redis/apply.lua';
const TIER = 'src/redis/tier.ts';
const COHERENCE = 'src/core/coherence.ts';
const budget = inSimulation();

export const redisMutants: readonly Mutant[] = [
  {
    name: 'fill-below-the-mark',
    wrong: 'R1: a fill read before the mark is stored; the key changed in between',
    file: FILL,
    find: ' or version > tonumber(ARGV[3])',
    replace: '',
    guarantees: WRONG_VALUES,
    budget: inSimulation('lag'),
  },
  {
    name: 'fill-above-the-mark',
    wrong: 'R1: a fill of a change that the mark has not reached is stored',
    file: FILL,
    find: 'version < tonumber(ARGV[2]) or ',
    replace: '',
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'apply-to-any-mark',
    wrong: 'a page is applied whatever the mark is by now',
    file: APPLY,
    find: "if mark ~= ARGV[1] then return 'changed' end",
    replace: '',
    guarantees: WRONG_VALUES,
    budget: inSimulation('three', { faults: ['redis'] }),
  },
  {
    name: 'apply-to-any-version',
    wrong: 'a page is applied to any mark of its generation',
    file: APPLY,
    find: "if mark ~= ARGV[1] then return 'changed' end",
    replace: `local generation = string.match(ARGV[1], '^%S+')
if string.match(mark or '', '^%S+') ~= generation then return 'changed' end`,
    guarantees: WRONG_VALUES,
    budget: inSimulation('three', { faults: ['redis'] }),
  },
  {
    name: 'apply-keeps-what-it-should-remove',
    wrong: 'an entry that cannot stand for the page is left as it was, not removed',
    file: APPLY,
    find: "redis.call('DEL', KEYS[i])",
    replace: '',
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'apply-forgets-the-last-entry',
    wrong: 'the loop over the entries of a page ends one too early',
    file: APPLY,
    find: 'for i = 2, #KEYS do',
    replace: 'for i = 2, #KEYS - 1 do',
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'apply-does-not-move-the-mark',
    wrong: 'entries are written, the mark stays: it vouches for newer entries as if they were old',
    file: APPLY,
    find: "redis.call('SET', KEYS[1], ARGV[2])",
    replace: '',
    guarantees: [...WRONG_VALUES, 'available'],
    budget,
  },
  {
    name: 'mark-before-entries',
    wrong: 'apply in two steps: the mark moves first, the entries follow',
    file: TIER,
    find: '() => this.#client.tidemarkApply(keys.length, ...keys, ...args, packed),',
    replace: `async () => {
        const reply = await this.#client.tidemarkApply(1, ...keys.slice(0, 1), ...args);
        if (reply !== 'applied' || keys.length === 1) return reply;
        const again = [args[1] ?? '', ...args.slice(1)];
        return this.#client.tidemarkApply(keys.length, ...keys, ...again, packed);
      },`,
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'entries-before-mark',
    wrong: 'apply in two steps: the entries are written first, the mark follows',
    file: TIER,
    find: '() => this.#client.tidemarkApply(keys.length, ...keys, ...args, packed),',
    replace: `async () => {
        const first = [raw, raw, ...args.slice(2)];
        const reply = await this.#client.tidemarkApply(keys.length, ...keys, ...first, packed);
        if (reply !== 'applied') return reply;
        return this.#client.tidemarkApply(1, ...keys.slice(0, 1), ...args);
      },`,
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'apply-newer-than-the-mark',
    wrong: 'a page brings entries that changed after its end, as if they were the truth there',
    file: TIER,
    find: 'mine.push(isTruthAt(entry, to.version) ? entry : undefined);',
    replace: 'mine.push(entry);',
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'entries-of-no-other-bucket',
    wrong: 'a page brings its entries to the first bucket only',
    file: TIER,
    find: 'if (bucketOf(key, this.#options.buckets) !== bucket) continue;',
    replace: 'if (bucket !== 0 || bucketOf(key, this.#options.buckets) !== 0) continue;',
    guarantees: WRONG_VALUES,
    budget: inSimulation('three'),
  },
  {
    name: 'read-any-generation',
    wrong: 'entries are read although the mark is of another generation',
    file: TIER,
    find: 'if (mark === undefined || mark.generation !== generation) return [];',
    replace: 'if (mark === undefined) return [];',
    guarantees: WRONG_VALUES,
    budget: inSimulation('small', { faults: ['redis'], instances: 3 }),
  },
  {
    name: 'begin-without-compare',
    wrong: 'a new generation is started although the mark is no longer the one that was judged',
    file: 'src/redis/begin.lua',
    find: "if mark ~= ARGV[1] and generation ~= ARGV[3] then return 'changed' end",
    replace: '',
    guarantees: ['begins a generation once, for who saw the mark as it is'],
    budget: {
      by: 'contract',
      test: 'test/contract/redis-tier.contract.test.ts',
      only: 'begins a generation once',
      seconds: 30,
    },
  },
  {
    name: 'absence-known-since-ever',
    wrong: 'an absence counts as the truth at every earlier version, too',
    file: COHERENCE,
    find: 'entry.value === null ? entry.asOf : entry.version, entry.asOf',
    replace: 'entry.version, entry.asOf',
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'redis-answers-every-read',
    wrong: 'R2: an entry answers although its mark is behind what the reader has reached',
    file: COHERENCE,
    find: 'return asOf >= requiredAsOf;',
    replace: 'return asOf >= 0 || asOf >= requiredAsOf;',
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'evicted-before-applied-without-r2',
    wrong: 'a page is evicted before Redis has it, and Redis answers however far behind it is',
    file: COHERENCE,
    find: 'return asOf >= requiredAsOf;',
    replace: 'return asOf >= 0 || asOf >= requiredAsOf;',
    also: [
      {
        file: 'src/reader/reconciler.ts',
        find: `    await this.#marks.apply(due, loaded);

    if (this.#local.sightings.contradictedBy(snapshot)) return false;
    const keys = this.#pages.keysOf(loaded.page);
    this.#local.evict(keys, loaded.page);
`,
        replace: `    if (this.#local.sightings.contradictedBy(snapshot)) return false;
    const keys = this.#pages.keysOf(loaded.page);
    this.#local.evict(keys, loaded.page);
    await this.#marks.apply(due, loaded);
`,
      },
    ],
    guarantees: WRONG_VALUES,
    budget: inSimulation(undefined, { faults: [] }),
  },
  {
    name: 'mark-moved-out-of-memory',
    wrong: 'a page whose entries Redis has no memory for moves the mark all the same',
    file: APPLY,
    find: "redis.call('SET', KEYS[i],",
    replace: "redis.pcall('SET', KEYS[i],",
    also: [
      {
        file: APPLY,
        find: "redis.call('SET', KEYS[1], ARGV[2])",
        replace: "redis.call('DEL', KEYS[1])\nredis.call('SET', KEYS[1], ARGV[2])",
      },
    ],
    guarantees: WRONG_VALUES,
    budget: inSimulation('small', { faults: ['redis'] }),
  },
  {
    name: 'fills-land-anyhow',
    wrong: 'R3: a fill that read before its key changed is cached after it',
    file: COHERENCE,
    find: 'return asOf >= floor;',
    replace: 'return asOf >= 0 || asOf >= floor;',
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'corrupt-entries-served',
    wrong: 'the checksum of an entry is not compared',
    file: 'src/core/entry.ts',
    find: "if (checksum(header[1] ?? '', value) !== Number(header[4])) return undefined;",
    replace: '',
    guarantees: WRONG_VALUES,
    budget,
  },
  {
    name: 'corrupt-marks-believed',
    wrong: 'the checksum of a mark is not compared',
    file: 'src/core/mark.ts',
    find: 'return encodeMark(mark) === text ? mark : undefined;',
    replace: 'return mark;',
    guarantees: WRONG_VALUES,
    budget: inSimulation('small', { faults: ['redis'] }),
  },
];
