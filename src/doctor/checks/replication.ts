/** Checks of the way from A to B: replication, its filters, its order, and what it brings. */
import type { Channel, Facts, ReplicaFacts, ServerFacts, SourceFacts } from '../facts.js';
import { droppedBy } from '../filters.js';
import {
  type Check,
  check,
  fault,
  ok,
  unknown,
  unseen,
  type Verdict,
  warning,
} from '../finding.js';

export const REPLICATION_CHECKS: readonly Check[] = [
  check('MySQL-B', 'replication', ['b'], ({ b, settings }) =>
    judgeReplication(b, settings.staleAfterMs),
  ),
  check('MySQL-B', 'filters', ['b'], ({ b }) => judgeFilters(b)),
  check('MySQL-B', 'replica triggers', ['b'], ({ b }) => judgeReplicaTriggers(b)),
  check('MySQL-B', 'commit order', ['b'], ({ b }) => judgeCommitOrder(b)),
  check('MySQL-A', 'GTID', ['a'], ({ a, settings }) => judgeGtid(a, settings.earlyWake)),
  check('MySQL-B', 'GTID', ['b'], ({ b, settings }) => judgeGtid(b, settings.earlyWake)),
  check('A to B', 'servers', ['a', 'b'], ({ a, b }) => judgeServers(a, b)),
  check('A to B', 'log', ['a', 'b'], ({ hop }) => judgeHop(hop)),
  check('A to B', 'packets', ['a', 'b'], ({ a, b }) => judgePackets(a, b)),
];

const ERRORS = new Map([
  [1062, 'a row is there already: B was written to directly; clone B anew and keep it read-only'],
  [1032, 'a row is not there: B was written to directly; clone B anew and keep it read-only'],
  [1236, 'A no longer has the binary log that B asks for: clone B anew'],
  [1045, "A refuses B's account: correct SOURCE_USER and SOURCE_PASSWORD"],
  [2003, 'A cannot be reached from B: check host, port and firewall'],
  [2061, 'the password wants TLS: SOURCE_SSL = 1, or GET_SOURCE_PUBLIC_KEY = 1'],
]);

function statements({ flavor }: ServerFacts) {
  return flavor === 'mysql'
    ? { start: 'START REPLICA', show: 'SHOW REPLICA STATUS' }
    : { start: 'START SLAVE', show: 'SHOW ALL SLAVES STATUS' };
}

function judgeReplication(b: ReplicaFacts, staleAfterMs: number): Verdict {
  const { start, show } = statements(b);
  if ('lacking' in b.channels) {
    return unseen('its status cannot be seen', b.channels.lacking, b.account);
  }
  const channels = b.channels.value;
  if (channels.length === 0) {
    return fault(
      'this server follows no other: it is no replica, or MYSQL_B_URL names the wrong one',
      'Let MYSQL_B_URL name a replica of A, or make it one: CHANGE REPLICATION SOURCE TO ...',
    );
  }
  const stopped = channels.find(({ io, sql }) => io !== 'Yes' || sql !== 'Yes');
  if (stopped !== undefined) return judgeStopped(stopped, start, show);
  const delayed = channels.find(({ delaySeconds }) => delaySeconds > 0);
  if (delayed !== undefined) {
    return warning(
      `delayed by ${delayed.delaySeconds} s on purpose: so are all answers of readers`,
      'Let readers use a replica without delay (SOURCE_DELAY = 0, MASTER_DELAY = 0)',
    );
  }
  const behind = Math.max(...channels.map(({ secondsBehind }) => secondsBehind ?? 0));
  if (behind * 1000 > staleAfterMs) {
    return warning(
      `${behind} s behind A: readers mark their answers stale`,
      'Look for a long transaction in A, slow disks in B, and parallel workers (replica_parallel_workers)',
    );
  }
  return ok(`runs, ${behind} s behind A`);
}

function judgeStopped(channel: Channel, start: string, show: string): Verdict {
  const errno = channel.sqlErrno || channel.ioErrno;
  const hint = ERRORS.get(errno);
  const name = channel.name === '' ? '' : ` of channel ${channel.name}`;
  const parts = `receiver${name}: ${channel.io || 'No'}, applier: ${channel.sql || 'No'}`;
  if (errno === 0) {
    const isConnecting = channel.io === 'Connecting';
    return fault(
      `stopped (${parts}): no change arrives in B`,
      isConnecting ? `Wait, then look at ${show}` : `On B: ${start}`,
    );
  }
  return fault(
    `stopped (${parts}) by error ${errno}: no change arrives in B`,
    `${hint ?? `Remove the cause, which ${show} on B tells`}; then ${start}`,
  );
}

function judgeFilters(b: ReplicaFacts): Verdict {
  if ('lacking' in b.filters) {
    return unseen('they cannot be seen', b.filters.lacking, b.account);
  }
  const tables = [...b.tables.keys(), 'tidemark_migrations'];
  for (const filters of b.filters.value) {
    const dropped = tables.flatMap((table) => {
      const filter = droppedBy(filters, b.database, table);
      return filter === undefined ? [] : [{ table, filter }];
    });
    const [first] = dropped;
    if (first === undefined) continue;
    const names = dropped.map(({ table }) => table).join(', ');
    return fault(
      `${first.filter} drops ${names} of ${b.database}: their changes do not arrive`,
      `Change ${first.filter} so that it lets them pass, and clone the tables anew`,
    );
  }
  return ok("none that drops Tidemark's tables");
}

function judgeReplicaTriggers(b: ServerFacts): Verdict {
  const value = b.variables.get('slave_run_triggers_for_rbr') ?? 'NO';
  if (value === 'NO') return ok('triggers do not run for replicated rows');
  return fault(
    `slave_run_triggers_for_rbr is ${value}: each change takes a version twice, and replication stops`,
    'SET GLOBAL slave_run_triggers_for_rbr = NO (with the replica stopped)',
  );
}

function judgeCommitOrder(b: ServerFacts): Verdict {
  if (b.flavor === 'mariadb') {
    const domains = (b.variables.get('gtid_slave_pos') ?? '').split(',').filter(Boolean);
    const threads = Number(b.variables.get('slave_parallel_threads') ?? 0);
    if (threads === 0 || domains.length < 2) return ok("A's order");
    return warning(
      `${domains.length} GTID domains are applied in parallel: each keeps its order, not all together`,
      'Let all writers of the tracked tables use one gtid_domain_id',
    );
  }
  const get = (name: string) =>
    b.variables.get(`replica_${name}`) ?? b.variables.get(`slave_${name}`) ?? '';
  const workers = Number(get('parallel_workers'));
  if (workers < 2 || get('preserve_commit_order') === 'ON') return ok("A's order");
  return warning(
    `replica_preserve_commit_order is off with ${workers} workers: tracked changes keep their order ` +
      'even so, but B shows states of the whole that A never had, and early wake can miss some',
    'STOP REPLICA SQL_THREAD; SET PERSIST replica_preserve_commit_order = ON; START REPLICA SQL_THREAD',
  );
}

function judgeGtid(server: SourceFacts | ReplicaFacts, earlyWake: 'auto' | 'off'): Verdict {
  const bad = (cause: string, remedy: string) =>
    earlyWake === 'off'
      ? ok(`${cause}; not needed with EARLY_WAKE=off`)
      : warning(`${cause}: no early wake, changes are found at POLL_INTERVAL_MS only`, remedy);
  if (server.flavor === 'mysql') {
    const mode = server.variables.get('gtid_mode') ?? 'OFF';
    if (mode.startsWith('ON')) return ok(`gtid_mode is ${mode}`);
    return bad(
      `gtid_mode is ${mode}`,
      'Go to SET PERSIST gtid_mode = ON in steps (OFF_PERMISSIVE, ON_PERMISSIVE, ON), with ' +
        'enforce_gtid_consistency = ON, on A and B',
    );
  }
  if (!('channels' in server)) return ok('always on in MariaDB');
  const usesNone = 'value' in server.channels && server.channels.value.some((c) => !c.usesGtid);
  if (!usesNone && server.variables.get('gtid_slave_pos')) return ok('replicates by GTID');
  return bad(
    'it does not replicate by GTID',
    'On B: STOP SLAVE; CHANGE MASTER TO MASTER_USE_GTID = slave_pos; START SLAVE',
  );
}

function judgeServers(a: SourceFacts, b: ReplicaFacts): Verdict {
  const id = (server: ServerFacts) =>
    server.variables.get('server_uuid') ?? server.variables.get('server_uid');
  if (id(a) !== undefined && id(a) === id(b)) {
    return fault('both URLs reach one server', 'Let MYSQL_B_URL name the replica in data center B');
  }
  if (a.flavor !== b.flavor) {
    return warning(
      `${a.flavor} in A and ${b.flavor} in B: their collations have different names`,
      'Use the same server in both data centers',
    );
  }
  const sources = 'value' in b.channels ? b.channels.value : [];
  const serverId = a.variables.get('server_id') ?? '';
  if (sources.length > 0 && !sources.some(({ sourceServerId }) => sourceServerId === serverId)) {
    return warning(
      `B follows server ${sources.map((one) => one.sourceServerId).join(', ')}, A is ${serverId}: ` +
        'fine if that one follows A',
      'If it does not, let MYSQL_A_URL name the source that B follows',
    );
  }
  return ok(sources.length > 0 ? 'B follows A' : 'two servers');
}

function judgeHop(hop: Facts['hop']): Verdict {
  if (hop === undefined) return unknown('one of them has no log to be read', 'See "tables"');
  const { headA, headBBefore, headBAfter, fingerprintA, fingerprintB, waitedMs } = hop;
  if (fingerprintA !== undefined && fingerprintB !== undefined && fingerprintA !== fingerprintB) {
    return fault(
      `version ${Math.min(headA, headBAfter)} is another change in A than in B: B was written to ` +
        'directly, or follows another history',
      'Clone B anew from A, and keep it read-only',
    );
  }
  const seconds = `${(waitedMs / 1000).toFixed(1)} s`;
  const left = `${headA - headBAfter} of A's changes had not arrived after ${seconds}`;
  if (headBAfter < headA && headBAfter === headBBefore) {
    return fault(
      `${left}, and none came: replication does not carry the log (B is at ${headBAfter}, A at ${headA})`,
      'See "replication" and "filters"; what they cannot see, SHOW REPLICA STATUS on B tells',
    );
  }
  if (headBAfter < headA) {
    return warning(`${left}: B lags, but moves`, 'Wait, then run tidemark doctor again');
  }
  return ok(`B has A's newest change, version ${headA}`);
}

function judgePackets(a: ServerFacts, b: ServerFacts): Verdict {
  const bytes = (server: ServerFacts, name: string) => Number(server.variables.get(name) ?? 0);
  const [ofA, ofB] = [bytes(a, 'max_allowed_packet'), bytes(b, 'max_allowed_packet')];
  const applier =
    bytes(b, 'replica_max_allowed_packet') || bytes(b, 'slave_max_allowed_packet') || ofB;
  if (applier < ofA) {
    return fault(
      `B applies changes of at most ${applier} bytes, A takes ${ofA}: a large one stops replication`,
      `On B: SET GLOBAL ${b.flavor === 'mysql' ? 'replica' : 'slave'}_max_allowed_packet = 1073741824`,
    );
  }
  if (ofB < ofA) {
    return warning(
      `max_allowed_packet is ${ofB} bytes in B and ${ofA} in A: a value that A takes may be too ` +
        'large for B to hand out',
      `On B: SET GLOBAL max_allowed_packet = ${ofA}, and the same in its configuration`,
    );
  }
  return ok(`max_allowed_packet is ${ofA} bytes in A, ${ofB} in B`);
}
