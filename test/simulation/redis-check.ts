/** Looks into Redis: every entry under a mark that the log confirms is the truth at that mark. It reads
 * the texts by itself: a decoder of the product that is wrong would not see what it has wrong. */
import { parseEntry, parseMark } from '../support/stored-text.js';
import type { DataCenterB } from './data-center-b.js';
import type { SimulatedRedis } from './fake-redis.js';
import { Violation } from './violation.js';

const MARK = /^(.+\}):mark$/;

/** @throws Violation */
export function judgeMarks(redis: SimulatedRedis, { history, head }: DataCenterB): void {
  const names = redis.keys;
  for (const name of names) {
    const tag = MARK.exec(name)?.[1];
    const mark = tag === undefined ? undefined : parseMark(redis.get(name) ?? '');
    if (mark === undefined) continue;
    const { version, fingerprint } = mark;
    if (version > head || history.fingerprintAt(version) !== fingerprint) continue;
    const prefix = `${tag}:${mark.generation}:`;
    for (const entryName of names) {
      if (!entryName.startsWith(prefix)) continue;
      const text = redis.get(entryName);
      const bytes = Buffer.from(text ?? '', 'latin1');
      const entry = text === undefined ? undefined : parseEntry(bytes);
      if (entry === undefined) continue;
      const truth = history.valueAt(entryName.slice(prefix.length), version);
      if (entry.value === null ? truth === null : truth?.equals(entry.value) === true) continue;
      const told = `${entryName} = ${entry.value} at mark ${version}, the truth is ${truth}`;
      throw new Violation('marks honest', told);
    }
  }
}
