/**
 * The body of POST /v1/batch: `{"put": {key: document, ...}, "delete": [key, ...]}`.
 *
 * Invariant: each document is the very slice of the request that the client sent. JSON.parse proves
 * that the whole is JSON; a scan without recursion then finds where each document starts and
 * ends. So numbers above 2^53 and whitespace survive, `__proto__` is a key like any other, a key
 * given twice is seen (JSON.parse would keep the last), and a million '[' are a 400.
 */
import { InvalidBatchError } from '../writer/write-errors.js';

export interface BatchBody {
  readonly put: Map<string, string>;
  readonly delete: string[];
}

interface Member {
  readonly name: string;
  readonly text: string;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const SHAPE = '{"put": {key: document, ...}, "delete": [key, ...]}';

/** @throws InvalidBatchError when the body does not have the shape above */
export function parseBatchBody(body: Uint8Array): BatchBody {
  const text = decode(body);
  const batch: BatchBody = { put: new Map(), delete: [] };
  const seen = new Set<string>();
  for (const member of membersOf(text, 'a batch')) {
    if (seen.has(member.name)) throw fault(`got a second "${shown(member.name)}"`);
    seen.add(member.name);
    if (member.name === 'put') addPuts(batch.put, member.text);
    else if (member.name === 'delete') batch.delete.push(...keysOf(member.text));
    else throw fault(`got a member "${shown(member.name)}"`);
  }
  return batch;
}

function decode(body: Uint8Array): string {
  try {
    const text = decoder.decode(body);
    JSON.parse(text);
    return text;
  } catch {
    throw fault(`got ${body.byteLength} bytes that are not JSON in UTF-8`);
  }
}

function addPuts(put: Map<string, string>, text: string): void {
  for (const { name, text: document } of membersOf(text, 'put')) {
    if (put.has(name)) throw fault('got a key twice in put');
    put.set(name, document);
  }
}

function keysOf(text: string): string[] {
  const keys: unknown = JSON.parse(text);
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) {
    throw fault('got a delete that is not an array of strings');
  }
  return keys;
}

/** The members of the object that is all of `text`, which is known to be JSON. */
function* membersOf(text: string, what: string): Generator<Member> {
  let at = skipSpace(text, 0);
  if (text[at] !== '{') throw fault(`got ${what} that is not an object`);
  at = skipSpace(text, at + 1);
  while (text[at] !== '}') {
    const nameEnd = endOfString(text, at);
    const name: string = JSON.parse(text.slice(at, nameEnd));
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1); // past the colon
    const end = endOfValue(text, start);
    yield { name, text: text.slice(start, end) };
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at += 1;
  return at;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** @param start where the opening quotation mark is */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
}

function endOfValue(text: string, start: number): number {
  let depth = 0;
  let at = start;
  do {
    switch (text[at]) {
      case '"':
        at = endOfString(text, at);
        continue;
      case '{':
      case '[':
        depth += 1;
        break;
      case '}':
      case ']':
        depth -= 1;
        break;
      case ',':
      case ':':
        break;
      default:
        if (depth === 0) return endOfWord(text, at);
    }
    at += 1;
  } while (depth > 0);
  return at;
}

/** The end of a number, true, false or null. */
function endOfWord(text: string, start: number): number {
  let at = start;
  while (at < text.length && !isSpace(text.charCodeAt(at)) && !',}]'.includes(text.charAt(at))) {
    at += 1;
  }
  return at;
}

function fault(got: string): InvalidBatchError {
  return new InvalidBatchError(`Expected ${SHAPE}, ${got}. Nothing was written.`);
}

function shown(name: string): string {
  return name.length <= 40 ? name : `${name.slice(0, 40)}...`;
}
