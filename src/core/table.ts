/**
 * The names of a tracked table, and how a name gets into SQL.
 *
 * A name comes from the operator's settings and cannot be a bound parameter, so it is checked
 * here and quoted: whatever passes {@link quoteIdentifier} is one identifier and nothing else,
 * under every sql_mode (inside backticks neither backslashes nor double quotes mean anything).
 */
import { InvalidOptionsError } from '../errors.js';

export interface TableNames {
  readonly table: string;
  readonly keyColumn: string;
  readonly valueColumn: string;
  readonly versionColumn: string;
}

export const DEFAULT_TABLE: TableNames = Object.freeze({
  table: 'configs',
  keyColumn: 'config_key',
  valueColumn: 'config_value',
  versionColumn: 'version',
});

export const MAX_IDENTIFIER_CHARS = 64;

// Control characters, the dot (a database belongs in the URL) and what MySQL itself refuses:
// characters beyond the Basic Multilingual Plane, which show here as surrogates.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
const FORBIDDEN = /[\u0000-\u001f\u007f.\ud800-\udfff]/;

/** Why `name` cannot be a table or column name, or undefined when it can. */
export function identifierFault(name: string): string | undefined {
  if (name === '' || name.length > MAX_IDENTIFIER_CHARS) {
    return `Expected a name of 1 to ${MAX_IDENTIFIER_CHARS} characters, got ${name.length}`;
  }
  if (FORBIDDEN.test(name)) {
    return 'Expected a plain name, got a dot, a control character or a surrogate in it';
  }
  if (name.endsWith(' ')) return 'Expected a name without a space at its end';
  return undefined;
}

/** `name` in backticks, safe to put into SQL.
 * @throws InvalidOptionsError when it cannot be an identifier */
export function quoteIdentifier(name: string): string {
  const fault = identifierFault(name);
  if (fault !== undefined) throw new InvalidOptionsError([fault]);
  return `\`${name.replaceAll('`', '``')}\``;
}
