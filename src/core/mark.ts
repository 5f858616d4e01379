/**
 * The mark: the position at which Redis is coherent, kept in Redis itself beside the entries it
 * vouches for. One string, `<generation> <version> <fingerprint> <crc32>`; one that does not decode
 * is no mark. The scripts read its first two words.
 */
import { crc32 } from 'node:zlib';
import { formatPosition, type Position, parsePosition } from './position.js';

export interface Mark {
  /** Part of every entry's key; a new one makes all older entries unreachable at once. */
  readonly generation: string;
  readonly position: Position;
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
