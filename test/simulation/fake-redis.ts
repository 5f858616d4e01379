/**
 * Redis as the simulation knows it: strings in a map, the product's own Lua scripts run by a real
 * Lua, and the faults that a Redis can have. test/contract holds it against the real server.
 */
import { LuaFactory } from 'wasmoon';
import type { RedisClient } from '../../src/redis/tier.js';
import type { Scheduler } from './scheduler.js';

type LuaFunction = (keys: string[], args: string[]) => string;
type Value = string | number | Buffer;

const lua = await new LuaFactory().createEngine();

export class SimulatedRedis {
  #data = new Map<string, string>();
  #snapshot: Map<string, string> | undefined;
  /** The next so many commands fail. */
  failures = 0;

  get keys(): string[] {
    return [...this.#data.keys()];
  }

  flush(): void {
    this.#data.clear();
  }

  evict(key: string): void {
    this.#data.delete(key);
  }

  overwrite(key: string, text: string): void {
    this.#data.set(key, text);
  }

  /** Takes a snapshot, or goes back to the one taken before: a restart or a stale replica. */
  snapshotOrRegress(): string {
    if (this.#snapshot === undefined) {
      this.#snapshot = new Map(this.#data);
      return 'Redis saves a snapshot';
    }
    this.#data = this.#snapshot;
    this.#snapshot = undefined;
    return 'Redis goes back to its snapshot';
  }

  get(key: string): string | undefined {
    return this.#data.get(key);
  }

  /** What `redis.call` does, as far as the scripts use it. */
  command(name: string, ...args: string[]): unknown {
    const [key = '', second = '', third = ''] = args;
    switch (name) {
      case 'MGET':
        return args.map((each) => this.#data.get(each) ?? false);
      case 'GETRANGE':
        return (this.#data.get(key) ?? '').slice(Number(second), Number(third) + 1);
      case 'TYPE':
        return { ok: this.#data.has(key) ? 'string' : 'none' };
      case 'SET':
        this.#data.set(key, second);
        return 'OK';
      case 'DEL':
        return this.#data.delete(key) ? 1 : 0;
      default:
        throw new Error(`the simulation knows no ${name}`);
    }
  }
}

/**
 * A client of the simulated Redis: the part of ioredis that RedisTier uses.
 * @param edit changes a script's text before it is compiled, to take a rule out
 */
export function simulatedClient(
  redis: SimulatedRedis,
  scheduler: Scheduler,
  name: string,
  edit: (source: string) => string = (source) => source,
): RedisClient {
  const call = async <T>(what: string, run: () => T): Promise<T> => {
    await scheduler.step(`${name} asks Redis: ${what}`);
    if (redis.failures > 0) {
      redis.failures -= 1;
      scheduler.note(`  (fails)`);
      throw Object.assign(new Error('simulated fault'), { name: 'ReplyError' });
    }
    const result = run();
    await scheduler.step(`${name} hears from Redis: ${what} = ${String(result).slice(0, 60)}`);
    return result;
  };
  const client: Record<string, unknown> = {
    mget: (key: string) => call('mark', () => [redis.get(key) ?? null]),
    mgetBuffer: (...keys: string[]) =>
      call(`read ${keys.slice(1)}`, () =>
        keys
          .map((key) => redis.get(key))
          .map((text) => (text === undefined ? null : Buffer.from(text))),
      ),
    del: (key: string) => call(`del ${key}`, () => redis.command('DEL', key)),
    defineCommand: (command: string, { lua: source, numberOfKeys }: ScriptDefinition) => {
      const script = compile(edit(source));
      client[command] = (...values: Value[]) => {
        const count = numberOfKeys ?? Number(values[0]);
        const texts = values.slice(numberOfKeys === undefined ? 1 : 0).map(String);
        const keys = texts.slice(0, count);
        return call(`${command} ${texts.slice(1, count + 3)}`, () => {
          const run = (...args: string[]) => redis.command(...(args as [string, ...string[]]));
          lua.global.set('redis', { call: run, pcall: run });
          return script(keys, texts.slice(count));
        });
      };
    },
  };
  return client as unknown as RedisClient; // only the calls above are made
}

interface ScriptDefinition {
  readonly lua: string;
  readonly numberOfKeys?: number;
}

const compiled = new Map<string, LuaFunction>();

function compile(source: string): LuaFunction {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  const made: LuaFunction = lua.doStringSync(`return function(KEYS, ARGV)\n${source}\nend`);
  compiled.set(source, made);
  return made;
}
