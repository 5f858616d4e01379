import { expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import { loaderOn } from '../support/loader.js';

const at = (version: number) => ({ version, fingerprint: `f${version}` });

test('what is sent again is answered by what is required then: history may be another one', async () => {
  const answers = [22, 25];
  const log = {
    async fetch(keys: readonly string[], onSend: () => void = () => undefined) {
      onSend();
      local.evict([], at(25)); // a page was taken in, and the connection is lost
      onSend();
      const entry = new Entry(at(answers.shift() ?? 0), 0, null);
      return new Map(keys.map((key) => [key, entry]));
    },
  };
  const { loader, local } = loaderOn(log);
  local.clear(at(20), false);
  expect((await loader.load('a')).entry.asOf).toBe(25);
  expect(answers).toEqual([]);
});
