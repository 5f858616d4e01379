/**
 * The mark: up to where Redis is coherent, kept in Redis itself beside the entries it vouches for.
 * One string, `<generation> <version> <fingerprint>`. Scripts read its first two words only.
 */
import type { Position } from './position.js';

export interface Mark {
  /** Part of every entry's key; a new one makes all older entries unreachable at once. */
  readonly generation: string;
  readonly position: Position;
}

export function encodeMark(mark: Mark): string {
  return `${mark.generation} ${mark.position.version} ${mark.position.fingerprint}`;
}

/** The mark in `text`, or undefined when it is not one. */
export function decodeMark(text: string): Mark | undefined {
  const parts = /^([\w-]{1,64}) (\d{1,16}) ([\s\S]*)$/.exec(text);
  const version = Number(parts?.[2]);
  if (parts?.[1] === undefined || !Number.isSafeInteger(version)) return undefined;
  return { generation: parts[1], position: { version, fingerprint: parts[3] ?? '' } };
}
