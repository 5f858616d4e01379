/**
 * `tidemark doctor` on real servers: each thing that can be wrong is made wrong, is named with its
 * remedy, and is put right again. The data centers are the file's own: most faults are of a whole
 * server.
 */
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { DEFAULT_TABLE } from '../../src/core/table.js';
import { type DataCenters, startDataCenters } from '../../src/demo/data-centers.js';
import { examineSystem } from '../../src/doctor/doctor.js';
import type { DoctorSettings } from '../../src/doctor/facts.js';
import type { Finding, Place, Severity } from '../../src/doctor/finding.js';
import { connected, flavors, query } from '../support/data-centers.js';
import { migrateAt, migrationText } from '../support/migrations.js';
import { plainClient } from '../support/plain-client.js';
import { startReader, taken } from '../support/readers.js';
import { until } from '../support/until.js';

const SETTINGS: DoctorSettings = {
  names: DEFAULT_TABLE,
  keyPrefix: 'tidemark',
  redisBuckets: 1,
  staleAfterMs: 5_000,
  retentionHours: 24,
  earlyWake: 'auto',
};

describe.each(flavors)('doctor on %s', (flavor) => {
  const isMysql = flavor === 'mysql';
  let centers: DataCenters;
  let urls: { mysqlAUrl: string; mysqlBUrl: string; redisUrl: string };
  let reader: string;
  let number = 0;

  beforeAll(async () => {
    centers = await startDataCenters({ flavor });
  });
  afterAll(() => centers.stop());

  // A database of its own for each test; the servers are shared.
  beforeEach(async () => {
    number += 1;
    const name = `d${number}`;
    await query(centers.a.url(), `CREATE DATABASE ${name}`);
    await migrateAt(centers.a.url(name));
    await query(centers.a.url(), "DROP USER IF EXISTS 'tidemark_reader'@'%'");
    await query(centers.a.url(), "CREATE USER 'tidemark_reader'@'%' IDENTIFIED BY 'secret'");
    await plainClient(flavor, centers.a.url(name), await migrationText('grant_reader'));
    await write('INSERT INTO configs (config_key, config_value) VALUES (?, ?)', ['k', '1'], name);
    await write('UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)', [], name);
    await centers.caughtUp();
    urls = {
      mysqlAUrl: centers.a.url(name),
      mysqlBUrl: centers.b.url(name),
      redisUrl: `${centers.redis.url()}/${number}`,
    };
    const own = new URL(urls.mysqlBUrl);
    own.username = 'tidemark_reader';
    own.password = 'secret';
    reader = own.href;
  });

  async function write(sql: string, values: string[] = [], name = `d${number}`) {
    return await query(centers.a.url(name), sql, values);
  }

  async function onB(sql: string): Promise<RowDataPacket[]> {
    return await query(urls.mysqlBUrl, sql);
  }

  /** Runs statements on B as if nobody guarded it; what they did stays. */
  async function pastGuard(...statements: string[]): Promise<void> {
    const guards = isMysql ? ['super_read_only', 'read_only'] : ['read_only'];
    try {
      for (const guard of guards) await onB(`SET GLOBAL ${guard} = OFF`);
      await connected(urls.mysqlBUrl, async (connection) => {
        await connection.query('SET sql_log_bin = 0');
        for (const sql of statements) await connection.query(sql);
      });
    } finally {
      for (const guard of guards.toReversed()) await onB(`SET GLOBAL ${guard} = ON`);
    }
  }

  /** Sets a variable of a server until the test is over. */
  async function set(server: 'a' | 'b', variable: string, value: string): Promise<void> {
    const url = centers[server].url('');
    const [row] = await query(url, `SELECT @@global.${variable} AS was`);
    onTestFinished(async () => {
      await query(url, `SET GLOBAL ${variable} = ${quoted(row?.was)}`);
    });
    await query(url, `SET GLOBAL ${variable} = ${value}`);
  }

  function quoted(value: unknown): string {
    return typeof value === 'number' ? String(value) : `'${value}'`;
  }

  /** Stops replication (or its applier) for `change`, and for its undoing after the test. */
  async function whileStopped(change: string[], undo: string[]): Promise<void> {
    const both = async (statements: string[]) => {
      await centers.stopReplication();
      for (const sql of statements) await onB(sql);
      await centers.startReplication();
    };
    onTestFinished(async () => {
      await both(undo);
      await centers.caughtUp();
    });
    await both(change);
  }

  async function examine(
    more: Partial<Parameters<typeof examineSystem>[0]> = {},
  ): Promise<Finding[]> {
    return await examineSystem({ ...urls, settings: SETTINGS, patienceMs: 1_000, ...more });
  }

  function find(findings: readonly Finding[], place: Place, check: string): Finding {
    const found = findings.find((one) => one.place === place && one.check === check);
    if (found === undefined) throw new Error(`Expected a finding of ${place}, ${check}`);
    return found;
  }

  /** What the check says of the broken system; with a remedy, as all that is wrong has. */
  async function named(
    place: Place,
    check: string,
    severity: Severity,
    cause: RegExp,
    remedy: RegExp,
    more?: Parameters<typeof examine>[0],
  ): Promise<void> {
    expect(find(await examine(more), place, check)).toMatchObject({
      severity,
      cause: expect.stringMatching(cause),
      remedy: expect.stringMatching(remedy),
    });
  }

  test('finds no fault in a sound system, and sees all of it as an administrator', async () => {
    const running = await startReader({ b: urls.mysqlBUrl, redis: urls.redisUrl });
    await taken(urls.mysqlAUrl, [running]);
    const findings = await examine();
    const bad = findings.filter(({ severity }) => severity !== 'ok');
    expect(bad.map(({ place, check }) => `${place} ${check}`)).toEqual([
      'MySQL-A privileges', // an administrator's
      'MySQL-B privileges',
    ]);
    expect(find(findings, 'Redis', 'marks').cause).toMatch(/version \d+$/);
  });

  test("works with a reader's own rights, and says what would show the rest", async () => {
    const findings = await examine({ mysqlBUrl: reader });
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
    await centers.caughtUp();
    const seen = (await examine({ mysqlBUrl: reader })).filter((one) => one.place === 'MySQL-B');
    expect(seen.filter(({ severity }) => severity !== 'ok')).toEqual([]);
  });

  test('a URL that is missing leaves its side unchecked, and says so', async () => {
    const findings = await examine({ mysqlAUrl: undefined, redisUrl: undefined });
    expect(find(findings, 'MySQL-A', 'connection').severity).toBe('unknown');
    expect(find(findings, 'Redis', 'connection').cause).toMatch(/unchecked.*REDIS_URL/);
    expect(findings.filter(({ place }) => place === 'A to B')).toEqual([]);
    expect(find(findings, 'MySQL-B', 'replication').severity).toBe('ok');
  });

  test('a server that cannot be reached, a wrong password, without repeating it', async () => {
    const wrong = new URL(urls.mysqlAUrl);
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
      await migrateAt(urls.mysqlAUrl, { to: 0 });
      await centers.caughtUp();
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
      await centers.caughtUp();
      await named(
        'MySQL-A',
        'triggers',
        'fault',
        /none for UPDATE/,
        /migrate --to 2, then tidemark/,
      );
      await named('MySQL-B', 'triggers', 'warning', /none for UPDATE.*once B/, /migrate --to 2/);
      // The remedy is one.
      await migrateAt(urls.mysqlAUrl, { to: 2 });
      await migrateAt(urls.mysqlAUrl);
      await centers.caughtUp();
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
      const user = `m${number}`;
      await write(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret'`);
      await write(`GRANT ALL ON d${number}.* TO '${user}'@'%'`);
      const own = new URL(urls.mysqlAUrl);
      own.username = user;
      own.password = 'secret';
      await migrateAt(urls.mysqlAUrl, { to: 2 });
      await set('a', 'log_bin_trust_function_creators', 'OFF');
      const more = { mysqlAUrl: own.href };
      await named('MySQL-A', 'trigger creation', 'fault', /1419/, /SET GLOBAL.*= 1/, more);
      await migrateAt(urls.mysqlAUrl);
      expect(find(await examine(more), 'MySQL-A', 'trigger creation').severity).toBe('ok');
    });

    test('a key whose collation takes two keys for one, or is another one in B', async () => {
      const modify = 'ALTER TABLE configs MODIFY config_key VARCHAR(255)';
      await write(`${modify} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL`);
      await centers.caughtUp();
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

  describe('the servers', () => {
    test('a source that takes no writes', async () => {
      await set('a', 'read_only', 'ON');
      await named('MySQL-A', 'read-only', 'fault', /takes no writes/, /SET GLOBAL read_only = OFF/);
    });

    test('a binary log of statements', async () => {
      await set('a', 'binlog_format', "'STATEMENT'");
      await named('MySQL-A', 'binary log', 'fault', /STATEMENT/, /binlog_format = 'ROW'/);
    });

    test('a replica that can be written to', async () => {
      if (isMysql) {
        await set('b', 'super_read_only', 'OFF');
        await named(
          'MySQL-B',
          'read-only',
          'warning',
          /super_read_only is off/,
          /super_read_only = ON/,
        );
      }
      await set('b', 'read_only', 'OFF');
      await named('MySQL-B', 'read-only', 'fault', /read_only is off/, /read_only = ON/);
    });

    test('accounts that may do too little, or too much', async () => {
      await write("REVOKE SELECT ON config_changes FROM 'tidemark_reader'@'%'");
      await centers.caughtUp();
      const asReader = { mysqlBUrl: reader };
      const grant = /GRANT SELECT ON `d\d+`.`config_changes` TO 'tidemark_reader'@'%'/;
      await named('MySQL-B', 'privileges', 'fault', /may not read config_changes/, grant, asReader);
      await write("GRANT SELECT, INSERT ON config_changes TO 'tidemark_reader'@'%'");
      await centers.caughtUp();
      const much = /INSERT on d\d+.config_changes$/;
      await named('MySQL-B', 'privileges', 'warning', much, /grant_reader.sql/, asReader);
      const onA = new URL(urls.mysqlAUrl);
      onA.username = 'tidemark_reader';
      onA.password = 'secret';
      const lacking = /GRANT INSERT, UPDATE, DELETE ON `d\d+`.`configs` TO/;
      await named('MySQL-A', 'privileges', 'warning', /not enough/, lacking, {
        mysqlAUrl: onA.href,
      });
    });

    test('two URLs of one server, and a source in the place of the replica', async () => {
      const more = { mysqlBUrl: urls.mysqlAUrl };
      await named('A to B', 'servers', 'fault', /one server/, /MYSQL_B_URL/, more);
      await named('MySQL-B', 'replication', 'fault', /follows no other/, /MYSQL_B_URL/, more);
    });

    test('packets that are smaller in B', async () => {
      await set('b', 'max_allowed_packet', '1048576');
      await named(
        'A to B',
        'packets',
        'warning',
        /1048576 bytes in B/,
        /max_allowed_packet = 67108864/,
      );
      const applier = `${isMysql ? 'replica' : 'slave'}_max_allowed_packet`;
      await set('b', applier, '16777216');
      await named('A to B', 'packets', 'fault', /applies .* 16777216/, new RegExp(applier));
    });
  });

  describe('replication', () => {
    test('stopped', async () => {
      await centers.stopReplication();
      onTestFinished(async () => {
        await centers.startReplication();
        await centers.caughtUp();
      });
      const start = isMysql ? /START REPLICA/ : /START SLAVE/;
      await named('MySQL-B', 'replication', 'fault', /applier: No/, start);
      await write("UPDATE configs SET config_value = '2'");
      const asReader = { mysqlBUrl: reader, patienceMs: 200 }; // which may not see the status
      await named('A to B', 'log', 'fault', /1 of A's changes.*none came/, /replication/, asReader);
    });

    test('stopped by a row that was written on B', async () => {
      const [stream] = await onB('SELECT head FROM config_stream');
      const next = Number(stream?.head) + 1;
      await pastGuard(
        `INSERT INTO config_changes VALUES (${next}, 'configs', 'b', 'insert', UTC_TIMESTAMP(6))`,
      );
      onTestFinished(async () => {
        await pastGuard(`DELETE FROM config_changes WHERE version = ${next}`);
        await centers.startReplication();
        await centers.caughtUp();
      });
      await write("UPDATE configs SET config_value = '2'");
      await until('replication to stop', async () => {
        return (
          find(await examine({ patienceMs: 0 }), 'MySQL-B', 'replication').severity === 'fault'
        );
      });
      const remedy = /written to directly; clone B anew/;
      await named('MySQL-B', 'replication', 'fault', /by error 1062/, remedy, { patienceMs: 0 });
    });

    test('lagging, by accident and on purpose', async () => {
      const more = { settings: { ...SETTINGS, staleAfterMs: 1 }, patienceMs: 0 };
      if (isMysql) await set('b', 'super_read_only', 'OFF'); // which forbids locks, too
      await connected(urls.mysqlBUrl, async (connection) => {
        await connection.beginTransaction();
        await connection.query('SELECT head FROM config_stream FOR UPDATE'); // the applier waits
        await write("UPDATE configs SET config_value = '2'");
        await until('B to lag', async () => {
          const { cause } = find(await examine(more), 'MySQL-B', 'replication');
          return /[1-9]\d* s behind A: readers mark/.test(cause);
        });
        await connection.rollback();
      });
      const [change, delay] = isMysql
        ? ['CHANGE REPLICATION SOURCE TO', 'SOURCE_DELAY']
        : ['CHANGE MASTER TO', 'MASTER_DELAY'];
      await centers.caughtUp();
      await whileStopped([`${change} ${delay} = 7`], [`${change} ${delay} = 0`]);
      await named('MySQL-B', 'replication', 'warning', /delayed by 7 s/, /_DELAY = 0/);
    });

    test('filters that drop its tables', async () => {
      const filter = (value: string) =>
        isMysql
          ? `CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = (${value && `'${value}'`})`
          : `SET GLOBAL replicate_wild_ignore_table = '${value}'`;
      await whileStopped([filter(`d${number}.config\\_%`)], [filter('')]);
      const drops = /wild_ignore_table drops config_stream, config_changes of d\d+/;
      await named('MySQL-B', 'filters', 'fault', drops, /lets them pass/);
    });

    test.runIf(isMysql)('commits in another order than those of A', async () => {
      const order = (value: string) => `SET GLOBAL replica_preserve_commit_order = ${value}`;
      await whileStopped([order('OFF')], [order('ON')]);
      const remedy = /replica_preserve_commit_order = ON/;
      await named('MySQL-B', 'commit order', 'warning', /preserve_commit_order is off/, remedy);
    });

    test.skipIf(isMysql)('commits of several domains at once; triggers that run in B', async () => {
      await connected(urls.mysqlAUrl, async (connection) => {
        await connection.query('SET SESSION gtid_domain_id = 5');
        await connection.query("UPDATE configs SET config_value = '2'");
      });
      await centers.caughtUp();
      const threads = (value: number) => `SET GLOBAL slave_parallel_threads = ${value}`;
      const triggers = (value: string) => `SET GLOBAL slave_run_triggers_for_rbr = ${value}`;
      await whileStopped([threads(2), triggers('YES')], [threads(0), triggers('NO')]);
      await named('MySQL-B', 'commit order', 'warning', /2 GTID domains/, /gtid_domain_id/);
      await named('MySQL-B', 'replica triggers', 'fault', /is YES/, /= NO/);
    });

    test('without GTIDs', async () => {
      if (isMysql) {
        const modes = async (...all: string[]) => {
          for (const mode of all) {
            await query(urls.mysqlAUrl, `SET GLOBAL gtid_mode = ${mode}`);
          }
        };
        await centers.stopReplication();
        onTestFinished(async () => {
          await modes('ON_PERMISSIVE', 'ON');
          await centers.startReplication();
          await centers.caughtUp();
        });
        await modes('ON_PERMISSIVE', 'OFF_PERMISSIVE');
        await named(
          'MySQL-A',
          'GTID',
          'warning',
          /OFF_PERMISSIVE.*no early wake/,
          /gtid_mode = ON/,
        );
        const settings = { ...SETTINGS, earlyWake: 'off' as const };
        expect(find(await examine({ settings }), 'MySQL-A', 'GTID').severity).toBe('ok');
        return;
      }
      const change = (value: string) => `CHANGE MASTER TO MASTER_USE_GTID = ${value}`;
      await whileStopped([change('no')], [change('slave_pos')]);
      await named('MySQL-B', 'GTID', 'warning', /does not replicate by GTID/, /slave_pos/);
    });

    test('another history in B than in A', async () => {
      await pastGuard('UPDATE config_changes SET changed_at = UTC_TIMESTAMP(6)');
      await named('A to B', 'log', 'fault', /another change in A than in B/, /Clone B anew/);
    });
  });

  describe('freshness', () => {
    test('no heartbeat', async () => {
      await write("UPDATE config_stream SET beat_at = '2020-01-01'");
      await centers.caughtUp();
      await named('MySQL-A', 'heartbeat', 'warning', /\d+ h ago/, /tidemark write/);
      const alone = { mysqlAUrl: undefined };
      await named('MySQL-B', 'heartbeat', 'warning', /\d+ h ago/, /tidemark write/, alone);
    });

    test('a log that nobody prunes, and one that is empty', async () => {
      await write("UPDATE config_changes SET changed_at = '2020-01-01' WHERE version = 1");
      await centers.caughtUp();
      await named('MySQL-A', 'retention', 'warning', /over RETENTION_HOURS/, /tidemark write/);
      await write('DELETE FROM config_changes');
      await named('MySQL-A', 'retention', 'fault', /log is empty/, /Write to the tracked table/);
    });
  });

  describe('what readers left in Redis', () => {
    test('marks that do not move, were pruned, or are of another history', async () => {
      const running = await startReader({ b: urls.mysqlBUrl, redis: urls.redisUrl });
      await taken(urls.mysqlAUrl, [running]);
      await running.stop();
      expect(find(await examine(), 'Redis', 'marks').severity).toBe('ok');
      await pastGuard('UPDATE config_changes SET changed_at = UTC_TIMESTAMP(6)');
      await named('Redis', 'marks', 'warning', /another history/, /starts anew/);
      await write("UPDATE configs SET config_value = '2'");
      await write('DELETE FROM config_changes WHERE version < 3');
      await centers.caughtUp();
      await named('Redis', 'marks', 'warning', /which was pruned/, /RETENTION_HOURS/);
    });

    test('marks that stay behind', async () => {
      const running = await startReader({ b: urls.mysqlBUrl, redis: urls.redisUrl });
      await taken(urls.mysqlAUrl, [running]);
      await running.stop();
      await write("UPDATE configs SET config_value = '2'");
      await centers.caughtUp();
      await named('Redis', 'marks', 'warning', /no reader runs/, /tidemark read/, {
        patienceMs: 0,
      });
    });
  });
});
