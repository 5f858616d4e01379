/** Checks of Redis, and of what readers left in it. */
import type { RedisFacts, RedisNode } from '../facts.js';
import {
  type Check,
  check,
  checkEach,
  fault,
  ok,
  unknown,
  type Verdict,
  warning,
} from '../finding.js';

export const REDIS_CHECKS: readonly Check[] = [
  check('Redis', 'commands', ['redis'], ({ redis }) => judgeCommands(redis)),
  check('Redis', 'version', ['redis'], ({ redis }) => ofEachNode(redis, judgeVersion)),
  check('Redis', 'role', ['redis'], ({ redis }) => ofEachNode(redis, judgeRole)),
  check('Redis', 'memory', ['redis'], ({ redis }) => ofEachNode(redis, judgeMemory)),
  check('Redis', 'eviction', ['redis'], ({ redis }) => ofEachNode(redis, judgeEviction)),
  check('Redis', 'cluster', ['redis'], ({ redis, settings }) =>
    judgeCluster(redis, settings.redisBuckets),
  ),
  checkEach('Redis', 'marks', ['redis'], ({ redis, b, settings }, { table }) => {
    const oldest = b?.log?.oldest?.version;
    return judgeMarks(redis, table, settings.redisBuckets, oldest);
  }),
  checkEach('Redis', 'readers', ['redis'], ({ redis }, { table }) => judgeReaders(redis, table)),
];

/** RESP3, which the client speaks, came with it. */
const OLDEST_MAJOR = 6;
const FULL = 0.9;
/** Readers; more are counted. */
const MOST_NAMED = 5;

const ACL_REMEDY = 'ACL SETUSER with the rights in ops/redis-readers.acl';
const REFUSALS = new Map<string, readonly [cause: string, remedy: string]>([
  ['NOPERM', ["this user's ACL forbids", ACL_REMEDY]],
  [
    'OOM',
    [
      'Redis is full and may evict nothing; it refuses',
      'CONFIG SET maxmemory-policy volatile-lru, or a larger maxmemory',
    ],
  ],
  [
    'READONLY',
    ['this is a replica; it refuses', 'Let REDIS_URL name the master, or its sentinels'],
  ],
  [
    'MISCONF',
    ['Redis cannot save to its disk; it refuses', 'Free its disk, or CONFIG SET save ""'],
  ],
  [
    'MOVED',
    [
      'this is one node of a cluster; it sends away',
      'Write REDIS_URL as redis-cluster://host:port',
    ],
  ],
  ['CLUSTERDOWN', ['the cluster is down; it refuses', 'See "cluster"']],
]);

function judgeCommands({ refused }: RedisFacts): Verdict {
  const [first] = [...refused].filter(([command]) => command !== 'SCAN');
  if (first === undefined && refused.has('SCAN')) {
    return warning(
      "this user's ACL forbids SCAN: audits compare only what readers hold in memory",
      ACL_REMEDY,
    );
  }
  if (first === undefined) return ok("a reader's commands are allowed");
  const commands = [...refused].filter(([, code]) => code === first[1]).map(([name]) => name);
  const [cause, remedy] = REFUSALS.get(first[1]) ?? [
    `Redis answers ${first[1]} to`,
    'Look for that error in its documentation and its log',
  ];
  return fault(
    `${cause} ${commands.join(', ')}: entries are not kept, MySQL-B takes all reads`,
    remedy,
  );
}

/** The worst verdict of all nodes, with the node's address when there are several. */
function ofEachNode({ nodes }: RedisFacts, judge: (node: RedisNode) => Verdict): Verdict {
  if (nodes.length === 0) return unknown('INFO is refused', 'ACL SETUSER <user> +info');
  const verdicts = nodes.map((node) => ({ node, verdict: judge(node) }));
  const worst =
    verdicts.find(({ verdict }) => verdict.severity === 'fault') ??
    verdicts.find(({ verdict }) => verdict.severity === 'warning') ??
    verdicts[0];
  if (worst === undefined) return ok('no node'); // there is one, see above
  const { node, verdict } = worst;
  return nodes.length === 1 ? verdict : { ...verdict, cause: `${node.address}: ${verdict.cause}` };
}

function judgeVersion({ info }: RedisNode): Verdict {
  const version = info.get('redis_version') ?? '';
  if (version === '') return unknown('INFO has no redis_version', 'ACL SETUSER <user> +info');
  if (Number.parseInt(version, 10) >= OLDEST_MAJOR) return ok(`Redis ${version}`);
  return fault(
    `Redis ${version} does not speak RESP3`,
    `Upgrade to Redis ${OLDEST_MAJOR} or newer`,
  );
}

function judgeRole({ info }: RedisNode): Verdict {
  const role = info.get('role') ?? 'master';
  if (role === 'master') return ok('master');
  return fault(
    'this is a replica: readers cannot write to it',
    'Let REDIS_URL name the master, or its sentinels (redis-sentinel://)',
  );
}

function judgeMemory({ info }: RedisNode): Verdict {
  const [used, most] = [Number(info.get('used_memory')), Number(info.get('maxmemory') ?? 0)];
  const machine = Number(info.get('total_system_memory') ?? 0);
  const shown = `${mib(used)} used`;
  if (most === 0) {
    if (machine === 0 || used < FULL * machine) return ok(`${shown}, without a limit`);
    return warning(
      `${shown} of the machine's ${mib(machine)}, without a limit`,
      'CONFIG SET maxmemory to what Redis may have, and maxmemory-policy volatile-lru',
    );
  }
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (used < FULL * most) return ok(`${shown} of ${mib(most)}`);
  if (policy === 'noeviction') {
    return fault(
      `${shown} of ${mib(most)}, with noeviction: it refuses writes, and MySQL-B takes the reads`,
      'CONFIG SET maxmemory-policy volatile-lru, or a larger maxmemory',
    );
  }
  return ok(`${shown} of ${mib(most)}, the rest is evicted (${policy})`);
}

function judgeEviction({ info }: RedisNode): Verdict {
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (Number(info.get('maxmemory') ?? 0) === 0) return ok(`${policy}, without a limit of memory`);
  if (policy.startsWith('volatile-'))
    return ok(`${policy}: entries only, which have a time to live`);
  const remedy = 'CONFIG SET maxmemory-policy volatile-lru';
  if (policy === 'noeviction') {
    return warning('noeviction: once it is full, it refuses writes instead of making room', remedy);
  }
  return warning(
    `${policy} can evict the marks, too: each time, all entries are read from MySQL-B again`,
    remedy,
  );
}

function judgeCluster({ kind, cluster, nodes }: RedisFacts, buckets: number): Verdict {
  const isNode = nodes.some(({ info }) => info.get('cluster_enabled') === '1');
  if (cluster === undefined) {
    if (!isNode) return ok(kind === 'sentinel' ? 'none; Sentinel watches it' : 'none: one server');
    return fault(
      'this is one node of a cluster, taken for all of it',
      'Write REDIS_URL as redis-cluster://host1:port,host2:port',
    );
  }
  const get = (name: string) => cluster.get(name) ?? '';
  const without = 16_384 - Number(get('cluster_slots_ok'));
  if (get('cluster_state') !== 'ok' || without > 0) {
    return fault(
      `cluster_state is ${get('cluster_state')}, ${without} of 16384 slots are not served`,
      'redis-cli --cluster check host:port, then --cluster fix',
    );
  }
  const masters = Number(get('cluster_size'));
  if (buckets === 1 && masters > 1) {
    return warning(
      `${masters} masters, but one bucket: one master holds all entries`,
      `REDIS_BUCKETS=${masters * 8} on all readers, at the same time`,
    );
  }
  return ok(`all slots are served, by ${masters} masters`);
}

/** What can be known of readers from Redis: the mark is where the quickest of them is. */
function judgeMarks(
  { marks, headB, fingerprints, refused }: RedisFacts,
  table: string,
  buckets: number,
  oldestVersion: number | undefined,
): Verdict {
  if (refused.has('MGET')) return unknown('they cannot be read', 'See "commands"');
  const there = (marks.get(table) ?? []).flatMap((mark) => mark ?? []);
  const missing = buckets - there.length;
  const settings = 'KEY_PREFIX, TABLE (or COLLECTIONS) and REDIS_BUCKETS';
  if (there.length === 0) {
    return unknown(
      `none: no reader has run here with these ${settings}`,
      `Start a reader (tidemark read), or give doctor the readers' ${settings}`,
    );
  }
  if (missing > 0) {
    return warning(`${missing} of ${buckets} buckets have none`, 'Wait for a reader to make them');
  }
  if (headB === undefined) return ok('there; MySQL-B would tell whether they move');
  const slowest = Math.min(...there.map(({ position }) => position.version));
  if (oldestVersion !== undefined && slowest < oldestVersion) {
    return warning(
      `at version ${slowest}, which was pruned (the log begins at ${oldestVersion}): the next reader ` +
        'starts with an empty cache',
      'A longer RETENTION_HOURS than readers may all be away; start a reader',
    );
  }
  const foreign = there.find(({ position: { version, fingerprint } }) => {
    const known = fingerprints.get(version);
    return known !== undefined && fingerprint !== '' && known !== fingerprint;
  });
  if (foreign !== undefined) {
    return warning(
      `at version ${foreign.position.version} of another history than MySQL-B's: no reader follows`,
      'Start a reader with this MySQL-B: it starts anew; let no other system share KEY_PREFIX',
    );
  }
  if (slowest < headB) {
    return warning(
      `at version ${slowest}, MySQL-B at ${headB}, and they did not get there: no reader runs, or ` +
        'none can write to Redis',
      'Start a reader (tidemark read); GET /v1/status of a running one says what fails',
    );
  }
  return ok(`readers have brought Redis to version ${slowest}`);
}

/** Readers share entries, so they have to agree on what an entry is. */
function judgeReaders({ readers: all, refused }: RedisFacts, table: string): Verdict {
  if (refused.has('MGET')) return unknown('they cannot be read', 'See "commands"');
  const readers = all.filter((reader) => reader.table === table);
  if (readers.length === 0) {
    return unknown(
      'none says that it runs, with this KEY_PREFIX and this table',
      'Start a reader (tidemark read); tidemark_roster_failures_total of one tells if it cannot say so',
    );
  }
  const named = (some: typeof readers) => some.map(({ host, pid }) => `${host}:${pid}`).join(', ');
  const versions = [...new Set(readers.map(({ software }) => software))].toSorted();
  if (versions.length > 1) {
    const each = versions.map((version) => {
      const those = readers.filter(({ software }) => software === version);
      return `${version} (${those.length > MOST_NAMED ? those.length : named(those)})`;
    });
    return warning(
      `readers of different versions of Tidemark share one Redis: ${each.join(', ')}`,
      'Bring all readers to the same version; while that goes on, this is no fault',
    );
  }
  const stale = readers.filter((reader) => reader.stale || !reader.ready);
  if (stale.length > 0) {
    const which = stale.length > MOST_NAMED ? `${stale.length} of ${readers.length}` : named(stale);
    return warning(
      `stale or not ready: ${which}`,
      'GET /health/ready and /v1/status of it; see "heartbeat" and "replication" when all of them are',
    );
  }
  return ok(`${readers.length}, of version ${versions[0]}`);
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(bytes < 100 * 1024 * 1024 ? 1 : 0)} MiB`;
}
