/**
 * MySQL-B as a reader meets it: the statements of `MysqlLog`, each answered from one snapshot. Runs
 * of any length keep no rows: a replica is a history and a moment in it.
 */
import { createHash } from 'node:crypto';
import { type Session, SimulationGap, type SqlValue } from './fake-pool.js';
import { type History, type Moment, printed } from './history.js';

export interface Snapshot {
  readonly history: History;
  readonly moment: Moment;
  /** The server's clock. */
  readonly clockMs: number;
}

type Row = Record<string, unknown>;
type Answer = (snapshot: Snapshot, values: readonly SqlValue[]) => Row[];

const STATEMENTS: [pattern: RegExp, answer: (found: RegExpExecArray, bytes?: number) => Answer][] =
  [
    [
      /^SELECT character_set_name AS charset, collation_name AS collation FROM information_schema/,
      () => () => [{ charset: 'utf8mb4', collation: 'utf8mb4_bin' }],
    ],
    [
      statement(
        'FROM config_changes c STRAIGHT_JOIN config_stream s ON s\\.id = 1 ' +
          'WHERE c\\.version (>=|>) \\? ORDER BY c\\.version LIMIT (\\d+)',
      ),
      ([, operator, limit]) =>
        (snapshot, [from]) =>
          withStream(snapshot, firstOf(from, operator), Number(limit)).filter(
            ({ version }) => version !== null,
          ),
    ],
    [
      statement(
        'FROM config_stream s LEFT JOIN \\( SELECT version, table_name, row_key, changed_at ' +
          'FROM config_changes WHERE version (>=|>) \\? ORDER BY version LIMIT (\\d+)\\) c ON TRUE ' +
          'WHERE s\\.id = 1 ORDER BY c\\.version',
      ),
      ([, operator, limit]) =>
        (snapshot, [from]) =>
          withStream(snapshot, firstOf(from, operator), Number(limit)),
    ],
    [
      statement(
        'FROM config_stream s LEFT JOIN config_changes c ON c\\.version = s\\.head WHERE s\\.id = 1',
      ),
      () => (snapshot) => withStream(snapshot, snapshot.moment.head, 1),
    ],
    [
      statement(
        'FROM config_stream s LEFT JOIN config_changes c ON c\\.version = s\\.head ' +
          'LEFT JOIN config_changes p ON p\\.version = GREATEST\\(s\\.head, 1\\) - 1 ' +
          "LEFT JOIN `configs` t ON c\\.version > \\? AND c\\.table_name = 'configs' AND " +
          't\\.`config_key` = CONVERT\\(c\\.row_key USING utf8mb4\\) COLLATE (\\w+) WHERE s\\.id = 1',
        ', p\\.version AS before_version, .* AS before_at, ' +
          'CONVERT\\(t\\.`config_key` USING utf8mb4\\) AS own_key, .* AS own_version, ' +
          'LENGTH\\(t\\.`config_value`\\) AS bytes, ' +
          'IF\\(LENGTH\\(t\\.`config_value`\\) <= (\\d+), CAST\\(.* AS BINARY\\), NULL\\) AS content',
      ),
      ([, mostBytes, collation], bytes) =>
        (snapshot, [seen]) => {
          const { history, moment } = snapshot;
          const { head } = moment;
          const [newest] = withStream(snapshot, head, 1);
          const before = history.log(head - 1, 2, head).find(({ version }) => version < head);
          const row = {
            ...newest,
            before_version: before?.version ?? null,
            before_table: before?.table ?? null,
            before_key: before?.key ?? null,
            before_at: before?.changedAt ?? null,
          };
          const isWanted = newest?.row_key != null && head > Number(seen);
          const found = isWanted ? rowsOf(history, head, [newest.row_key]) : [];
          const nothing = { own_key: null, collation: null, own_version: null, bytes: null };
          if (found.length === 0) return [{ ...row, ...nothing, content: null }];
          return found.map(({ row_key, version, value_bytes }) => {
            const size = bytes ?? value_bytes.length;
            const content = size <= Number(mostBytes) ? value_bytes : null;
            const own = { own_key: row_key, own_version: version, bytes: size, content };
            return { ...row, ...own, collation };
          });
        },
    ],
    [
      /^SELECT s\.head, c\.table_name AS head_table, .* LENGTH\(t\.`config_value`\) AS bytes, (SHA2|CAST|IF)\(.* AS content FROM config_stream s LEFT JOIN config_changes c ON c\.version = s\.head LEFT JOIN `configs` t ON t\.`config_key` IN \([?, ]+\) WHERE s\.id = 1$/,
      ([, selected], bytes) =>
        ({ history, moment: { head } }, values) => {
          const isBounded = selected === 'IF';
          const keys = isBounded ? values.slice(1) : values;
          const mostBytes = isBounded ? Number(values[0]) : Number.POSITIVE_INFINITY;
          const [row] = history.log(head, 1, head);
          const stream = {
            head,
            head_table: row?.table ?? null,
            head_key: row?.key ?? null,
            head_at: row?.changedAt ?? null,
          };
          const rows = rowsOf(history, head, keys).map(({ value_bytes: value, ...found }) => {
            const size = bytes ?? value.length;
            const content = selected === 'SHA2' ? sha256(value) : size <= mostBytes ? value : null;
            return { ...stream, ...found, bytes: size, content };
          });
          if (rows.length > 0) return rows;
          return [{ ...stream, row_key: null, version: null, bytes: null, content: null }];
        },
    ],
  ];

/** One that shows head, heartbeat and rows of the log, and `more`. */
function statement(from: string, more = ''): RegExp {
  const columns =
    's\\.head, CAST\\(s\\.beat_at AS CHAR\\) AS beat_at, ' +
    'CAST\\(UTC_TIMESTAMP\\(6\\) AS CHAR\\) AS now_at, ' +
    'c\\.version, c\\.table_name, c\\.row_key, CAST\\(c\\.changed_at AS CHAR\\) AS changed_at';
  return new RegExp(`^SELECT ${columns}${more} ${from}$`);
}

function firstOf(from: SqlValue | undefined, operator: string | undefined): number {
  return Number(from) + (operator === '>' ? 1 : 0);
}

const known = new Map<string, Answer>();

/**
 * @param snapshot which replica answers, and how far it is
 * @param bytes what every value's size is said to be, to have pages cut without holding megabytes
 */
export function replicaSession(snapshot: () => Snapshot, bytes?: number): Session {
  return {
    execute(sql, values) {
      const name = `${bytes} ${sql}`;
      let answer = known.get(name);
      if (answer === undefined) {
        answer = answerTo(sql, bytes);
        known.set(name, answer);
      }
      return answer(snapshot(), values);
    },
    close() {},
  };
}

function answerTo(sql: string, bytes?: number): Answer {
  const text = sql.replaceAll(/\s+/g, ' ').trim();
  for (const [pattern, answer] of STATEMENTS) {
    const found = pattern.exec(text);
    if (found !== null) return answer(found, bytes);
  }
  throw new SimulationGap(`Expected a statement that the simulated replica knows, got ${text}`);
}

function withStream({ history, moment, clockMs }: Snapshot, from: number, limit: number) {
  const { head, beatAt } = moment;
  const stream = { head, beat_at: beatAt, now_at: printed(clockMs) };
  const rows = history.log(from, limit, head).map((row) => ({
    ...stream,
    version: row.version,
    table_name: row.table,
    row_key: row.key,
    changed_at: row.changedAt,
  }));
  if (rows.length > 0) return rows;
  return [{ ...stream, version: null, table_name: null, row_key: null, changed_at: null }];
}

function rowsOf(history: History, head: number, keys: readonly SqlValue[]) {
  const rows: { row_key: string; version: number; value_bytes: Buffer }[] = [];
  const asked = new Set<string>();
  for (const key of keys) {
    const collated = history.collate(String(key));
    if (asked.has(collated)) continue;
    asked.add(collated);
    for (const alike of history.alike(String(key))) {
      const value_bytes = history.valueAt(alike, head);
      if (value_bytes === null) continue;
      rows.push({ row_key: alike, version: history.changeAt(alike, head), value_bytes });
    }
  }
  return rows;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
