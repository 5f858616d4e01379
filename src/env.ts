/**
 * The settings of the commands, read from flags and the environment by the table in settings.ts. A
 * flag goes before the environment; an empty variable counts as not set.
 *
 * All faults are told at once. What may hold a password (URLs, tokens) is never repeated.
 */
import { parseCollections } from './core/collections-text.js';
import { isPlainHttpUrl } from './core/http-url.js';
import { isNetwork } from './core/network.js';
import { identifierFault } from './core/table.js';
import { isCron } from './cron.js';
import { InvalidOptionsError } from './errors.js';
import { MYSQL_HOSTS_SHAPE, MYSQL_URL_SHAPE, mysqlUrlFaults } from './mysql/url.js';
import { REDIS_URL_SHAPE, redisUrlFaults } from './redis/url.js';
import { type CommandName, SETTINGS, type Setting } from './settings.js';

type Table = typeof SETTINGS;
type ValueOf<S extends Setting> = S extends { kind: 'integer' | 'number' }
  ? number
  : S extends { kind: 'choice'; choices: readonly (infer Choice)[] }
    ? Choice
    : S extends { kind: 'tokens' | 'http-urls' | 'networks' }
      ? readonly string[]
      : S extends { kind: 'http-url' }
        ? string | undefined
        : string;

/** The settings of one command, all of them checked. */
export type SettingsOf<C extends CommandName> = {
  readonly [Name in keyof Table as C extends Table[Name]['commands'][number] ? Name : never]:
    | ValueOf<Table[Name]>
    | Optional<Table[Name], C>;
};

type Optional<S extends Setting, C extends CommandName> = S extends {
  optionalFor: readonly (infer Name)[];
}
  ? C extends Name
    ? undefined
    : never
  : never;

/** The settings of `command`, by name, in the order of the table. */
export function settingsFor(command: CommandName): [name: string, setting: Setting][] {
  return Object.entries<Setting>(SETTINGS).filter(([, { commands }]) => commands.includes(command));
}

/**
 * @param environment such as process.env
 * @param flags by the setting's name, as commander gives them
 * @throws InvalidOptionsError with one line for each fault
 */
export function readSettings<C extends CommandName>(
  command: C,
  environment: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, unknown>> = {},
): SettingsOf<C> {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [name, setting] of settingsFor(command)) {
    const flag = flags[name];
    const [text, source] =
      typeof flag === 'string'
        ? [flag, `--${setting.flag}`]
        : [environment[setting.env] || undefined, setting.env];
    const parsed = text === undefined ? absent(setting, command) : parse(setting, text);
    if ('faults' in parsed) faults.push(...parsed.faults.map((fault) => `${source}: ${fault}`));
    else values[name] = parsed.value;
  }
  if (faults.length > 0) throw new InvalidOptionsError(faults);
  return values as SettingsOf<C>; // every name of the command's settings was set above
}

type Parsed = { readonly value: unknown } | { readonly faults: readonly string[] };

function absent(setting: Setting, command: CommandName): Parsed {
  if (['tokens', 'http-urls', 'networks'].includes(setting.kind)) return { value: [] };
  if (setting.kind === 'collections') return { value: '' };
  if (setting.kind === 'http-url') return { value: undefined };
  if ('optionalFor' in setting && setting.optionalFor.includes(command))
    return { value: undefined };
  const value = defaultOf(setting, command);
  return value === undefined ? { faults: [`${shapeOf(setting)}, got none`] } : { value };
}

export function defaultOf(setting: Setting, command: CommandName): string | number | undefined {
  if (!('default' in setting)) return undefined;
  return typeof setting.default === 'object' ? setting.default[command] : setting.default;
}

function shapeOf(setting: Setting): string {
  if (setting.kind === 'mysql-url') {
    const shape = setting.hosts === 'one' ? MYSQL_URL_SHAPE : MYSQL_HOSTS_SHAPE;
    return `Expected a URL like ${shape}`;
  }
  return `Expected a URL like ${REDIS_URL_SHAPE}`;
}

function parse(setting: Setting, text: string): Parsed {
  switch (setting.kind) {
    case 'mysql-url': {
      const faults = mysqlUrlFaults(text, setting.hosts);
      return faults.length > 0 ? { faults } : { value: text };
    }
    case 'redis-url': {
      const faults = redisUrlFaults(text);
      return faults.length > 0 ? { faults } : { value: text };
    }
    case 'tokens':
      return parseTokens(text);
    case 'http-urls':
      return parseUrls(text);
    case 'networks':
      return parseNetworks(text);
    case 'collections':
      return checkCollections(text);
    case 'http-url':
      return isPlainHttpUrl(text)
        ? { value: text }
        : { faults: ['Expected a URL like http://host:8081, without a password and ?'] };
    case 'integer':
    case 'number':
      return parseNumber(setting, text);
    case 'choice':
      return setting.choices.includes(text)
        ? { value: text }
        : { faults: [`Expected one of ${setting.choices.join(', ')}, got ${shown(text)}`] };
    case 'identifier': {
      const fault = identifierFault(text);
      return fault === undefined ? { value: text } : { faults: [fault] };
    }
    case 'cron':
      return isCron(text)
        ? { value: text }
        : { faults: [`Expected a cron expression like * * * * *, or off, got ${shown(text)}`] };
    case 'text':
      return /^[\x21-\x7a]{1,255}$/.test(text)
        ? { value: text }
        : { faults: ['Expected 1 to 255 ASCII characters without spaces and braces'] };
  }
}

function parseNumber(
  setting: { readonly kind: 'integer' | 'number'; readonly min: number; readonly max: number },
  text: string,
): Parsed {
  const { kind, min, max } = setting;
  const shape = kind === 'integer' ? /^\d{1,16}$/ : /^\d{1,16}(\.\d{1,9})?$/;
  const value = shape.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return { value };
  const what = kind === 'integer' ? 'an integer' : 'a number';
  return { faults: [`Expected ${what} from ${min} to ${max}, got ${shown(text)}`] };
}

/** The text itself: what `configs` stands for there, other settings say. */
function checkCollections(text: string): Parsed {
  try {
    parseCollections(text);
    return { value: text };
  } catch (error) {
    if (error instanceof InvalidOptionsError) return { faults: error.faults };
    throw error;
  }
}

function parseTokens(text: string): Parsed {
  const tokens = text.split(',').map((token) => token.trim());
  if (tokens.every((token) => /^[A-Za-z0-9\-._~+/]+=*$/.test(token))) return { value: tokens };
  return {
    faults: ['Expected tokens of letters, digits and -._~+/ separated by commas, got another text'],
  };
}

function parseUrls(text: string): Parsed {
  const urls = text.split(',').map((url) => url.trim());
  if (urls.every(isPlainHttpUrl)) return { value: urls };
  return {
    faults: ['Expected URLs like http://host:8081 separated by commas, without passwords and ?'],
  };
}

function parseNetworks(text: string): Parsed {
  const networks = text.split(',').map((network) => network.trim());
  const wrong = networks.filter((network) => !isNetwork(network));
  if (wrong.length === 0) return { value: networks };
  const expected = 'Expected addresses or networks like 10.0.0.0/8 separated by commas';
  return { faults: wrong.map((one) => `${expected}, got ${shown(one)}`) };
}

function shown(text: string): string {
  return JSON.stringify(text.length <= 40 ? text : `${text.slice(0, 40)}...`);
}

/** The table in docs/settings.md, in Markdown. */
export function environmentTable(): string {
  const rows = Object.values<Setting>(SETTINGS).map((setting) => {
    const { env, commands, help } = setting;
    return `| \`${env}\` | ${commands.join(', ')} | ${shownDefault(setting)} | ${help} |`;
  });
  const head = ['| Variable | Commands | Default | Meaning |', '| --- | --- | --- | --- |'];
  return [...head, ...rows].join('\n');
}

function shownDefault(setting: Setting): string {
  const all = new Set(setting.commands.map((command) => defaultOf(setting, command)));
  const values = [...all].filter((value) => value !== undefined);
  if (values.length > 0) return values.map((value) => `\`${value}\``).join(' / ');
  return 'optionalFor' in setting ? '(required)' : 'none';
}
