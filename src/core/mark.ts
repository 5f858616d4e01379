/**
 * The mark: the position at which Redis is coherent, kept in Redis itself beside the entries it
 * vouches for. One string, `<generation> <version> <fingerprint> <crc32>`; one that does not decode
 * is no mark. The scripts read its first two words.
 *
 * A generation's name also tells which rebase was the newest that anyone had asked for when it began
 * (`tidemark rebase`), as a number that only grows; so one that is older can be told.
 */
import { crc32 } from 'node:zlib';
import { formatPosition, type Position, parsePosition } from './position.js';

export interface Mark {
  /** Part of every entry's key; a new one makes all older entries unreachable at once. */
  readonly generation: string;
  readonly position: Position;
}

/** @param fresh a name that no earlier generation had @param asked 0 when none was asked for */
export function generationName(fresh: string, asked: number): string {
  return asked === 0 ? fresh : `asked-${asked}-${fresh}`;
}

/** The newest rebase that was asked for when this generation began; 0 when there was none. */
export function askedIn(generation: string): number {
  return Number(/^asked-(\d{1,15})-/.exec(generation)?.[1] ?? 0);
}

export function encodeMark({ generation, position }: Mark): string {
  const words = `${generation} ${formatPosition(position)}`;
  return `${words} ${crc32(words)}`;
}

/** The mark in `text`, or undefined when it is not one. */
export function decodeMark(text: string): Mark | undefined {
  const [generation = '', version, fingerprint] = text.split(' ');
  const position = parsePosition(version, fingerprint);
  if (position === undefined || !/^[\w-]{1,64}$/.test(generation)) return undefined;
  const mark = { generation, position };
  return encodeMark(mark) === text ? mark : undefined;
}
