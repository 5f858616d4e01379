/**
 * Those who write in data center A: the real writer, over the simulated source, and plain SQL. Each
 * value names the write that it came from, so that what is in the log can be told from what was
 * answered.
 */
import { OutcomeUnknownError, PreconditionFailedError } from '../../src/errors.js';
import type { PutCondition } from '../../src/writer/write-plan.js';
import { Writer } from '../../src/writer/writer.js';
import { type Network, type Session, SimulatedPool } from './fake-pool.js';
import type { Change } from './history.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

interface Write {
  readonly name: string;
  readonly keys: readonly string[];
  /** Where the log has it. */
  committed: { readonly from: number; readonly to: number; readonly history: number } | undefined;
  answer: 'none' | 'acknowledged' | 'refused' | 'unknown';
}

const INSERT = 'INSERT INTO `configs` (`config_key`, `config_value`) VALUES (?, ?)';
const IN = 'WHERE `config_key` IN (?)';
const UPDATE = `UPDATE \`configs\` SET \`config_value\` = ELT(FIELD(\`config_key\`, ?), ?) ${IN}`;
const DELETE = `DELETE FROM \`configs\` ${IN}`;

export class Writers implements Network {
  readonly #world: World;
  readonly #pools: SimulatedPool[] = [];
  readonly #writers: Writer[] = [];
  readonly #writes = new Map<string, Write>();
  /** The versions that were answered, and by which write. */
  #answered = new Map<number, string>();
  #count = 0;
  readonly nowMs: () => number;
  epoch = 0;
  failures = 0;
  /** Writes that are not answered yet. */
  inFlight = 0;
  acknowledged = 0;
  unknown = 0;
  refused = 0;

  constructor(world: World) {
    this.#world = world;
    this.nowMs = () => world.clock.nowMs;
    for (let index = 0; index < world.setting.writers; index++) {
      const pool = new SimulatedPool(`writer ${index}`, this, world.scheduler);
      this.#pools.push(pool);
      this.#writers.push(new Writer({ mysql: pool.pool }));
    }
  }

  get count(): number {
    return this.#count;
  }

  get connectionsTaken(): number {
    return this.#pools.reduce((sum, { taken }) => sum + taken, 0);
  }

  connect(): Session {
    return this.#world.source.connect();
  }

  fault(): 'refused' | 'before' | 'after' | undefined {
    if (this.failures === 0) return undefined;
    this.failures -= 1;
    return this.#world.scheduler.one(['refused', 'before', 'after'] as const);
  }

  /** One write: by a writer, when there is one, or by plain SQL. */
  write(): void {
    const { scheduler } = this.#world;
    if (this.#writers.length === 0 || scheduler.random() < 0.3) {
      this.#plainSql();
      return;
    }
    const writer = scheduler.one(this.#writers);
    const keys = this.#someKeys();
    const [key = 'a'] = keys;
    const write = this.#begin(keys);
    const value = `"${write.name}"`;
    const kind = scheduler.pick(6);
    if (kind < 2) this.#put(writer, write, key, value, {});
    else if (kind === 2) this.#put(writer, write, key, value, this.#condition(key));
    else if (kind === 3) this.#delete(writer, write, key);
    else {
      const [first = 'a', ...others] = keys;
      const put = new Map((others.length > 0 ? others : [first]).map((each) => [each, value]));
      const batch = others.length > 0 ? { put, delete: [first] } : { put };
      this.#follow(write, 'batch', writer.batch(batch), () => {});
    }
  }

  /** Called with each transaction's changes; `first` is the version of the first. */
  readonly onCommit = (changes: readonly Change[], first: number): void => {
    const { source, scheduler, b } = this.#world;
    const history = source.history.number;
    const to = first + changes.length - 1;
    if (scheduler.tracing) {
      const told = changes.map(({ key, value }) => `${key} = ${value}`).join(', ');
      scheduler.note(`  commits ${first}-${to}: ${told}`);
    }
    const names = new Set(changes.map(({ value }) => nameIn(value)));
    for (const name of names) {
      const write = name === undefined ? undefined : this.#writes.get(name);
      if (write === undefined) continue;
      if (write.committed !== undefined) this.#broken('acknowledged', write, `is in the log twice`);
      if (write.answer === 'refused') this.#broken('refused', write, 'is in the log all the same');
      write.committed = { from: first, to, history };
      if (write.answer !== 'none') this.#writes.delete(write.name);
    }
    b.arrive();
  };

  /** What was lost with a failover is not asked for any more. */
  historyChanged(): void {
    this.epoch += 1;
    this.#answered = new Map();
  }

  #plainSql(): void {
    const { scheduler, source, setting } = this.#world;
    const session = source.connect();
    const isLarge = scheduler.random() < 0.1;
    const count = isLarge ? 2 + scheduler.pick(3 * setting.pageSize) : 1;
    const keys = Array.from({ length: count }, () => this.#someKeys()[0] ?? 'a');
    this.#count += 1;
    const name = `sql${this.#count}`;
    const isDelete = scheduler.random() < 0.25;
    const statements = async () => {
      if (isLarge) await session.execute('START TRANSACTION', []);
      for (const [index, key] of keys.entries()) {
        const value = `"${name}.${index}"`;
        if (isDelete && index === 0) await session.execute(DELETE, [key]);
        else {
          const found = await session.execute(UPDATE, [key, value, key]);
          const { affectedRows } = found as { affectedRows: number }; // the header of an UPDATE
          if (affectedRows === 0) await session.execute(INSERT, [key, value]);
        }
      }
      if (isLarge) await session.execute('COMMIT', []);
    };
    statements()
      .catch((error: unknown) => scheduler.note(`  ${name} fails: ${error}`)) // and may do so
      .finally(() => session.close());
  }

  #put(writer: Writer, write: Write, key: string, value: string, condition: PutCondition): void {
    const told = `put ${JSON.stringify(condition)}`;
    this.#follow(write, told, writer.put(key, value, condition), ({ version, created }, before) => {
      const existed = before !== null;
      if (created === existed) this.#broken('acknowledged', write, `says created: ${created}`);
      this.#assertHeld(write, key, version, condition);
    });
  }

  #delete(writer: Writer, write: Write, key: string): void {
    this.#follow(write, 'delete', writer.delete(key), ({ version, deleted }) => {
      const { history } = this.#world.source;
      if (!deleted) return;
      if (history.keyAt(version) !== key || history.valueAt(key, version) !== null) {
        this.#broken('acknowledged', write, `is answered ${version}, which deletes something else`);
      }
      this.#claim(write, version);
    });
  }

  /** A condition is about the row as it was just before. */
  #assertHeld(write: Write, key: string, version: number, condition: PutCondition): void {
    const { history } = this.#world.source;
    const before = history.changeAt(key, version - 1);
    const existed = history.valueAt(key, version - 1) !== null;
    const { ifAbsent, ifVersion } = condition;
    if (ifAbsent === true && existed) this.#broken('acknowledged', write, 'replaced a value');
    if (ifVersion !== undefined && !(existed && before === ifVersion)) {
      this.#broken('acknowledged', write, `wanted ${ifVersion}, replaced ${before}: a lost update`);
    }
  }

  #condition(key: string): PutCondition {
    const { scheduler, source } = this.#world;
    const { history } = source;
    const kind = scheduler.pick(3);
    if (kind === 0) return { ifAbsent: true };
    const version = history.changeAt(key, history.head - scheduler.pick(2));
    if (kind === 1) return { ifVersion: version };
    const value = history.valueAt(key, history.head);
    return value === null ? { ifMatch: '*' } : { ifVersion: history.changeAt(key, history.head) };
  }

  #follow<T extends { version: number }>(
    write: Write,
    what: string,
    answering: Promise<T>,
    check: (answer: T, before: Buffer | null) => void,
  ): void {
    const world = this.#world;
    const history = world.source.history;
    this.inFlight += 1;
    world.scheduler.note(`${write.name}: ${what} ${write.keys}`);
    answering
      .then(
        (answer) => {
          world.scheduler.note(`  ${write.name} is answered ${answer.version}`);
          write.answer = 'acknowledged';
          this.acknowledged += 1;
          if (what !== 'delete') this.#assertCommitted(write, answer.version);
          // A failover may have taken it since: then only that it was there can be said.
          if (history !== world.source.history) return;
          const [key = ''] = write.keys;
          check(answer, history.valueAt(key, answer.version - 1));
          world.acknowledged(answer.version);
        },
        (error: unknown) => {
          world.scheduler.note(`  ${write.name} fails: ${error}`);
          const isUnknown = error instanceof OutcomeUnknownError;
          write.answer = isUnknown ? 'unknown' : 'refused';
          if (isUnknown) this.unknown += 1;
          else this.refused += 1;
          if (!isUnknown && write.committed !== undefined) {
            this.#broken('refused', write, `left ${write.committed.to}, and said ${error}`);
          }
          if (error instanceof PreconditionFailedError || isUnknown) return;
          if (!(error instanceof Error && 'code' in error)) throw error;
        },
      )
      .catch((error: unknown) => world.fail(error))
      .finally(() => {
        this.inFlight -= 1;
        if (write.answer !== 'refused' && write.committed !== undefined) {
          this.#writes.delete(write.name);
        }
      });
  }

  #assertCommitted(write: Write, version: number): void {
    const { committed } = write;
    if (committed === undefined) this.#broken('acknowledged', write, 'is not in the log');
    if (version < committed.from || version > committed.to) {
      this.#broken('acknowledged', write, `is answered ${version}, it is at ${committed.to}`);
    }
    if (committed.history === this.#world.source.history.number) this.#claim(write, version);
  }

  /** No two writes are answered one version. */
  #claim(write: Write, version: number): void {
    const other = this.#answered.get(version);
    if (other !== undefined && other !== write.name) {
      this.#broken('acknowledged', write, `is answered ${version}, and so is ${other}`);
    }
    this.#answered.set(version, write.name);
  }

  #begin(keys: readonly string[]): Write {
    this.#count += 1;
    const name = `w${this.#count}`;
    const write: Write = { name, keys, committed: undefined, answer: 'none' };
    this.#writes.set(name, write);
    return write;
  }

  #someKeys(): string[] {
    const { scheduler, keys } = this.#world;
    const count = 1 + scheduler.pick(Math.min(3, keys.length));
    return [...new Set(Array.from({ length: count }, () => scheduler.one(keys)))];
  }

  #broken(guarantee: 'acknowledged' | 'refused', write: Write, why: string): never {
    const error = new Violation(guarantee, `${write.name} of ${write.keys} ${why}`);
    this.#world.fail(error);
    throw error;
  }
}

/** The write that a value names; undefined for plain SQL. */
function nameIn(value: Buffer | null): string | undefined {
  return value === null ? undefined : /^"(w\d+)"$/.exec(value.toString())?.[1];
}
