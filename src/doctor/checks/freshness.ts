/** Checks of clocks, heartbeat and retention: what the age of an answer is told from. */
import type { Announcement } from '../../core/announcement.js';
import type { ClockFacts, DoctorSettings, LogFacts } from '../facts.js';
import { type Check, check, fault, ok, unknown, type Verdict, warning } from '../finding.js';

export const FRESHNESS_CHECKS: readonly Check[] = [
  check('MySQL-A', 'clock', ['a'], ({ a, settings }) =>
    judgeClock(
      [
        ['MySQL-A', a.clock],
        ['this machine', HERE],
      ],
      settings,
    ),
  ),
  check('MySQL-B', 'clock', ['b'], ({ b, settings }) =>
    judgeClock(
      [
        ['MySQL-B', b.clock],
        ['this machine', HERE],
      ],
      settings,
    ),
  ),
  check('A to B', 'clocks', ['a', 'b'], ({ a, b, settings }) =>
    judgeClock(
      [
        ['MySQL-A', a.clock],
        ['MySQL-B', b.clock],
      ],
      settings,
    ),
  ),
  check('MySQL-A', 'heartbeat', ['a'], ({ a, settings }) => judgeHeartbeat(a.log, settings)),
  check('MySQL-B', 'heartbeat', ['b'], ({ a, b, settings }) =>
    judgeArrival(a?.log, b.log, settings),
  ),
  check('MySQL-A', 'retention', ['a'], ({ a, settings, redis }) =>
    judgeRetention(a.log, settings, redis?.readers ?? []),
  ),
  check('MySQL-B', 'retention', ['b'], ({ b, settings, redis }) =>
    judgeRetention(b.log, settings, redis?.readers ?? []),
  ),
];

const HERE: ClockFacts = { aheadMs: 0, errorMs: 0 };
/** Beyond this a difference is worth a look; time services keep some ms. */
const NOTABLE_SKEW_MS = 500;
const NO_LOG = unknown('no log to be read', 'See "tables"');
/** Pruning looks each minute, and takes a while to catch up after an outage. */
const PRUNING_GRACE_MS = 60 * 60 * 1000;
/** Changes that a reader takes in within a moment. */
const NOTABLE_LAG = 1_000;
const READER_REMEDY =
  'Look why it is slow (tidemark status, its log), or set a longer RETENTION_HOURS';

type Named = readonly [name: string, clock: ClockFacts];

function judgeClock(
  [one, other]: readonly [Named, Named],
  { staleAfterMs }: DoctorSettings,
): Verdict {
  const aheadMs = one[1].aheadMs - other[1].aheadMs;
  const errorMs = one[1].errorMs + other[1].errorMs;
  const sureMs = Math.max(0, Math.abs(aheadMs) - errorMs);
  const [first, second] = aheadMs >= 0 ? [one[0], other[0]] : [other[0], one[0]];
  if (sureMs < NOTABLE_SKEW_MS) {
    return ok(
      `${one[0]} and ${other[0]} agree within ${Math.ceil(Math.abs(aheadMs) + errorMs)} ms`,
    );
  }
  const cause = `${first} is ${shown(sureMs)} ahead of ${second}: answers can look older than they are`;
  const remedy = 'Set the clocks of both machines by a time service (chronyc tracking)';
  return sureMs > staleAfterMs
    ? fault(`${cause}, all of them stale (STALE_AFTER_MS)`, remedy)
    : warning(cause, remedy);
}

function judgeHeartbeat(log: LogFacts | undefined, { staleAfterMs }: DoctorSettings): Verdict {
  if (log === undefined) return NO_LOG;
  if (log.beatAgeMs <= staleAfterMs) return ok(`${shown(log.beatAgeMs)} ago`);
  return warning(
    `${shown(log.beatAgeMs)} ago: without one each second, answers are marked stale and age ` +
      'bounds fail',
    'Run a write app in A (tidemark write); its log says why a heartbeat fails',
  );
}

/** B's own part: what A's heartbeat is already old for is said there. */
function judgeArrival(
  ofA: LogFacts | undefined,
  ofB: LogFacts | undefined,
  settings: DoctorSettings,
): Verdict {
  if (ofB === undefined) return NO_LOG;
  if (ofA === undefined) return judgeHeartbeat(ofB, settings);
  if (ofA.beatAgeMs > settings.staleAfterMs) return ok('as old as in A');
  if (ofB.beatAgeMs <= settings.staleAfterMs) return ok(`${shown(ofB.beatAgeMs)} ago`);
  return warning(
    `${shown(ofB.beatAgeMs)} old here, ${shown(ofA.beatAgeMs)} in A: answers are marked stale`,
    'See "replication" and "clocks"',
  );
}

function judgeRetention(
  log: LogFacts | undefined,
  { retentionHours }: DoctorSettings,
  readers: readonly Announcement[],
): Verdict {
  if (log === undefined) return NO_LOG;
  if (log.oldest === undefined) {
    return fault(
      'the log is empty: no position can be checked, each poll starts all over',
      'Write to the tracked table once; let nothing but the write app delete from config_changes',
    );
  }
  const rows = log.head - log.oldest.version + 1;
  const spans = `${rows} changes, the oldest from ${shown(log.oldest.ageMs)} ago`;
  if (rows > 1 && log.oldest.ageMs > retentionHours * 3_600_000 + PRUNING_GRACE_MS) {
    return warning(
      `${spans}, over RETENTION_HOURS (${retentionHours}): nothing prunes the log, it grows`,
      'Run a write app in A (tidemark write) whose account may DELETE from config_changes',
    );
  }
  const [slowest] = readers.toSorted((one, other) => one.applied - other.applied);
  if (slowest === undefined) return ok(spans);
  const name = `${slowest.host}:${slowest.pid}`;
  if (slowest.applied < log.oldest.version) {
    return warning(
      `the slowest reader (${name}) is at version ${slowest.applied}, which was pruned (the log ` +
        `begins at ${log.oldest.version}): it starts again with an empty cache`,
      READER_REMEDY,
    );
  }
  const behind = slowest.head - slowest.applied; // by its own account, all of it from one moment
  if (behind > NOTABLE_LAG && behind > rows / 2) {
    return warning(
      `${spans}; the slowest reader (${name}) lacks ${behind} of them, and they are pruned by their age`,
      READER_REMEDY,
    );
  }
  return ok(`${spans}; the slowest reader lacks ${behind}`);
}

function shown(ms: number): string {
  const seconds = ms / 1000;
  if (Math.abs(seconds) >= 7200) return `${Math.round(seconds / 3600)} h`;
  return Math.abs(seconds) >= 120 ? `${Math.round(seconds / 60)} min` : `${seconds.toFixed(1)} s`;
}
