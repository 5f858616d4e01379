/**
 * The errors of Tidemark: one class per kind, each with a stable `code`. A message says what was
 * expected, what was got, and the next step. Messages never hold a password or a value.
 */
export abstract class TidemarkError extends Error {
  /** Stable, for programs; also the `code` of the HTTP problem document. */
  abstract readonly code: string;
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A key that no row can have: empty, too long, with control characters, not well-formed. */
export class InvalidKeyError extends TidemarkError {
  readonly code = 'invalid_key';
}

/** A place to go on from, of a watch, that is none. */
export class InvalidPositionError extends TidemarkError {
  readonly code = 'invalid_position';
}

/** A value that is not a JSON document in UTF-8. */
export class InvalidValueError extends TidemarkError {
  readonly code = 'invalid_value';
}

/** A value over the size limit. */
export class ValueTooLargeError extends TidemarkError {
  readonly code = 'value_too_large';
}

/** Wrong or missing settings; `faults` has one line per fault, all of them. */
export class InvalidOptionsError extends TidemarkError {
  readonly code = 'invalid_options';
  constructor(readonly faults: readonly string[]) {
    super(`Expected valid settings, got ${faults.length} fault(s):\n  - ${faults.join('\n  - ')}`);
  }
}

/** The database lacks the migration, or has one that this version does not know. */
export class SchemaError extends TidemarkError {
  readonly code = 'schema';
}

/** The account may not do what is needed, or its password or database is wrong. */
export class AccessDeniedError extends TidemarkError {
  readonly code = 'access_denied';
}

/** A conditional write whose condition does not hold; nothing was written. */
export class PreconditionFailedError extends TidemarkError {
  readonly code = 'precondition_failed';
}

/** Neither the caches nor MySQL could answer; trying again later may help. */
export class UnavailableError extends TidemarkError {
  readonly code: string = 'unavailable';
}

/** A write whose connection broke during commit: it may or may not have happened. */
export class OutcomeUnknownError extends TidemarkError {
  readonly code = 'outcome_unknown';
}

/** `minVersion` or `maxStalenessMs` could not be met before the read's deadline. */
export class NotFreshError extends TidemarkError {
  readonly code = 'not_fresh';
}

/** Used before `start()` or after `stop()`. */
export class NotRunningError extends TidemarkError {
  readonly code = 'not_running';
}
