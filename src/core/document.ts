/**
 * A document: the value of a key, one JSON text in UTF-8, kept byte for byte as it was sent.
 *
 * It is parsed only to prove that it is JSON, and never written out again from what was parsed: so
 * numbers above 2^53, whitespace, key order and escapes survive. Messages never hold any of it.
 */
import { createHash } from 'node:crypto';
import { InvalidValueError, ValueTooLargeError } from '../errors.js';

export const DEFAULT_MAX_VALUE_BYTES = 1_048_576;

const BYTE_ORDER_MARK = '\ufeff';
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Document {
  private constructor(
    /** The same text whose UTF-8 form is the value's bytes. */
    readonly text: string,
    readonly bytes: Uint8Array,
  ) {}

  /** @throws InvalidValueError unless it is one JSON document in UTF-8 without a byte order mark
   * @throws ValueTooLargeError when it has more than `maxBytes` bytes */
  static from(value: string | Uint8Array, maxBytes: number): Document {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
    if (!(bytes instanceof Uint8Array)) {
      throw new InvalidValueError(
        `Expected a value as JSON text (a string or bytes), got ${typeof value}. ` +
          'Pass it through JSON.stringify first.',
      );
    }
    if (bytes.byteLength > maxBytes) {
      throw new ValueTooLargeError(
        `Expected a value of at most ${maxBytes} bytes, got ${bytes.byteLength}. ` +
          'Split it, or raise MAX_VALUE_BYTES.',
      );
    }
    const text = typeof value === 'string' ? value : decode(bytes);
    if (!text.isWellFormed()) {
      throw new InvalidValueError('Expected a value of valid Unicode, got a lone surrogate in it.');
    }
    if (text.startsWith(BYTE_ORDER_MARK)) {
      throw new InvalidValueError(
        'Expected JSON, got a byte order mark before it. Save it as UTF-8 without one.',
      );
    }
    assertJson(text, bytes.byteLength);
    return new Document(text, bytes);
  }

  /** SHA-256 in hexadecimal digits, as the database's SHA2(value, 256) writes it. */
  get digest(): string {
    return createHash('sha256').update(this.bytes).digest('hex');
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new InvalidValueError('Expected a value in UTF-8, got bytes that are not.');
  }
}

function assertJson(text: string, byteCount: number): void {
  try {
    JSON.parse(text);
  } catch {
    // The parser's own message quotes the value, which may be a secret.
    const got = byteCount === 0 ? 'nothing' : `${byteCount} bytes that do not parse`;
    throw new InvalidValueError(
      `Expected one JSON document, got ${got}. A plain text needs quotation marks: "text".`,
    );
  }
}
