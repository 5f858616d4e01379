/**
 * What a replica has executed, and which transaction to wait for next.
 *
 * A replica's GTIDs come in streams: a server's uuid (with a tag, if it has one) on MySQL, a domain
 * and server on MariaDB. The stream that carries data center A's changes is not told by a name: after
 * a failover it is another one, and a replica may follow several sources. It shows by its moves:
 * whenever a poll brings news, the carrier has moved. One that stood still then is not the carrier;
 * among those that always moved, it is the one whose moves come with news most often.
 * A wrong guess costs an early wake, never a poll.
 */

/** Per stream, the ends of its intervals in ascending order: one, unless it has gaps. A stream is
 * named by what stands before the number: `uuid:`, `uuid:tag:`, or `domain-server-`. */
export type GtidSet = ReadonlyMap<string, readonly bigint[]>;

/** How much one move says, against all before it. */
const MOVE_WEIGHT = 0.2;
const INTERVAL = /^(?:\d+-)?(\d+)$/;
/** A uuid, and intervals; a tag begins a stream of its own. */
const EXECUTED =
  /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}(:[a-z_]\w{0,31})?(:\d+(-\d+)?|:\d+(-\d+)?:[a-z_]\w{0,31}(?=:))+$/i;

/** MySQL's `gtid_executed`: `uuid:1-5:7:tag:1-3, ...`.
 * @throws TypeError when the text is something else */
export function parseExecutedSet(text: string): GtidSet {
  const set = new Map<string, bigint[]>();
  for (const part of partsOf(text)) {
    if (!EXECUTED.test(part)) {
      throw new TypeError('Expected a set of GTIDs like uuid:1-5, got another text.');
    }
    const [uuid, ...words] = part.split(':');
    let stream = `${uuid}:`;
    for (const word of words) {
      const [, end] = INTERVAL.exec(word) ?? [];
      if (end === undefined) stream = `${uuid}:${word}:`;
      else set.set(stream, [...(set.get(stream) ?? []), BigInt(end)]);
    }
  }
  return set;
}

/** MariaDB's `gtid_slave_pos`: `domain-server-sequence, ...`, the last one of each domain.
 * @throws TypeError when the text is something else */
export function parseSlavePosition(text: string): GtidSet {
  return new Map(
    partsOf(text).map((part) => {
      const [, stream, sequence] = /^(\d+-\d+-)(\d+)$/.exec(part) ?? [];
      if (stream !== undefined && sequence !== undefined) return [stream, [BigInt(sequence)]];
      throw new TypeError('Expected GTIDs like 0-1-5, got another text.');
    }),
  );
}

function partsOf(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  return parts.filter((part) => part !== '');
}

interface Stream {
  /** The end of the interval that grew last. */
  readonly end: bigint;
  /** How often its moves came with news, from 0 to 1; recent moves count more. */
  readonly score: number;
}

/** Follows the stream that carries what a reader is after. */
export class Carrier {
  #seen: GtidSet | undefined;
  #streams: ReadonlyMap<string, Stream> = new Map();
  #followed: string | undefined;

  /** Takes in a later set; `news`: whether the log has moved since the earlier one. */
  observe(set: GtidSet, news: boolean): void {
    const isFirst = this.#seen === undefined; // it shows where the streams are, and no move
    const streams = new Map<string, Stream>();
    for (const [name, ends] of set) {
      const before = this.#streams.get(name) ?? { end: 0n, score: 0 };
      const known = this.#seen?.get(name) ?? [];
      const hasMoved = !isFirst && ends.join() !== known.join();
      const grownTo = ends.findLast((end) => !known.includes(end));
      const end = grownTo ?? ends.find((one) => one >= before.end) ?? ends.at(-1) ?? 0n;
      streams.set(name, { end, score: isFirst ? 0 : scoreAfter(before.score, hasMoved, news) });
    }
    this.#seen = set;
    this.#streams = streams;
    this.#followed = this.#choose();
  }

  /** The GTID to wait for: the next one of the carrier; undefined when there is no stream. */
  get next(): string | undefined {
    const stream = this.#streams.get(this.#followed ?? '');
    return stream === undefined ? undefined : `${this.#followed}${stream.end + 1n}`;
  }

  /** The best score; without any, the one followed so far; else the longest. */
  #choose(): string | undefined {
    const all = [...this.#streams];
    const followed = this.#streams.get(this.#followed ?? '');
    const best = all.reduce((most, [, { score }]) => Math.max(most, score), 0);
    if (followed !== undefined && followed.score === best) return this.#followed;
    if (best > 0) return all.find(([, { score }]) => score === best)?.[0];
    return all.toSorted(([, one], [, other]) => Number(other.end - one.end))[0]?.[0];
  }
}

function scoreAfter(score: number, hasMoved: boolean, news: boolean): number {
  if (!hasMoved) return news ? 0 : score;
  return score + MOVE_WEIGHT * ((news ? 1 : 0) - score);
}
