/**
 * The local tier: entries in this process, and the fills that are on their way into it.
 *
 * Invariant: an entry held here is the truth as of `applied`. `evict` and `clear` are the only ways
 * in which `applied` moves; they remove what changed, and raise the floor of fills in flight, so
 * that a fill that read before the change is not cached after it (R3).
 * Absences have a cache of their own: a flood of keys that do not exist pushes no value out.
 */
import { LRUCache } from 'lru-cache';
import { mayCache } from '../core/coherence.js';
import { Entry } from '../core/entry.js';
import type { Page, Position } from '../core/position.js';
import { Sightings } from './sightings.js';
import { areDifferent, Trail } from './trail.js';

export interface LocalTierOptions {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly ttlMs: number;
  readonly maxAbsences: number;
  readonly negativeTtlMs: number;
}

/** One fill in flight. `floor` is the version up to which its key was evicted since it took off. */
export interface Flight<T> {
  readonly key: string;
  floor: number;
  /** What had been pushed out when it took off: a later read may require more. */
  readonly lostAsOf: number;
  /** As of when an answer for its key was given while it was in flight, which is not held any more. */
  overtakenAsOf: number;
  /** What it brings may not be true, whatever its as-of: its history is no more, or the log was
   * gone around. */
  foreign: boolean;
  readonly landing: Promise<T>;
}

const NOWHERE: Position = { version: 0, fingerprint: '' };
/** What an entry costs beside its value and key: object, map slots, list links. */
const ENTRY_OVERHEAD_BYTES = 256;

export class LocalTier<T> {
  readonly #values: LRUCache<string, Entry>;
  readonly #absences: LRUCache<string, Entry>;
  readonly #flights = new Map<string, Flight<T>>();
  /** Flights that newer reads no longer join, but that still must learn their floor. */
  readonly #detached = new Set<Flight<T>>();
  /** Heads beyond `applied` at which something held or answered here was read. */
  readonly sightings = new Sightings();
  readonly #trail = new Trail();
  /** Fills that landed and were not kept, because their key changed meanwhile (R3). */
  refusedFills = 0;
  #applied = NOWHERE;
  #lostAsOf = 0;
  #rewrites = 0;

  constructor(options: LocalTierOptions) {
    const dispose = (entry: Entry, key: string, reason: LRUCache.DisposeReason) => {
      if (reason === 'set') return;
      this.lost(entry.at);
      this.#overtake(key, entry.asOf);
    };
    this.#values = new LRUCache({
      max: options.maxEntries,
      maxSize: options.maxBytes,
      sizeCalculation: (entry, key) =>
        (entry.value?.length ?? 0) + key.length * 2 + ENTRY_OVERHEAD_BYTES,
      ttl: options.ttlMs,
      noDeleteOnStaleGet: true, // an expired entry is still the answer when nothing else answers
      dispose,
    });
    this.#absences = new LRUCache({
      max: options.maxAbsences,
      ttl: options.negativeTtlMs,
      noDeleteOnStaleGet: true,
      dispose,
    });
  }

  /** The position up to which this tier is coherent. */
  get applied(): Position {
    return this.#applied;
  }

  /** The as-of that an answer from elsewhere must have: not older than `applied`, and not older
   * than an entry that was served from here and then pushed out. */
  get requiredAsOf(): number {
    return Math.max(this.#applied.version, this.#lostAsOf);
  }

  /** How often history was rewritten: an as-of from before means nothing now. */
  get rewrites(): number {
    return this.#rewrites;
  }

  get entries(): number {
    return this.#values.size;
  }

  get absences(): number {
    return this.#absences.size;
  }

  get bytes(): number {
    return this.#values.calculatedSize;
  }

  get flights(): number {
    return this.#flights.size + this.#detached.size;
  }

  get(key: string): Entry | undefined {
    return this.#values.get(key) ?? this.#absences.get(key);
  }

  /** Also an entry whose time to live is over; the reconciler has kept it true all the same. */
  getExpired(key: string): Entry | undefined {
    const options = { allowStale: true };
    return this.#values.get(key, options) ?? this.#absences.get(key, options);
  }

  /** What `get` would answer; looking at it does not make it any younger. */
  peek(key: string): Entry | undefined {
    return this.#values.peek(key) ?? this.#absences.peek(key);
  }

  /** All keys that are held here, absent ones too. */
  keys(): string[] {
    return [...this.#values.keys(), ...this.#absences.keys()];
  }

  /** Says that an answer with this as-of was given and is not kept here. */
  lost(at: Position): void {
    this.#lostAsOf = Math.max(this.#lostAsOf, at.version);
    this.#saw(at);
  }

  #saw(at: Position): void {
    if (at.version > this.#applied.version) this.sightings.add(at);
  }

  /** The fill in flight for `key` that a read starting now may share. */
  flight(key: string): Flight<T> | undefined {
    const flight = this.#flights.get(key);
    return flight?.lostAsOf === this.#lostAsOf ? flight : undefined;
  }

  takeOff(key: string, landing: Promise<T>): Flight<T> {
    const flight = {
      key,
      floor: 0,
      lostAsOf: this.#lostAsOf,
      overtakenAsOf: 0,
      foreign: false,
      landing,
    };
    const before = this.#flights.get(key);
    if (before !== undefined) this.#detached.add(before);
    this.#flights.set(key, flight);
    return flight;
  }

  /** Ends a flight; without an entry when it failed. Returns the newest the tier then knows. */
  land(flight: Flight<T>, entry: Entry | undefined): Entry | undefined {
    if (this.#flights.get(flight.key) === flight) this.#flights.delete(flight.key);
    this.#detached.delete(flight);
    if (this.flights === 0) this.#trail.clear();
    if (entry === undefined) return undefined;
    if (flight.foreign) {
      this.refusedFills += 1;
      return entry;
    }
    const held = this.getExpired(flight.key);
    if (held !== undefined && held.asOf > entry.asOf) return held;
    // An answer that was pushed out meanwhile may have been this key's.
    const lostAsOf = flight.lostAsOf === this.#lostAsOf ? 0 : this.#lostAsOf;
    if (mayCache(entry.asOf, Math.max(flight.floor, lostAsOf))) {
      this.#set(flight.key, entry);
      return entry;
    }
    this.refusedFills += 1;
    this.#delete(flight.key); // older than this answer
    this.lost(entry.at);
    return entry;
  }

  /** Whether the log has told another row than that which was the head when something was read: that
   * was in another history, and is nothing of which to say that it is the truth at this position. */
  denies(at: Position): boolean {
    const { version, fingerprint } = this.#applied;
    if (at.version === version) return areDifferent(at.fingerprint, fingerprint);
    return at.version < version && this.#trail.denies(at);
  }

  /** Takes in a page, which changed `keys`. */
  evict(keys: readonly string[], page: Page): void {
    const { to } = page;
    for (const key of keys) {
      const held = this.getExpired(key);
      if (held !== undefined && held.asOf < to.version) this.#delete(key);
      this.#raiseFloor(key, to.version);
    }
    if (to.version < this.#applied.version) return;
    this.#applied = to;
    if (this.flights > 0) this.#trail.passed(page);
    this.sightings.confirm(to.version);
  }

  /** Replaces the entry of a key by what its change brought (`onChange: 'refresh'`), unless none is
   * held, or one that is as new. @returns whether it did */
  refresh(key: string, entry: Entry): boolean {
    const held = this.peek(key);
    if (held === undefined || held.asOf >= entry.asOf) return false;
    this.#set(key, entry);
    return true;
  }

  /** Forgets one key, and what is in flight for it. */
  forget(key: string): void {
    this.#delete(key);
    this.#raiseFloor(key, Number.POSITIVE_INFINITY);
  }

  /** Forgets all keys, and what is in flight for them; the position stays. For changes that the log
   * does not show: an as-of does not tell what was read before them. */
  forgetAll(): void {
    this.#drop();
    for (const key of [...this.#flights.keys()]) this.#raiseFloor(key, Number.POSITIVE_INFINITY);
    for (const flight of this.#detached) flight.floor = Number.POSITIVE_INFINITY;
  }

  /** Starts again at `position`: nothing that is held is trusted, nor what is in flight from before
   * it; of foreign flights, nothing at all. When history was rewritten, no as-of from before means
   * anything any more. */
  clear(position: Position, rewritten: boolean, areFlightsForeign = rewritten): void {
    this.#drop();
    for (const key of [...this.#flights.keys()]) this.#raiseFloor(key, position.version);
    for (const flight of this.#detached) {
      flight.floor = Math.max(flight.floor, position.version);
      flight.foreign ||= areFlightsForeign;
    }
    this.#applied = position;
    if (rewritten) {
      this.#trail.clear();
      this.#rewrites += 1;
      this.#lostAsOf = 0;
      this.sightings.clear();
    } else {
      this.sightings.forget(position.version);
    }
  }

  #drop(): void {
    this.#values.clear();
    this.#absences.clear();
  }

  /** An entry of `key` was pushed out: what is in flight for it may be older. */
  #overtake(key: string, asOf: number): void {
    const flight = this.#flights.get(key);
    if (flight !== undefined) flight.overtakenAsOf = Math.max(flight.overtakenAsOf, asOf);
    for (const other of this.#detached) {
      if (other.key === key) other.overtakenAsOf = Math.max(other.overtakenAsOf, asOf);
    }
  }

  #raiseFloor(key: string, version: number): void {
    for (const flight of this.#detached) {
      if (flight.key === key) flight.floor = Math.max(flight.floor, version);
    }
    const flight = this.#flights.get(key);
    if (flight === undefined) return;
    flight.floor = Math.max(flight.floor, version);
    // A read that starts from now on requires more than this flight may bring: let it fly alone.
    this.#flights.delete(key);
    this.#detached.add(flight);
  }

  #set(key: string, entry: Entry): void {
    const own = ownBytes(entry);
    const [into, outOf] =
      entry.value === null ? [this.#absences, this.#values] : [this.#values, this.#absences];
    outOf.delete(key);
    into.set(key, own);
    this.#saw(entry.at);
    if (!into.has(key)) this.lost(entry.at); // larger than the whole tier
  }

  #delete(key: string): void {
    this.#values.delete(key);
    this.#absences.delete(key);
  }
}

/** An entry whose value does not keep a whole network buffer alive. */
function ownBytes(entry: Entry): Entry {
  const { value } = entry;
  if (value === null || value.buffer.byteLength <= value.length * 2) return entry;
  return new Entry(entry.at, entry.version, Buffer.from(value));
}
