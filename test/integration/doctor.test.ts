/**
 * `tidemark doctor` on real servers: a sound system, the rights it needs, and each thing that can be
 * wrong with the schema, the log and what readers left; it is made wrong, and named with its remedy.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { tidemark } from '../support/cli.js';
import { flavors } from '../support/data-centers.js';
import { DoctorScene, find, SETTINGS } from '../support/doctor-scene.js';
import { migrateAt } from '../support/migrations.js';
import { startReader, taken } from '../support/readers.js';
import { until } from '../support/until.js';

describe.each(flavors)('doctor on %s', (flavor) => {
  const isMysql = flavor === 'mysql';
  const scene = new DoctorScene(flavor);
  const { write, pastGuard, set, examine, named } = scene;
  beforeAll(() => scene.start());
  afterAll(() => scene.stop());
  beforeEach(() => scene.renew());

  test('finds no fault in a sound system, and sees all of it as an administrator', async () => {
    const urls = { b: scene.urls.mysqlBUrl, redis: scene.urls.redisUrl };
    const { staleAfterMs } = SETTINGS; // there is one heartbeat, and no more
    const running = await startReader(urls, { staleAfterMs });
    await taken(scene.urls.mysqlAUrl, [running]);
    await until('a ready reader', async () => (await running.readers())[0]?.ready);
    const findings = await examine({ patienceMs: 30_000 });
    const bad = findings.filter(({ severity }) => severity !== 'ok');
    expect(bad.map(({ place, check }) => `${place} ${check}`)).toEqual([
      'MySQL-A privileges', // an administrator's
      'MySQL-B privileges',
    ]);
    expect(find(findings, 'Redis', 'marks').cause).toMatch(/version \d+$/);
  });

  test("works with a reader's own rights, and says what would show the rest", async () => {
    const findings = await examine({ mysqlBUrl: scene.reader });
    expect(findings.filter(({ severity }) => severity === 'fault')).toEqual([]);
    expect(find(findings, 'MySQL-B', 'privileges').severity).toBe('ok');
    const rights = isMysql
      ? { replication: 'REPLICATION CLIENT', filters: 'REPLICATION CLIENT' }
      : { replication: 'SLAVE MONITOR' };
    const unseen = { migrations: 'SELECT ON', triggers: 'TRIGGER ON', ...rights };
    for (const [check, right] of Object.entries(unseen)) {
      const { severity, remedy } = find(findings, 'MySQL-B', check);
      expect([check, severity, remedy]).toEqual([
        check,
        'unknown',
        expect.stringMatching(new RegExp(`GRANT ${right}.*'tidemark_reader'@'%'`)),
      ]);
    }
    expect(find(findings, 'A to B', 'log').severity).toBe('ok');
    // With what it asks for, it sees the rest.
    const extra = isMysql ? 'REPLICATION CLIENT' : 'SLAVE MONITOR';
    await write(`GRANT ${extra} ON *.* TO 'tidemark_reader'@'%'`);
    await write(`GRANT SELECT ON tidemark_migrations TO 'tidemark_reader'@'%'`);
    await write(`GRANT TRIGGER ON configs TO 'tidemark_reader'@'%'`);
    await scene.centers.caughtUp();
    const seen = (await examine({ mysqlBUrl: scene.reader })).filter(
      (one) => one.place === 'MySQL-B',
    );
    expect(seen.filter(({ severity }) => severity !== 'ok')).toEqual([]);
  });

  test('the process ends with 0 on a sound system, 1 on a fault, 2 on a typo', async () => {
    const { mysqlAUrl: MYSQL_A_URL, mysqlBUrl: MYSQL_B_URL, redisUrl: REDIS_URL } = scene.urls;
    const urls = { MYSQL_A_URL, MYSQL_B_URL, REDIS_URL };
    const sound = await tidemark(urls, 'doctor', '--json');
    expect(sound).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(sound.stdout)).toMatchObject({ sound: true, counts: { fault: 0 } });
    await write('DROP TRIGGER configs_tidemark_update');
    const broken = await tidemark(urls, 'doctor');
    expect(broken).toMatchObject({ exitCode: 1, stderr: '' });
    expect(broken.stdout).toMatch(/^ {2}FAULT {4}triggers {10}none for UPDATE/m);
    const typo = await tidemark({ ...urls, MYSQL_A_URL: 'mysql//hunter2' }, 'doctor');
    expect(typo).toMatchObject({ exitCode: 2, stdout: '' });
    expect(typo.stderr).toMatch(/MYSQL_A_URL: Expected a URL like/);
    expect(typo.stderr).not.toMatch(/hunter2|\bat /);
  });

  test('a URL that is missing leaves its side unchecked, and says so', async () => {
    const findings = await examine({ mysqlAUrl: undefined, redisUrl: undefined });
    expect(find(findings, 'MySQL-A', 'connection').severity).toBe('unknown');
    expect(find(findings, 'Redis', 'connection').cause).toMatch(/unchecked.*REDIS_URL/);
    expect(findings.filter(({ place }) => place === 'A to B')).toEqual([]);
    expect(find(findings, 'MySQL-B', 'replication').severity).toBe('ok');
  });

  test('a server that cannot be reached, a wrong password, without repeating it', async () => {
    const wrong = new URL(scene.urls.mysqlAUrl);
    wrong.password = 'hunter2';
    const findings = await examine({
      mysqlAUrl: wrong.href,
      mysqlBUrl: 'mysql://u:p@127.0.0.1:1/d',
    });
    expect(find(findings, 'MySQL-A', 'connection').cause).toMatch(/MYSQL_A_URL.*ACCESS_DENIED/);
    expect(find(findings, 'MySQL-B', 'connection').cause).toMatch(/MYSQL_B_URL.*ECONNREFUSED/);
    expect(JSON.stringify(findings)).not.toContain('hunter2');
  });

  describe('the schema', () => {
    test('a database without the migrations', async () => {
      await migrateAt(scene.urls.mysqlAUrl, { to: 0 });
      await scene.centers.caughtUp();
      const findings = await examine();
      expect(find(findings, 'MySQL-A', 'tables')).toMatchObject({
        severity: 'fault',
        cause: expect.stringMatching(/config_stream, config_changes missing/),
        remedy: 'tidemark migrate',
      });
      expect(find(findings, 'MySQL-B', 'tables').severity).toBe('fault');
      expect(find(findings, 'MySQL-A', 'migrations').cause).toMatch(/0001_log.*0003_triggers/);
    });

    test('a migration that is missing, or was another one', async () => {
      await write("DELETE FROM tidemark_migrations WHERE name = '0003_triggers'");
      await named('MySQL-A', 'migrations', 'fault', /not applied: 0003/, /^tidemark migrate/);
      await write("UPDATE tidemark_migrations SET checksum = REPEAT('0', 64)");
      await named('MySQL-A', 'migrations', 'fault', /0001_log/, /Install the tidemark/);
    });

    test('triggers that are missing in A and in B', async () => {
      await write('DROP TRIGGER configs_tidemark_update');
      await scene.centers.caughtUp();
      await named(
        'MySQL-A',
        'triggers',
        'fault',
        /none for UPDATE/,
        /migrate --to 2, then tidemark/,
      );
      await named('MySQL-B', 'triggers', 'warning', /none for UPDATE.*once B/, /migrate --to 2/);
      // The remedy is one.
      await migrateAt(scene.urls.mysqlAUrl, { to: 2 });
      await migrateAt(scene.urls.mysqlAUrl);
      await scene.centers.caughtUp();
      const findings = await examine();
      expect(find(findings, 'MySQL-A', 'triggers').severity).toBe('ok');
      expect(find(findings, 'MySQL-B', 'triggers').severity).toBe('ok');
    });

    test('triggers that were changed', async () => {
      await write('DROP TRIGGER configs_tidemark_delete');
      await write(
        `CREATE TRIGGER configs_tidemark_delete BEFORE DELETE ON configs FOR EACH ROW
         BEGIN
           IF OLD.config_key <> 'x' THEN
             UPDATE config_stream SET head = LAST_INSERT_ID(head + 1) WHERE id = 1;
             INSERT INTO config_changes (version, table_name, row_key, op, changed_at)
             VALUES (LAST_INSERT_ID(), 'configs', OLD.config_key, 'delete', UTC_TIMESTAMP(6));
           END IF;
         END`,
      );
      await named('MySQL-A', 'triggers', 'fault', /configs_tidemark_delete: not as/, /migrate/);
    });

    test('an account that cannot create the triggers', async () => {
      const user = `m${scene.number}`;
      await write(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret'`);
      await write(`GRANT ALL ON d${scene.number}.* TO '${user}'@'%'`);
      await migrateAt(scene.urls.mysqlAUrl, { to: 2 });
      await set('a', 'log_bin_trust_function_creators', 'OFF');
      const more = { mysqlAUrl: scene.as(user, scene.urls.mysqlAUrl) };
      await named('MySQL-A', 'trigger creation', 'fault', /1419/, /SET GLOBAL.*= 1/, more);
      await migrateAt(scene.urls.mysqlAUrl);
      expect(find(await examine(more), 'MySQL-A', 'trigger creation').severity).toBe('ok');
    });

    test('a key whose collation takes two keys for one, or is another one in B', async () => {
      const modify = 'ALTER TABLE configs MODIFY config_key VARCHAR(255)';
      await write(`${modify} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL`);
      await scene.centers.caughtUp();
      await named('MySQL-A', 'key collation', 'warning', /'a' and 'A', 'a' and 'a '/, /_bin/);
      await pastGuard(`${modify} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL`);
      await named(
        'MySQL-B',
        'key collation',
        'warning',
        /utf8mb4_general_ci in A/,
        /as it is in A/,
      );
    });

    test('a foreign key that changes rows by itself', async () => {
      await write('CREATE TABLE owners (id INT PRIMARY KEY) ENGINE = InnoDB');
      await write(
        `ALTER TABLE configs ADD owner INT NULL, ADD CONSTRAINT of_owner
         FOREIGN KEY (owner) REFERENCES owners (id) ON DELETE CASCADE ON UPDATE SET NULL`,
      );
      const rules = /of_owner \(ON DELETE CASCADE ON UPDATE SET NULL, from owners\)/;
      await named('MySQL-A', 'cascades', 'fault', rules, /RESTRICT/);
    });

    test('a table without transactions, and a stream that lost its row', async () => {
      await write('ALTER TABLE config_stream ENGINE = MyISAM');
      await named('MySQL-A', 'tables', 'fault', /config_stream is in MyISAM/, /ENGINE = InnoDB/);
      await write('ALTER TABLE config_stream ENGINE = InnoDB');
      await write('DELETE FROM config_stream');
      const remedy = /In A: (INSERT INTO config_stream.*)$/;
      await named('MySQL-A', 'tables', 'fault', /lost its one row/, remedy);
      const { remedy: text = '' } = find(await examine(), 'MySQL-A', 'tables');
      await write(remedy.exec(text)?.[1] ?? '');
      expect(find(await examine(), 'MySQL-A', 'tables').severity).toBe('ok');
    });
  });

  describe('freshness', () => {
    test('no heartbeat', async () => {
      await write("UPDATE config_stream SET beat_at = '2020-01-01'");
      await scene.centers.caughtUp();
      await named('MySQL-A', 'heartbeat', 'warning', /\d+ h ago/, /tidemark write/);
      const alone = { mysqlAUrl: undefined };
      await named('MySQL-B', 'heartbeat', 'warning', /\d+ h ago/, /tidemark write/, alone);
    });

    test('a log that nobody prunes, and one that is empty', async () => {
      await write("UPDATE config_changes SET changed_at = '2020-01-01' WHERE version = 1");
      await scene.centers.caughtUp();
      await named('MySQL-A', 'retention', 'warning', /over RETENTION_HOURS/, /tidemark write/);
      await write('DELETE FROM config_changes');
      await named('MySQL-A', 'retention', 'fault', /log is empty/, /Write to the tracked table/);
    });
  });

  describe('what readers left in Redis', () => {
    test('marks that do not move, were pruned, or are of another history', async () => {
      const running = await startReader({ b: scene.urls.mysqlBUrl, redis: scene.urls.redisUrl });
      await taken(scene.urls.mysqlAUrl, [running]);
      await until('its marks', () => running.ready);
      await running.stop();
      expect(find(await examine({ patienceMs: 30_000 }), 'Redis', 'marks').severity).toBe('ok');
      await pastGuard('UPDATE config_changes SET changed_at = UTC_TIMESTAMP(6)');
      await named('Redis', 'marks', 'warning', /another history/, /starts anew/);
      await write("UPDATE configs SET config_value = '2'");
      await write('DELETE FROM config_changes WHERE version < 3');
      await scene.centers.caughtUp();
      await named('Redis', 'marks', 'warning', /which was pruned/, /RETENTION_HOURS/);
    });

    test('marks that stay behind', async () => {
      const running = await startReader({ b: scene.urls.mysqlBUrl, redis: scene.urls.redisUrl });
      await taken(scene.urls.mysqlAUrl, [running]);
      await until('its marks', () => running.ready);
      await running.stop();
      await write("UPDATE configs SET config_value = '2'");
      await scene.centers.caughtUp();
      await named('Redis', 'marks', 'warning', /no reader runs/, /tidemark read/, {
        patienceMs: 0,
      });
    });
  });
});
