/**
 * What no log line holds: passwords and tokens, wherever they stand, SQL with the values in it, and
 * the fields that clients hang on their errors (ioredis the arguments of a command, Node a whole URL).
 *
 * Two steps, both in one set of options for pino. Of an error only what it is, what it says and where
 * it comes from is taken, causes included. Then the finished line, whatever has brought it, loses
 * what stands where a secret would: before the @ of a URL, after a name like `password=`, after
 * `Bearer`. So a library that puts a secret into a message tomorrow is covered, too.
 */
import type { LoggerOptions } from 'pino';

const HIDDEN = '[redacted]';
/** One character of a word in JSON: no blank, no end of the string. */
const CHARACTER = String.raw`(?:[^\s"\\]|\\[^nrt])`;
const WORD = new RegExp(`${CHARACTER}+`, 'g');
const NAME = '(?:passw(?:or)?d|pwd|secret|token|authorization|cookie|api[-_]?key)s?';
/** `name=value`, of a query or of a list of options. */
const ASSIGNED = new RegExp(`(${NAME}=)(?:(?!&)${CHARACTER})+`, 'gi');
/** A field of JSON, a string or a list of them. */
const FIELD = new RegExp(
  String.raw`(${NAME}"\s*:\s*)(?:"(?:[^"\\]|\\.)*"|\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])`,
  'gi',
);
/** The same in a document that is itself a string. */
const ESCAPED_FIELD = new RegExp(String.raw`(${NAME}\\+"\s*:\s*\\+")(?:[^"\\]|\\[^"])*`, 'gi');
const CREDENTIALS = new RegExp(String.raw`\b(Bearer|Basic) +${CHARACTER}+`, 'gi');
/** Of causes within causes. */
const MAX_DEPTH = 5;

/** Options for pino: `pino({ ...redaction, level })`. */
export const redaction = Object.freeze({
  serializers: { err: (error: unknown) => errorFields(error) },
  hooks: { streamWrite: redacted },
}) satisfies LoggerOptions;

/** A text without its secrets; JSON stays JSON. */
export function redacted(text: string): string {
  return text
    .replace(CREDENTIALS, `$1 ${HIDDEN}`)
    .replace(ASSIGNED, `$1${HIDDEN}`)
    .replace(FIELD, `$1"${HIDDEN}"`)
    .replace(ESCAPED_FIELD, `$1${HIDDEN}`)
    .replace(WORD, withoutUserInfo);
}

/** From the first :// to the last @ of a word, because a password that was not percent-encoded may
 * hold either; but a path of the file system may have an @ of its own. */
function withoutUserInfo(word: string): string {
  const start = word.indexOf('://');
  const end = word.lastIndexOf('@');
  if (start === -1 || end < start || word.slice(0, start).endsWith('file')) return word;
  return `${word.slice(0, start + 3)}${HIDDEN}${word.slice(end)}`;
}

/** What is known to be safe of an error. What MySQL says of a statement may quote values: of its
 * errors the code stays. */
function errorFields(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return typeof error === 'object' ? HIDDEN : error;
  const said = quoting(error);
  const without = (text: string) => said.reduce((rest, one) => rest.replaceAll(one, HIDDEN), text);
  const parts: Record<string, unknown> = {
    type: error.name,
    message: without(error.message),
    stack: without(error.stack ?? ''),
  };
  if ('code' in error) parts.code = String(error.code);
  if (depth === MAX_DEPTH) return parts;
  const within = (one: unknown) => errorFields(one, depth + 1);
  if (error.cause !== undefined) parts.cause = within(error.cause);
  if (error instanceof AggregateError) parts.errors = error.errors.map(within);
  return parts;
}

/** Texts of a database's error that may quote values. */
function quoting(error: Error): string[] {
  const { sql, sqlMessage } = error as { sql?: unknown; sqlMessage?: unknown }; // of mysql2
  return [sql, sqlMessage].filter((text) => typeof text === 'string').filter((text) => text !== '');
}
