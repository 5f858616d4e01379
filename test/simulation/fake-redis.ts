/**
 * Redis as the simulation knows it: strings in a map, a replica that follows, and the faults that a
 * Redis can have. test/contract holds it against the real server.
 */
export interface Stored {
  /** Null for a value of another type than a string. */
  readonly text: string | null;
  readonly expiresAtMs: number;
}

type Data = Map<string, Stored>;
type Effect = readonly [key: string, stored: Stored | undefined];

/** An error that the server answers, as ioredis throws it. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError';
}

/** What goes wrong with a call: the server answers an error; the connection is refused; or it breaks
 * after the command was executed. */
export type RedisFault = 'error' | 'refused' | 'lost';

const NO_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';

export class SimulatedRedis {
  #data: Data = new Map();
  #replica: Data = new Map();
  /** What the replica has yet to execute, one list for each command or script. */
  #backlog: Effect[][] = [];
  #snapshot: Data | undefined;
  /** A master that was replaced, and those who still talk to it. */
  #oldMaster: { readonly data: Data; readonly clients: ReadonlySet<string> } | undefined;
  #script: { readonly effects: Effect[]; isDirty: boolean; data: Data } | undefined;
  readonly nowMs: () => number;
  /** Changes when no message from before may arrive any more. */
  epoch = 0;
  /** The memory is used up, and nothing may be evicted. */
  isFull = false;
  /** The next so many calls fail. */
  failures = 0;
  failsWith: RedisFault = 'error';

  constructor(nowMs: () => number = () => 0) {
    this.nowMs = nowMs;
  }

  get keys(): string[] {
    return [...this.#data.keys()].filter((key) => this.get(key) !== undefined);
  }

  /** What is stored, as `client` sees it; undefined when there is nothing, or no string. */
  get(key: string, client = ''): string | undefined {
    return this.#stored(this.#dataOf(client), key)?.text ?? undefined;
  }

  /** The fault of the next call, if it has one. */
  fault(): RedisFault | undefined {
    if (this.failures === 0) return undefined;
    this.failures -= 1;
    return this.failsWith;
  }

  flush(): void {
    this.#data = new Map();
    this.#backlog.push([...this.#replica.keys()].map((key) => [key, undefined] as const));
  }

  evict(key: string): void {
    this.#apply(this.#data, [[key, undefined]]);
  }

  overwrite(key: string, text: string | null): void {
    const expiresAtMs = Number.POSITIVE_INFINITY;
    this.#apply(this.#data, [[key, { text, expiresAtMs }]]);
  }

  /** Takes a snapshot, or restarts with the one taken before. */
  snapshotOrRegress(): string {
    if (this.#snapshot === undefined) {
      this.#snapshot = new Map(this.#data);
      return 'Redis saves a snapshot';
    }
    this.#data = this.#snapshot;
    this.#snapshot = undefined;
    this.#follow();
    return 'Redis goes back to its snapshot';
  }

  /** The replica executes some of what it lacks. */
  replicate(commands: number): void {
    for (const effects of this.#backlog.splice(0, commands)) store(this.#replica, effects);
  }

  /** The replica takes over, without what it has not heard of; `clients` do not know of it yet. */
  failOver(clients: ReadonlySet<string>): void {
    this.#oldMaster = { data: this.#data, clients };
    this.#data = this.#replica;
    this.#follow();
  }

  /** All clients talk to one master. */
  unite(): void {
    this.#oldMaster = undefined;
  }

  /** Nothing is wrong any more. */
  heal(): void {
    this.unite();
    this.isFull = false;
    this.failures = 0;
  }

  /** Runs a script as one: nobody sees half of it, and the replica executes all of it or nothing. */
  transact<T>(client: string, run: () => T): T {
    const script = { effects: [], isDirty: false, data: this.#dataOf(client) };
    this.#script = script;
    try {
      return run();
    } finally {
      this.#script = undefined;
      if (script.data === this.#data && script.effects.length > 0) {
        this.#backlog.push(script.effects);
      }
    }
  }

  /** What a command answers: within a script what `redis.call` does, otherwise on its own. */
  command(client: string, name: string, ...args: string[]): unknown {
    if (this.#script === undefined) return this.transact(client, () => this.#run(name, args));
    return this.#run(name, args);
  }

  #run(name: string, args: string[]): unknown {
    const script = this.#script;
    if (script === undefined) throw new Error('Expected to be within a script.');
    const { data } = script;
    const [key = '', text = '', option = '', ms = ''] = args;
    switch (name) {
      case 'MGET':
        return args.map((each) => this.#stored(data, each)?.text ?? false);
      case 'GETRANGE': {
        const stored = this.#stored(data, key);
        if (stored?.text === null) throw new ReplyError(WRONG_TYPE);
        return (stored?.text ?? '').slice(Number(text), Number(option) + 1);
      }
      case 'TYPE': {
        const stored = this.#stored(data, key);
        return { ok: stored === undefined ? 'none' : stored.text === null ? 'list' : 'string' };
      }
      case 'SCAN': {
        // All in one slice; the pattern is a prefix, with its special characters escaped.
        const prefix = option === '' ? '' : option.slice(0, -1).replaceAll(/\\(.)/g, '$1');
        const names = [...data.keys()].filter((name) => this.#stored(data, name) !== undefined);
        return ['0', names.filter((name) => name.startsWith(prefix))];
      }
      case 'SET': {
        // Only the first write of a script is refused: a script is not stopped half way.
        if (this.isFull && !script.isDirty) throw new ReplyError(NO_MEMORY);
        const expiresAtMs = option === 'PX' ? this.nowMs() + Number(ms) : Number.POSITIVE_INFINITY;
        this.#write([key, { text, expiresAtMs }]);
        return 'OK';
      }
      case 'DEL': {
        const was = this.#stored(data, key) !== undefined;
        this.#write([key, undefined]);
        return was ? 1 : 0;
      }
      default:
        throw new Error(`the simulation knows no ${name}`);
    }
  }

  #write(effect: Effect): void {
    if (this.#script === undefined) return;
    this.#script.isDirty = true;
    this.#script.effects.push(effect);
    store(this.#script.data, [effect]);
  }

  #apply(data: Data, effects: Effect[]): void {
    store(data, effects);
    this.#backlog.push(effects);
  }

  #dataOf(client: string): Data {
    return this.#oldMaster?.clients.has(client) ? this.#oldMaster.data : this.#data;
  }

  #stored(data: Data, key: string): Stored | undefined {
    const stored = data.get(key);
    return stored === undefined || stored.expiresAtMs <= this.nowMs() ? undefined : stored;
  }

  #follow(): void {
    this.#replica = new Map(this.#data);
    this.#backlog = [];
  }
}

function store(data: Data, effects: readonly Effect[]): void {
  for (const [key, stored] of effects) {
    if (stored === undefined) data.delete(key);
    else data.set(key, stored);
  }
}
