import { expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import { loaderOn } from '../support/loader.js';

const at = (version: number) => ({ version, fingerprint: `f${version}` });

test('what is sent again is answered by what is required then: history may be another one', async () => {
  const answers = [22, 25];
  const log = {
    async fetch(keys: readonly string[], onSend: () => void = () => undefined) {
      onSend();
      local.evict([], { from: at(20), to: at(25), rows: [] }); // a page was taken in, and the connection is lost
      onSend();
      const entry = new Entry({ version: answers.shift() ?? 0, fingerprint: '' }, 0, null); // its row is gone;
      return new Map(keys.map((key) => [key, entry]));
    },
  };
  const { loader, local } = loaderOn(log);
  local.clear(at(20), false);
  expect((await loader.load('a')).entry.asOf).toBe(25);
  expect(answers).toEqual([]);
});

test('what is of another history than a page that came meanwhile is no answer, of either tier', async () => {
  const lost = (version: number) => ({ version, fingerprint: 'lost' });
  const rows = [23, 24, 25].map((version) => ({
    ...{ version, table: 'configs', key: 'b', changedAt: '' },
  }));
  const answers = [lost(23), at(25)];
  let asked = 0;
  const log = {
    async fetch(keys: readonly string[], onSend: () => void = () => undefined) {
      onSend();
      asked += 1;
      if (asked === 1) local.evict([], { from: at(22), to: at(25), rows });
      const entry = new Entry(answers[asked - 1] ?? lost(0), 0, null);
      return new Map(keys.map((key) => [key, entry]));
    },
  };
  const redis = async () => [new Entry(lost(22), 0, null)];
  const { loader, local } = loaderOn(log, undefined, redis);
  local.clear(at(22), false);
  expect((await loader.load('a')).entry.at).toEqual(at(25));
  expect(asked).toBe(2);
});
