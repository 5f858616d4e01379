/**
 * `tidemark doctor` on real servers: each thing that can be wrong with a server or with replication
 * is made wrong, is named with its remedy, and is put right again.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { connected, flavors, query } from '../support/data-centers.js';
import { DoctorScene, find, SETTINGS } from '../support/doctor-scene.js';
import { until } from '../support/until.js';

describe.each(flavors)('doctor on %s', (flavor) => {
  const isMysql = flavor === 'mysql';
  const scene = new DoctorScene(flavor);
  const { write, onB, pastGuard, set, whileStopped, examine, named } = scene;
  beforeAll(() => scene.start());
  afterAll(() => scene.stop());
  beforeEach(() => scene.renew());

  describe('the servers', () => {
    test('a server that hangs, from the start and half-way', async () => {
      const { a, b } = scene.centers;
      onTestFinished(() => b.resume());
      b.pause();
      await named('MySQL-B', 'connection', 'fault', /MYSQL_B_URL.*ETIMEDOUT/, /can be reached/);
      b.resume();
      // A locked table keeps what is asked of A waiting.
      await connected(a.url(), async (connection) => {
        await connection.query(`LOCK TABLES d${scene.number}.config_stream WRITE`);
        const more = { answerWithinMs: 500, patienceMs: 0 };
        await named('MySQL-A', 'connection', 'fault', /MYSQL_A_URL.*silence/, /log/, more);
      });
    });

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
      await scene.centers.caughtUp();
      const asReader = { mysqlBUrl: scene.reader };
      const grant = /GRANT SELECT ON `d\d+`.`config_changes` TO 'tidemark_reader'@'%'/;
      await named('MySQL-B', 'privileges', 'fault', /may not read config_changes/, grant, asReader);
      await write("GRANT SELECT, INSERT ON config_changes TO 'tidemark_reader'@'%'");
      await scene.centers.caughtUp();
      const much = /INSERT on d\d+.config_changes$/;
      await named('MySQL-B', 'privileges', 'warning', much, /grant_reader.sql/, asReader);
      const onA = scene.as('tidemark_reader', scene.urls.mysqlAUrl);
      const lacking = /GRANT INSERT, UPDATE, DELETE ON `d\d+`.`configs` TO/;
      await named('MySQL-A', 'privileges', 'warning', /not enough/, lacking, {
        mysqlAUrl: onA,
      });
    });

    test('two URLs of one server, and a source in the place of the replica', async () => {
      const more = { mysqlBUrl: scene.urls.mysqlAUrl };
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
      await scene.centers.stopReplication();
      onTestFinished(async () => {
        await scene.centers.startReplication();
        await scene.centers.caughtUp();
      });
      const start = isMysql ? /START REPLICA/ : /START SLAVE/;
      await named('MySQL-B', 'replication', 'fault', /applier: No/, start);
      await write("UPDATE configs SET config_value = '2'");
      const asReader = { mysqlBUrl: scene.reader, patienceMs: 200 }; // which may not see the status
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
        await scene.centers.startReplication();
        await scene.centers.caughtUp();
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
      await connected(scene.urls.mysqlBUrl, async (connection) => {
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
      await scene.centers.caughtUp();
      await whileStopped([`${change} ${delay} = 7`], [`${change} ${delay} = 0`]);
      await named('MySQL-B', 'replication', 'warning', /delayed by 7 s/, /_DELAY = 0/);
    });

    test('filters that drop its tables', async () => {
      const filter = (value: string) =>
        isMysql
          ? `CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = (${value && `'${value}'`})`
          : `SET GLOBAL replicate_wild_ignore_table = '${value}'`;
      await whileStopped([filter(`d${scene.number}.config\\_%`)], [filter('')]);
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
      await connected(scene.urls.mysqlAUrl, async (connection) => {
        await connection.query('SET SESSION gtid_domain_id = 5');
        await connection.query("UPDATE configs SET config_value = '2'");
      });
      await scene.centers.caughtUp();
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
            await query(scene.urls.mysqlAUrl, `SET GLOBAL gtid_mode = ${mode}`);
          }
        };
        await scene.centers.stopReplication();
        onTestFinished(async () => {
          await modes('ON_PERMISSIVE', 'ON');
          await scene.centers.startReplication();
          await scene.centers.caughtUp();
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
});
