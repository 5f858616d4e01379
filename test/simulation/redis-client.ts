/** A client of the simulated Redis: the part of ioredis that RedisTier uses. The product's own Lua
 * scripts are run by a real Lua. */
import { LuaFactory } from 'wasmoon';
import type { RedisClient } from '../../src/redis/tier.js';
import { ReplyError, type SimulatedRedis } from './fake-redis.js';
import type { Scheduler } from './scheduler.js';

type LuaFunction = (keys: string[], args: string[]) => string;
type Value = string | number | Buffer;

interface ScriptDefinition {
  readonly lua: string;
  readonly numberOfKeys?: number;
}

const lua = await new LuaFactory().createEngine();
let run: (name: string, args: string[]) => unknown = () => undefined;
lua.global.set('redis', {
  call: (name: string, ...args: string[]) => run(name, args),
  pcall: (name: string, ...args: string[]) => {
    try {
      return run(name, args);
    } catch (error) {
      return { err: String(error) };
    }
  },
});
const compiled = new Map<string, LuaFunction>();

/** @param edit changes a script's text before it is compiled, to take a rule out */
export function simulatedClient(
  redis: SimulatedRedis,
  scheduler: Scheduler,
  name: string,
  edit: (source: string) => string = (source) => source,
): RedisClient {
  const call = async <T>(what: string, keys: readonly string[], execute: () => T): Promise<T> => {
    const told = scheduler.tracing ? `${name} to Redis: ${what} ${keys}` : '';
    const { epoch } = redis;
    await scheduler.step(told);
    if (epoch !== redis.epoch) throw new Error('Connection is closed.');
    const fault = redis.fault();
    if (fault !== undefined) scheduler.note(`  fails: ${fault}`);
    if (fault === 'error') throw new ReplyError('simulated fault');
    if (fault === 'refused') throw new Error('Connection is closed.');
    let result: T | undefined;
    let error: unknown;
    try {
      assertOneSlot(keys);
      result = execute();
    } catch (thrown) {
      error = thrown instanceof ReplyError ? thrown : new ReplyError(String(thrown));
    }
    await scheduler.step(scheduler.tracing ? `  ${told} = ${error ?? shown(result)}` : '');
    if (fault === 'lost') throw new Error('Connection is closed.');
    if (error !== undefined) throw error;
    return result as T; // there was no error
  };
  const client: Record<string, unknown> = {
    mget: (key: string) => call('mark', [key], () => [redis.get(key, name) ?? null]),
    mgetBuffer: (keys: string[]) =>
      call('read', keys, () => keys.map((key) => bytesOf(redis.get(key, name)))),
    del: (key: string) => call('del', [key], () => redis.command(name, 'DEL', key)),
    defineCommand: (command: string, { lua: source, numberOfKeys }: ScriptDefinition) => {
      const script = compile(edit(source));
      client[command] = (...values: Value[]) => {
        const count = numberOfKeys ?? Number(values[0]);
        const texts = values.slice(numberOfKeys === undefined ? 1 : 0).map(textOf);
        const [keys, args] = [texts.slice(0, count), texts.slice(count)];
        const what = scheduler.tracing ? `${command} ${args.join(' ').replaceAll('\n', ' ')}` : '';
        return call(what, keys, () =>
          redis.transact(name, () => {
            run = (each, own) => redis.command(name, each, ...own);
            return script(keys, args);
          }),
        );
      };
    },
  };
  return client as unknown as RedisClient; // only the calls above are made
}

/** As a cluster does it: all keys of a command have one hash tag. */
function assertOneSlot(keys: readonly string[]): void {
  const tagOf = (key: string | undefined) => /\{(.+?)\}/.exec(key ?? '')?.[1] ?? key;
  const tag = keys.length > 1 ? tagOf(keys[0]) : undefined;
  if (tag !== undefined && keys.some((key) => tagOf(key) !== tag)) {
    throw new ReplyError("CROSSSLOT Keys in request don't hash to the same slot");
  }
}

// Bytes are kept one to a character; the values of the simulation are ASCII.
function textOf(value: Value): string {
  return Buffer.isBuffer(value) ? value.toString('latin1') : String(value);
}

function bytesOf(text: string | undefined): Buffer | null {
  return text === undefined ? null : Buffer.from(text, 'latin1');
}

function shown(result: unknown): string {
  return String(result).replaceAll('\n', ' ').slice(0, 80);
}

function compile(source: string): LuaFunction {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  const made: LuaFunction = lua.doStringSync(`return function(KEYS, ARGV)\n${source}\nend`);
  compiled.set(source, made);
  return made;
}
