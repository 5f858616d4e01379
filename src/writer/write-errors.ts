/** The errors that only a writer raises. See errors.ts for the rest. */
import { TidemarkError } from '../errors.js';

/** A key that the table's unique index takes for another one, as 'A' and 'a' in many collations. */
export class KeyCollisionError extends TidemarkError {
  readonly code = 'key_collision';
}

/** A batch that says nothing, or says two things about one key. */
export class InvalidBatchError extends TidemarkError {
  readonly code = 'invalid_batch';
}
