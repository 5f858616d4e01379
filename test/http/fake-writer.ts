/** A writer that writes nothing, and remembers what it was asked. */
import { Registry } from 'prom-client';
import { Document } from '../../src/core/document.js';
import { assertKey } from '../../src/core/key.js';
import type { Writing } from '../../src/http/write-app.js';
import type { Batch, DeleteCondition, PutCondition, Value } from '../../src/writer/write-plan.js';

export const MAX_VALUE_BYTES = 100;

export class FakeWriter implements Writing {
  readonly metrics = new Registry();
  readonly maxValueBytes = MAX_VALUE_BYTES;
  readonly asked: unknown[] = [];
  exists = false;
  failure: Error | undefined;

  async put(key: string, value: Value, condition?: PutCondition) {
    assertKey(key);
    const { text } = Document.from(value, this.maxValueBytes);
    this.#ask({ key, text, condition });
    return { key, version: 9, etag: '"9-abc"', created: !this.exists };
  }

  async delete(key: string, condition?: DeleteCondition) {
    assertKey(key);
    this.#ask({ key, condition });
    return { key, version: 9, deleted: this.exists };
  }

  async batch(batch: Batch) {
    this.#ask(batch);
    return { version: 10 };
  }

  async head() {
    this.#ask('head');
    return 8;
  }

  #ask(what: unknown): void {
    if (this.failure !== undefined) throw this.failure;
    this.asked.push(what);
  }
}
