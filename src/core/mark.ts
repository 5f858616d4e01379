/**
 * The mark: the position at which Redis is coherent, kept in Redis itself beside the entries it
 * vouches for. One string, `<generation> <version> <fingerprint>`.
 */
import { formatPosition, type Position, parsePosition } from './position.js';

export interface Mark {
  /** Part of every entry's key; a new one makes all older entries unreachable at once. */
  readonly generation: string;
  readonly position: Position;
}

export function encodeMark({ generation, position }: Mark): string {
  return `${generation} ${formatPosition(position)}`;
}

/** The mark in `text`, or undefined when it is not one. */
export function decodeMark(text: string): Mark | undefined {
  const [generation = '', version, fingerprint, ...rest] = text.split(' ');
  const position = parsePosition(version, fingerprint);
  if (!/^[\w-]{1,64}$/.test(generation) || rest.length > 0) return undefined;
  return position === undefined ? undefined : { generation, position };
}
