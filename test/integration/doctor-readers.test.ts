/**
 * `tidemark doctor` on readers that really run, and tell Redis of themselves: one that stands still
 * while the log is pruned past it, one that falls behind, one of another version.
 */
import { hostname } from 'node:os';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { openRedis } from '../../src/redis/client.js';
import { Roster } from '../../src/redis/roster.js';
import { packageVersion } from '../../src/version.js';
import { flavors } from '../support/data-centers.js';
import { DoctorScene, find } from '../support/doctor-scene.js';
import { startOtherVersion } from '../support/other-version.js';
import { ReaderProcess } from '../support/reader-process.js';
import { headOf, startReader, taken } from '../support/readers.js';
import { until } from '../support/until.js';

describe.each(flavors)('doctor and readers that run, on %s', { timeout: 120_000 }, (flavor) => {
  const scene = new DoctorScene(flavor);
  const { write, examine, named } = scene;
  beforeAll(() => scene.start());
  afterAll(() => scene.stop());
  beforeEach(() => scene.renew());

  const urls = () => ({ b: scene.reader, redis: scene.urls.redisUrl });

  async function roster() {
    const client = openRedis(scene.urls.redisUrl, () => undefined);
    onTestFinished(() => client.disconnect());
    await until('a connection', () => client.status === 'ready');
    return { client, announced: () => new Roster({ client, prefix: 'tidemark' }).read() };
  }

  async function isSound(check: string): Promise<boolean> {
    const place = check === 'retention' ? 'MySQL-B' : 'Redis';
    return find(await examine({ patienceMs: 10_000 }), place, check).severity === 'ok';
  }

  test('names readers of two versions, and each of them', async () => {
    const { announced } = await roster();
    await startReader(urls());
    const pid = await startOtherVersion('0.0.9', urls());
    await until('both to be announced', async () => (await announced()).length === 2);
    const own = `${packageVersion()} \\(\\S+:${process.pid}\\)`;
    const cause = new RegExp(`different versions .*: 0\\.0\\.9 \\(\\S+:${pid}\\), ${own}$`);
    await named('Redis', 'readers', 'warning', cause, /Bring all readers to the same version/);
  });

  // reader stands still ---- changes, and the log is pruned up to the last ---- it goes on
  test('names a reader past which the log was pruned, until it has started again', async () => {
    const { client, announced } = await roster();
    const reader = await ReaderProcess.start('reader', urls());
    const [one] = await until('it to be announced', async () => {
      const all = await announced();
      return all.some(({ ready }) => ready) && all;
    });
    if (one === undefined) throw new Error('Expected a reader, got none');
    reader.pause();
    onTestFinished(() => reader.resume());
    await client.persist(`tidemark:{readers}:${one.id}`); // it stays announced, however slow we are
    for (const value of [2, 3, 4]) await write(`UPDATE configs SET config_value = '${value}'`);
    const head = await headOf(scene.urls.mysqlAUrl);
    await write(`DELETE FROM config_changes WHERE version < ${head}`);
    await scene.centers.caughtUp();
    const who = `\\(${hostname()}:${one.pid}\\)`;
    const cause = new RegExp(
      `slowest reader ${who} is at version ${one.applied}, which was pruned .*begins at ${head}\\)`,
    );
    for (const place of ['MySQL-A', 'MySQL-B'] as const) {
      await named(place, 'retention', 'warning', cause, /tidemark status.*RETENTION_HOURS/);
    }
    reader.resume();
    await until('it to have caught up', () => isSound('retention'));
    expect(reader.rebases).toEqual(['start', 'pruned']);
  });

  // no right to read rows ---- 1,200 changes: it sees them, and cannot take them in ---- the right
  test('names a reader that lacks most of the log, until it has it', async () => {
    const { announced } = await roster();
    const reader = await startReader(urls());
    await taken(scene.urls.mysqlAUrl, [reader]);
    await write("REVOKE SELECT ON configs FROM 'tidemark_reader'@'%'");
    const rows = Array.from({ length: 1_200 }, (_, number) => `('n/${number}', '1')`);
    await write(`INSERT INTO configs (config_key, config_value) VALUES ${rows.join(', ')}`);
    await scene.centers.caughtUp();
    await until('it to say so', async () => {
      const [one] = await announced();
      return one !== undefined && one.head - one.applied >= 1_200;
    });
    const cause = new RegExp(`slowest reader \\(\\S+:${process.pid}\\) lacks 1200 of them`);
    await named('MySQL-B', 'retention', 'warning', cause, /Look why it is slow/);
    await write("GRANT SELECT ON configs TO 'tidemark_reader'@'%'");
    await until('it to have caught up', () => isSound('retention'));
  });
});
