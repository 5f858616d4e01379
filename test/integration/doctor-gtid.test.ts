/** MySQL without GTIDs, in A and in B: the doctor says what is lost by that. That readers go on
 * without them is in early-wake.test.ts. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tidemark } from '../support/cli.js';
import { flavors } from '../support/data-centers.js';
import { DoctorScene, find, SETTINGS } from '../support/doctor-scene.js';

// MariaDB always has them; that its replica may not use them is in doctor-servers.test.ts.
describe.runIf(flavors.includes('mysql'))('MySQL without GTIDs', { timeout: 120_000 }, () => {
  const scene = new DoctorScene('mysql');
  const { write, onB, examine, named } = scene;

  /** A server changes its mode in steps, and may take the last one only when no transaction with a
   * GTID is left to be replicated. */
  async function step(mode: string): Promise<void> {
    await write(`SET GLOBAL gtid_mode = ${mode}`);
    await onB(`SET GLOBAL gtid_mode = ${mode}`);
  }

  beforeAll(async () => {
    await scene.start();
    await scene.renew();
    await scene.centers.stopReplication();
    await onB('CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION = 0');
    for (const mode of ['ON_PERMISSIVE', 'OFF_PERMISSIVE', 'OFF']) await step(mode);
    await scene.centers.startReplication();
  });
  afterAll(() => scene.stop());

  test('the doctor names both servers, what it costs and what to do, and it is no fault', async () => {
    const remedy = /SET PERSIST gtid_mode = ON in steps .* on A and B/;
    for (const place of ['MySQL-A', 'MySQL-B'] as const) {
      const cause = /^gtid_mode is OFF: no early wake, .* at POLL_INTERVAL_MS only$/;
      await named(place, 'GTID', 'warning', cause, remedy);
    }
    const { mysqlAUrl, mysqlBUrl, redisUrl } = scene.urls;
    const env = { MYSQL_A_URL: mysqlAUrl, MYSQL_B_URL: mysqlBUrl, REDIS_URL: redisUrl };
    const { stdout, exitCode } = await tidemark(env, 'doctor');
    expect(stdout).toMatch(/warning +GTID +gtid_mode is OFF: no early wake/);
    expect(exitCode).toBe(0);
  });

  test('with EARLY_WAKE=off there is nothing to be said', async () => {
    const findings = await examine({ settings: { ...SETTINGS, earlyWake: 'off' } });
    for (const place of ['MySQL-A', 'MySQL-B'] as const) {
      expect(find(findings, place, 'GTID').severity).toBe('ok');
    }
  });
});
