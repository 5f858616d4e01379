/**
 * The poll decision: what a snapshot of the log means to one who stands at a position in it.
 *
 * Invariant: a page is handed out only when the log still holds the row at which the position
 * stands, unchanged, and every version after it up to the page's end. Anything else is a rebase:
 * the log was pruned past the position, has a hole, or tells another history than before.
 * Readers (local tier) and Redis (marks) have their positions judged by this one function.
 */

import { createHash } from 'node:crypto';

/** One row of `config_changes`. `changedAt` is UTC, as the server prints it. */
export interface LogRow {
  readonly version: number;
  readonly table: string;
  readonly key: string;
  readonly changedAt: string;
}

/** What one `poll` statement saw: the head, the heartbeat, and rows in order of version. */
export interface LogSnapshot {
  readonly head: number;
  /** Data center A's clock at its last heartbeat, ms since the epoch. */
  readonly beatAtMs: number;
  /** MySQL-B's own clock when it was asked, ms since the epoch. */
  readonly clockMs: number;
  readonly rows: readonly LogRow[];
}

/** A place in the log. The fingerprint is '' where the log did not hold that row. */
export interface Position {
  readonly version: number;
  readonly fingerprint: string;
}

export const REBASE_REASONS = [
  'start',
  'pruned',
  'gap',
  'diverged',
  'regressed',
  /** A change was found that is not in the log. */
  'audit',
  /** Someone asked for it, by `tidemark rebase`. */
  'asked',
] as const;
export type RebaseReason = (typeof REBASE_REASONS)[number];

export type Verdict =
  | { readonly kind: 'idle' }
  /** The head is older than the position: a lagging replica, or a history that lost its tail. */
  | { readonly kind: 'behind' }
  | { readonly kind: 'page'; readonly page: Page }
  | {
      readonly kind: 'rebase';
      readonly reason: Extract<RebaseReason, 'pruned' | 'gap' | 'diverged'>;
    };

/** The changes after `from` up to `to`; `rows` are in order and without gaps. */
export interface Page {
  readonly from: Position;
  readonly to: Position;
  readonly rows: readonly LogRow[];
}

/** Identifies a row of the log: a rewritten history has other rows at the same versions. */
export function fingerprintOf(row: LogRow): string {
  const identity = `${row.changedAt}\0${row.table}\0${row.key}`;
  return createHash('sha256').update(identity).digest('base64url').slice(0, 12);
}

export function positionOf(row: LogRow): Position {
  return { version: row.version, fingerprint: fingerprintOf(row) };
}

/** `<version> <fingerprint>`, as it stands in marks and entries. */
export function formatPosition({ version, fingerprint }: Position): string {
  return `${version} ${fingerprint || '-'}`;
}

/** What `formatPosition` wrote, from its two words; undefined when it is not that. */
export function parsePosition(version = '', fingerprint = ''): Position | undefined {
  if (!/^\d{1,16}$/.test(version) || !/^[\w-]{1,64}$/.test(fingerprint)) return undefined;
  if (!Number.isSafeInteger(Number(version))) return undefined;
  return { version: Number(version), fingerprint: fingerprint === '-' ? '' : fingerprint };
}

/**
 * Judges `position` by a snapshot whose rows start at or before it (rows before it are passed
 * over). A hole further on ends the page before it; the next poll then stands at its edge.
 */
export function decide(position: Position, snapshot: LogSnapshot): Verdict {
  if (snapshot.head < position.version) return { kind: 'behind' };
  const rows = snapshot.rows.filter((row) => row.version >= position.version);
  const own = rows[0]?.version === position.version ? rows[0] : undefined;
  if (own === undefined && position.fingerprint !== '') {
    return { kind: 'rebase', reason: rows.length > 0 ? 'pruned' : 'gap' };
  }
  if (own !== undefined && fingerprintOf(own) !== position.fingerprint) {
    return { kind: 'rebase', reason: 'diverged' };
  }
  const next = contiguous(position.version, own === undefined ? rows : rows.slice(1));
  const last = next.at(-1);
  if (last !== undefined) {
    return { kind: 'page', page: { from: position, to: positionOf(last), rows: next } };
  }
  return position.version === snapshot.head ? { kind: 'idle' } : { kind: 'rebase', reason: 'gap' };
}

/** The leading rows that continue `version` one by one. */
function contiguous(version: number, rows: readonly LogRow[]): readonly LogRow[] {
  const end = rows.findIndex((row, index) => row.version !== version + 1 + index);
  return end === -1 ? rows : rows.slice(0, end);
}

/**
 * Judges a mark of Redis by the snapshot that was polled for the instance's own position, when that
 * snapshot reaches as far as the mark; 'unseen' when the answer lies outside of it.
 */
export function decideMark(
  mark: Position,
  snapshot: LogSnapshot,
  polled: { readonly from: number; readonly limit: number },
): Verdict | { readonly kind: 'unseen' } {
  const last = snapshot.rows.at(-1)?.version ?? snapshot.head;
  const cutShort = snapshot.rows.length >= polled.limit && last < snapshot.head;
  const outside = mark.version < polled.from || (cutShort && mark.version > last);
  return outside && mark.version <= snapshot.head ? { kind: 'unseen' } : decide(mark, snapshot);
}

/** The first part of a page: as many rows as bring at most `maxBytes` of values, at least one.
 * `sizes` are the values' bytes by key; a key counts where it first comes. */
export function cutPage(page: Page, sizes: ReadonlyMap<string, number>, maxBytes: number): Page {
  const counted = new Set<string>();
  let bytes = 0;
  const end = page.rows.findIndex((row, index) => {
    if (!counted.has(row.key)) bytes += sizes.get(row.key) ?? 0;
    counted.add(row.key);
    return index > 0 && bytes > maxBytes;
  });
  const rows = end === -1 ? page.rows : page.rows.slice(0, end);
  const last = rows.at(-1);
  return last === undefined ? page : { from: page.from, to: positionOf(last), rows };
}

/** The distinct keys of `table` that the page names, in order of first change. */
export function keysOf(page: Page, table: string): string[] {
  return [...new Set(page.rows.filter((row) => row.table === table).map((row) => row.key))];
}
