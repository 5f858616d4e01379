/** What the doctor makes of facts, above all of those that no test can bring about on real servers. */
import pico from 'picocolors';
import { describe, expect, test } from 'vitest';
import { describeCollection } from '../../src/core/collection.js';
import { CHECKS } from '../../src/doctor/doctor.js';
import type { Channel, Facts, Trigger } from '../../src/doctor/facts.js';
import { examine, type Severity } from '../../src/doctor/finding.js';
import { reportText } from '../../src/doctor/report.js';
import { BODY_OF_TRIGGER, SOUND, TRACKED } from './sound-facts.js';

type Break = readonly [
  what: string,
  facts: Facts,
  finding: readonly [place: string, check: string, severity: Severity],
  text: RegExp,
];

const { a, b, redis, settings } = SOUND;
const [channel] = 'value' in b.channels ? b.channels.value : [];
const [node] = redis.nodes;
const MARK = redis.marks.get('configs')?.[0];

function withA(change: Partial<typeof a>): Facts {
  return { ...SOUND, a: { ...a, ...change } };
}
function withB(change: Partial<typeof b>): Facts {
  return { ...SOUND, b: { ...b, ...change } };
}
function withVariables(side: 'a' | 'b', ...more: [name: string, value: string][]): Facts {
  const variables = new Map([...SOUND[side].variables, ...more]);
  return side === 'a' ? withA({ variables }) : withB({ variables });
}
function withChannel(change: Partial<Channel>): Facts {
  if (channel === undefined) throw new Error('Expected a channel, got none');
  return withB({ channels: { value: [{ ...channel, ...change }] } });
}
function withRedis(change: Partial<typeof redis>, buckets = 1): Facts {
  const changed = { ...settings, redisBuckets: buckets };
  return { ...SOUND, settings: changed, redis: { ...redis, ...change } };
}
function withInfo(...more: [name: string, value: string][]): Facts {
  return withRedis({
    nodes: [{ address: 'cache-b:6379', info: new Map([...(node?.info ?? []), ...more]) }],
  });
}
function withReaders(...changes: Partial<(typeof redis.readers)[number]>[]) {
  const [reader] = redis.readers;
  if (reader === undefined) throw new Error('Expected a reader, got none');
  const readers = changes.map((change) => ({ ...reader, ...change }));
  return { ...SOUND, redis: { ...redis, readers } } satisfies Facts;
}
function withLog(oldest: number, head: number): Facts {
  return withB({ log: { head, beatAgeMs: 1, oldest: { version: oldest, ageMs: 1 } } });
}
function skewed(server: 'a' | 'b', aheadMs: number, errorMs = 1): Facts {
  const clock = { aheadMs, errorMs };
  return server === 'a' ? withA({ clock }) : withB({ clock });
}
const cluster = (...more: [string, string][]) =>
  new Map([['cluster_state', 'ok'], ['cluster_slots_ok', '16384'], ['cluster_size', '3'], ...more]);
const MARIADB = { flavor: 'mariadb', version: '10.6.1-MariaDB' } as const;

const BREAKS: readonly Break[] = [
  ['an old MySQL', withA({ version: '8.0.16' }), ['MySQL-A', 'version', 'fault'], /8\.0\.17/],
  ['MySQL 5.7', withB({ version: '5.7.44-log' }), ['MySQL-B', 'version', 'fault'], /too old/],
  [
    'an old MariaDB',
    withB({ flavor: 'mariadb', version: '10.5.23-MariaDB' }),
    ['MySQL-B', 'version', 'fault'],
    /10\.6\.0/,
  ],
  [
    'no binary log',
    withVariables('a', ['log_bin', 'OFF']),
    ['MySQL-A', 'binary log', 'fault'],
    /log_bin/,
  ],
  [
    'a binary log of other databases',
    withA({ binlogFilters: { value: { doDb: 'other,shop', ignoreDb: '' } } }),
    ['MySQL-A', 'binary log', 'fault'],
    /binlog_do_db keeps the database app out/,
  ],
  [
    'a binary log without this database',
    withA({ binlogFilters: { value: { doDb: '', ignoreDb: 'x,app' } } }),
    ['MySQL-A', 'binary log', 'fault'],
    /binlog_ignore_db/,
  ],
  [
    'filters of the binary log that cannot be seen',
    withA({ binlogFilters: { lacking: 'REPLICATION CLIENT ON *.*' } }),
    ['MySQL-A', 'binary log', 'unknown'],
    /GRANT REPLICATION CLIENT ON \*\.\* TO 'tidemark_writer'@'%'/,
  ],
  [
    'a replica that does not get in',
    withChannel({ io: 'Connecting', ioErrno: 1045 }),
    ['MySQL-B', 'replication', 'fault'],
    /error 1045.*A refuses B's account/,
  ],
  [
    'a source that purged its log',
    withChannel({ io: 'No', ioErrno: 1236 }),
    ['MySQL-B', 'replication', 'fault'],
    /1236.*clone B anew/,
  ],
  [
    'a stopped applier',
    withChannel({ sql: 'No' }),
    ['MySQL-B', 'replication', 'fault'],
    /START REPLICA/,
  ],
  ['a lag', withChannel({ secondsBehind: 6 }), ['MySQL-B', 'replication', 'warning'], /6 s behind/],
  [
    'a source that is another one',
    withChannel({ sourceServerId: '7' }),
    ['A to B', 'servers', 'warning'],
    /follows server 7, A is 1/,
  ],
  [
    'a MariaDB replica of MySQL',
    withB(MARIADB),
    ['A to B', 'servers', 'warning'],
    /mysql in A and mariadb in B/,
  ],
  [
    'a lag that shows in the log',
    { ...SOUND, hop: { ...SOUND.hop, headA: 12, headBBefore: 8 } },
    ['A to B', 'log', 'warning'],
    /3 of A's changes.*lags, but moves/,
  ],
  ["A's clock ahead", skewed('a', 800), ['A to B', 'clocks', 'warning'], /MySQL-A is 0\.8 s ahead/],
  ["B's clock ahead", skewed('b', 7_000), ['A to B', 'clocks', 'fault'], /MySQL-B is 7\.0 s ahead/],
  [
    "B's clock behind",
    skewed('b', -900),
    ['MySQL-B', 'clock', 'warning'],
    /this machine is 0\.9 s/,
  ],
  [
    'a log that was pruned to nothing',
    withB({ log: { head: 9, beatAgeMs: 1, oldest: undefined } }),
    ['MySQL-B', 'retention', 'fault'],
    /log is empty/,
  ],
  [
    'a heartbeat that B gets late',
    withB({ log: { head: 9, beatAgeMs: 60_000, oldest: { version: 1, ageMs: 1 } } }),
    ['MySQL-B', 'heartbeat', 'warning'],
    /60\.0 s old here, 0\.5 s in A/,
  ],
  ['an old Redis', withInfo(['redis_version', '5.0.14']), ['Redis', 'version', 'fault'], /RESP3/],
  ['a Redis that is a replica', withInfo(['role', 'slave']), ['Redis', 'role', 'fault'], /replica/],
  [
    'a full Redis that evicts nothing',
    withInfo(['used_memory', '99000000'], ['maxmemory_policy', 'noeviction']),
    ['Redis', 'memory', 'fault'],
    /volatile-lru/,
  ],
  [
    'a Redis that may evict marks',
    withInfo(['maxmemory_policy', 'allkeys-lfu']),
    ['Redis', 'eviction', 'warning'],
    /allkeys-lfu can evict the marks/,
  ],
  [
    'a Redis that takes the whole machine',
    withInfo(['maxmemory', '0'], ['used_memory', '95'], ['total_system_memory', '100']),
    ['Redis', 'memory', 'warning'],
    /CONFIG SET maxmemory/,
  ],
  [
    'a user without rights',
    withRedis({ refused: new Map([['EVAL', 'NOPERM']]) }),
    ['Redis', 'commands', 'fault'],
    /ACL forbids EVAL.*redis-readers\.acl/,
  ],
  [
    'a user that may not see INFO',
    withRedis({ nodes: [], refused: new Map([['INFO', 'NOPERM']]) }),
    ['Redis', 'version', 'unknown'],
    /\+info/,
  ],
  [
    'a cluster without some slots',
    withRedis({ kind: 'cluster', cluster: cluster(['cluster_slots_ok', '16000']) }),
    ['Redis', 'cluster', 'fault'],
    /384 of 16384 slots.*--cluster fix/,
  ],
  [
    'a cluster of which one master is used',
    withRedis({ kind: 'cluster', cluster: cluster() }),
    ['Redis', 'cluster', 'warning'],
    /REDIS_BUCKETS=24/,
  ],
  [
    'a bucket without a mark',
    withRedis({ marks: new Map([['configs', [MARK, undefined]]]) }, 2),
    ['Redis', 'marks', 'warning'],
    /1 of 2 buckets/,
  ],
  [
    'readers of two versions',
    withReaders({}, { host: 'web-2', software: '0.2.0' }),
    ['Redis', 'readers', 'warning'],
    /0\.1\.0 \(web-1:7\), 0\.2\.0 \(web-2:7\)/,
  ],
  [
    'many readers of two versions',
    withReaders(...Array(6).fill({}), { software: '0.2.0' }),
    ['Redis', 'readers', 'warning'],
    /0\.1\.0 \(6\), 0\.2\.0 \(web-1:7\)/,
  ],
  [
    'a reader that is stale',
    withReaders({}, { host: 'web-2', stale: true }),
    ['Redis', 'readers', 'warning'],
    /stale or not ready: web-2:7/,
  ],
  [
    'a reader that is not ready',
    withReaders({ ready: false }),
    ['Redis', 'readers', 'warning'],
    /not ready: web-1:7.*health\/ready/,
  ],
  ['no readers', withReaders(), ['Redis', 'readers', 'unknown'], /none says that it runs/],
  [
    'a reader whose position was pruned',
    { ...withLog(500, 9_000), redis: withReaders({ applied: 400 }).redis },
    ['MySQL-B', 'retention', 'warning'],
    /slowest reader \(web-1:7\) is at version 400, which was pruned \(the log begins at 500\)/,
  ],
  [
    'a reader that lacks most of the log',
    {
      ...withLog(500, 9_000),
      redis: withReaders({ applied: 9_000 }, { applied: 3_000, head: 9_000 }).redis,
    },
    ['MySQL-B', 'retention', 'warning'],
    /lacks 6000 of them.*RETENTION_HOURS/,
  ],
  [
    'marks of nobody',
    withRedis({ marks: new Map([['configs', [undefined]]]) }),
    ['Redis', 'marks', 'unknown'],
    /no reader/,
  ],
];

test('finds nothing wrong with sound facts', () => {
  const findings = examine(CHECKS, SOUND);
  expect(findings.filter(({ severity }) => severity !== 'ok')).toEqual([]);
  expect(findings).toHaveLength(CHECKS.length);
});

test.each(BREAKS)('names %s', (_, facts, [place, check, severity], text) => {
  const findings = examine(CHECKS, facts);
  const found = findings.find((one) => one.place === place && one.check === check);
  expect(found?.severity).toBe(severity);
  expect(`${found?.cause} ${found?.remedy}`).toMatch(text);
});

describe('of several collections', () => {
  const settingsTable = describeCollection({ table: 'app', key: 'id', value: ['name', 'size'] });
  const logs = BODY_OF_TRIGGER;
  const judged = (column: string) => `IF NEW.\`${column}\` <=> OLD.\`${column}\` THEN`;
  const sound = [
    { name: 'v', timing: 'BEFORE', event: 'INSERT', body: 'SELECT head FROM config_stream' },
    { name: 'i', timing: 'AFTER', event: 'INSERT', body: logs },
    {
      name: 'u',
      timing: 'BEFORE',
      event: 'UPDATE',
      body: [...['id', 'name', 'size'].map(judged), logs].join(' '),
    },
    { name: 'd', timing: 'AFTER', event: 'DELETE', body: logs },
  ];
  const withTriggers = (value: readonly Trigger[]): Facts => {
    const tracked = new Map([...a.tracked, ['app', { ...TRACKED, triggers: { value } }]]);
    const collections = [...settings.collections, settingsTable];
    return { ...SOUND, settings: { ...settings, collections }, a: { ...a, tracked } };
  };
  const triggersOf = (facts: Facts) =>
    examine(CHECKS, facts)
      .filter(({ place, check }) => place === 'MySQL-A' && check === 'triggers')
      .map(({ collection, severity, cause }) => [collection, severity, cause]);

  test('says of which each finding is', () => {
    expect(triggersOf(withTriggers(sound))).toEqual([
      ['configs', 'ok', expect.any(String)],
      ['app', 'ok', expect.any(String)],
    ]);
    const report = reportText(examine(CHECKS, withTriggers([])), 120, pico.createColors(false));
    expect(report).toMatch(/FAULT +triggers +app: none for INSERT, UPDATE, DELETE/);
  });

  test.each([
    ['a row that gets no version', sound.slice(1), /none gives a new row its version/],
    [
      'a column that is not asked for',
      sound.map((one) => ({ ...one, body: one.body.replace(judged('size'), '') })),
      /passes over changes of size/,
    ],
  ] as const)('names %s', (_, triggers, text) => {
    expect(triggersOf(withTriggers(triggers))[1]).toEqual([
      'app',
      'fault',
      expect.stringMatching(text),
    ]);
  });
});

test('leaves out the checks of a side whose facts are not there', () => {
  const findings = examine(CHECKS, { ...SOUND, a: undefined, hop: undefined });
  expect(new Set(findings.map(({ place }) => place))).toEqual(new Set(['MySQL-B', 'Redis']));
});

describe('a difference of clocks', () => {
  test('is not told of when the round trip is as long', () => {
    const findings = examine(CHECKS, skewed('a', 900, 450));
    expect(findings.filter(({ severity }) => severity !== 'ok')).toEqual([]);
  });
});

test('all that is not ok has a remedy, and no two checks of a place have one name', () => {
  const names = CHECKS.map(({ place, name }) => `${place} ${name}`);
  expect(new Set(names).size).toBe(names.length);
  for (const [, facts] of BREAKS) {
    const bad = examine(CHECKS, facts).filter(({ severity }) => severity !== 'ok');
    expect(bad.filter(({ remedy }) => !remedy)).toEqual([]);
  }
});
