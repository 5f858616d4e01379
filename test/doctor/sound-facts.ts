/** Facts of a system in which nothing is wrong, to be broken one by one. */
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import type {
  Facts,
  RedisFacts,
  ReplicaFacts,
  SourceFacts,
  TrackedFacts,
} from '../../src/doctor/facts.js';
import { ANNOUNCEMENT } from '../http/fake-reader.js';

const NO_FILTERS = {
  doDb: '',
  ignoreDb: '',
  doTable: '',
  ignoreTable: '',
  wildDoTable: '',
  wildIgnoreTable: '',
  rewriteDb: '',
};
const INNODB = { access: 'readable', engine: 'InnoDB' } as const;
const TABLES = ['config_stream', 'config_changes', 'configs'];
export const BODY_OF_TRIGGER =
  'UPDATE config_stream SET x = 1; INSERT INTO config_changes VALUES (1)';

export const TRACKED = {
  keyCollations: new Map([['config_key', { name: 'utf8mb4_0900_bin', noPad: true }]]),
  triggers: {
    value: ['INSERT', 'UPDATE', 'DELETE'].map((event) => ({
      name: `configs_tidemark_${event.toLowerCase()}`,
      timing: 'BEFORE',
      event,
      body: BODY_OF_TRIGGER,
    })),
  },
  cascades: { value: [] },
} satisfies TrackedFacts;

const SOURCE: SourceFacts = {
  flavor: 'mysql',
  version: '8.4.6',
  database: 'app',
  account: "'tidemark_writer'@'%'",
  variables: new Map([
    ['log_bin', 'ON'],
    ['binlog_format', 'ROW'],
    ['read_only', 'OFF'],
    ['gtid_mode', 'ON'],
    ['server_uuid', 'a'],
    ['server_id', '1'],
    ['log_bin_trust_function_creators', 'ON'],
    ['max_allowed_packet', '67108864'],
  ]),
  grants: [
    { privileges: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'], database: 'app', table: 'configs' },
    { privileges: ['SELECT', 'UPDATE'], database: 'app', table: 'config_stream' },
    { privileges: ['SELECT', 'DELETE'], database: 'app', table: 'config_changes' },
  ],
  clock: { aheadMs: 2, errorMs: 1 },
  tables: new Map(TABLES.map((name) => [name, INNODB])),
  tracked: new Map([['configs', TRACKED]]),
  ledger: { value: [] },
  log: { head: 9, beatAgeMs: 500, oldest: { version: 1, ageMs: 60_000 } },
  binlogFilters: { value: { doDb: '', ignoreDb: '' } },
};

const REPLICA: ReplicaFacts = {
  ...SOURCE,
  account: "'tidemark_reader'@'%'",
  variables: new Map([
    ...SOURCE.variables,
    ['read_only', 'ON'],
    ['super_read_only', 'ON'],
    ['server_uuid', 'b'],
    ['server_id', '2'],
    ['replica_parallel_workers', '4'],
    ['replica_preserve_commit_order', 'ON'],
    ['replica_max_allowed_packet', '1073741824'],
  ]),
  grants: TABLES.map((table) => ({ privileges: ['SELECT'], database: 'app', table })),
  channels: {
    value: [
      {
        name: '',
        io: 'Yes',
        sql: 'Yes',
        secondsBehind: 0,
        delaySeconds: 0,
        ioErrno: 0,
        sqlErrno: 0,
        sourceServerId: '1',
        usesGtid: true,
      },
    ],
  },
  filters: { value: [NO_FILTERS] },
};

const REDIS: RedisFacts = {
  kind: 'server',
  nodes: [
    {
      address: 'cache-b:6379',
      info: new Map([
        ['redis_version', '7.0.15'],
        ['role', 'master'],
        ['used_memory', '1000000'],
        ['maxmemory', '100000000'],
        ['maxmemory_policy', 'volatile-lru'],
        ['cluster_enabled', '0'],
      ]),
    },
  ],
  cluster: undefined,
  refused: new Map(),
  marks: new Map([['configs', [{ generation: 'g', position: { version: 9, fingerprint: 'f' } }]]]),
  readers: [{ ...ANNOUNCEMENT, applied: 9, head: 9, mark: 9 }],
  headB: 9,
  fingerprints: new Map([[9, 'f']]),
};

export const SOUND = {
  settings: {
    collections: [DEFAULT_COLLECTION],
    keyPrefix: 'tidemark',
    redisBuckets: 1,
    staleAfterMs: 5_000,
    retentionHours: 24,
    earlyWake: 'auto',
  },
  migrations: [],
  a: SOURCE,
  b: REPLICA,
  hop: {
    headA: 9,
    headBBefore: 9,
    headBAfter: 9,
    waitedMs: 1,
    fingerprintA: 'f',
    fingerprintB: 'f',
  },
  redis: REDIS,
} as const satisfies Facts;
