/**
 * Random writes of several clients through two writers at once, held against the log: what each
 * was told must be what the history of the log says.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PreconditionFailedError } from '../../src/errors.js';
import type { Writer } from '../../src/writer/writer.js';
import { flavors } from '../support/data-centers.js';
import { WriterFixture } from '../support/writer-fixture.js';

const KEYS = ['a', 'b', 'c', 'd', 'e'] as const;
const key = fc.constantFrom(...KEYS);
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put'), key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('create'), key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('replace'), key }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete'), key }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('batch'),
      keys: fc.uniqueArray(key, { minLength: 1, maxLength: 3 }),
    }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** What a client was told. */
type Told = { readonly version: number } & (
  | { readonly kind: 'put'; key: string; value: string; created: boolean; replaces?: number }
  | { readonly kind: 'delete'; key: string; deleted: boolean }
  | { readonly kind: 'batch'; keys: readonly string[]; value: string }
);

/** One client: one operation after another. `id` is unique, and so are the values. */
async function client(writer: Writer, id: string, operations: readonly Operation[]) {
  const told: Told[] = [];
  const seen = new Map<string, number>();
  for (const [index, one] of operations.entries()) {
    const value = `"${id}.${index}"`;
    try {
      if ('keys' in one) {
        const put = Object.fromEntries(one.keys.map((each) => [each, value]));
        const { version } = await writer.batch({ put });
        told.push({ kind: 'batch', keys: one.keys, value, version });
        continue;
      }
      if (one.kind === 'delete') {
        told.push({ kind: 'delete', ...(await writer.delete(one.key)) });
        continue;
      }
      const replaces = one.kind === 'replace' ? (seen.get(one.key) ?? 0) : undefined;
      const result = await writer.put(one.key, value, {
        ifAbsent: one.kind === 'create',
        ...(replaces === undefined ? {} : { ifVersion: replaces }),
      });
      if (one.kind === 'create') expect(result.created).toBe(true);
      told.push({
        ...{ kind: 'put', key: one.key, value, version: result.version, created: result.created },
        ...(replaces === undefined ? {} : { replaces }),
      });
      seen.set(one.key, result.version);
    } catch (error) {
      if (!(error instanceof PreconditionFailedError)) throw error;
    }
  }
  const versions = told.map(({ version }) => version);
  expect(versions).toEqual(versions.toSorted((one, other) => one - other));
  return told;
}

interface Change {
  readonly version: number;
  readonly key: string;
}

/** Throws unless all that was told is true of the history that the log has. */
function assertHistory(
  start: number,
  log: readonly Change[],
  told: readonly Told[],
): Map<string, string> {
  expect(log.map(({ version }) => version)).toEqual(log.map((_, index) => start + 1 + index));
  const byVersion = new Map(
    told
      .filter((one) => one.kind === 'put' || (one.kind === 'delete' && one.deleted))
      .map((one) => [one.version, one]),
  );
  const ofBatches = told.flatMap((one) => (one.kind === 'batch' ? [...one.keys] : []));
  const present = new Map<string, { version: number; value: string | undefined }>();
  const absences = told.filter((one) => one.kind === 'delete' && !one.deleted);
  const checkAbsences = (head: number) => {
    for (const one of absences) {
      if (one.kind !== 'delete' || one.version !== head) continue;
      expect(present.has(one.key), `${one.key} at ${head}`).toBe(false);
    }
  };
  checkAbsences(start);
  for (const { version, key: changed } of log) {
    const one = byVersion.get(version);
    if (one === undefined) {
      // Of a batch: each of its keys has one change, and no other batch's takes its place.
      const index = ofBatches.indexOf(changed);
      expect(index, `${changed} at ${version} is nobody's`).not.toBe(-1);
      ofBatches.splice(index, 1);
      present.set(changed, { version, value: undefined });
    } else if (one.kind === 'delete') {
      expect([one.key, present.has(changed)]).toEqual([changed, true]);
      present.delete(changed);
    } else if (one.kind === 'put') {
      expect([one.key, one.created]).toEqual([changed, !present.has(changed)]);
      if (one.replaces !== undefined) expect(present.get(changed)?.version).toBe(one.replaces);
      present.set(changed, { version, value: one.value });
    }
    checkAbsences(version);
  }
  expect(ofBatches).toEqual([]);
  return new Map([...present].map(([each, { value }]) => [each, value ?? 'of a batch']));
}

describe.each(flavors)('random writes on %s', (flavor) => {
  const fixture = new WriterFixture(flavor);

  test('agree with the log in all that their clients are told', async () => {
    const other = fixture.open({ maxGroupRows: 4 });
    const clients = fc.array(fc.array(operation, { minLength: 1, maxLength: 12 }), {
      minLength: 6,
      maxLength: 12,
    });
    let run = 0;
    const property = fc.asyncProperty(clients, async (scripts) => {
      run += 1;
      await fixture.run('DELETE FROM configs');
      const start = Number((await fixture.run('SELECT head FROM config_stream'))[0]?.head);
      const told = await Promise.all(
        scripts.map((script, index) =>
          client(index % 3 === 0 ? other : fixture.writer, `${run}.${index}`, script),
        ),
      );
      const log = await fixture.run(
        'SELECT version, row_key AS `key` FROM config_changes WHERE version > ? ORDER BY version',
        [start],
      );
      // The statement above selects the members of Change.
      const expected = assertHistory(start, log as unknown as Change[], told.flat());
      const stored = await fixture.stored();
      expect(Object.keys(stored)).toEqual([...expected.keys()].toSorted());
      for (const [each, value] of expected) {
        if (value !== 'of a batch') expect(stored[each]).toBe(value);
      }
    });
    await fc.assert(property, { numRuns: 25, endOnFailure: true });
  });
});
