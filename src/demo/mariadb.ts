/** MariaDB as a server kind: GTIDs by slave position, row format, a read-only replica. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findMariaDB, onPath, required } from './programs.js';
import { REPLICATION_USER, type ServerKind } from './server-kind.js';

const run = promisify(execFile);

export function mariadbKind(): ServerKind {
  const programs = required(findMariaDB(), 'MariaDB');
  const asRoot = process.getuid?.() === 0 ? ['--user=root'] : [];
  return {
    flavor: 'mariadb',
    programs,
    args: [
      '--performance-schema=OFF',
      '--innodb-buffer-pool-size=64M',
      '--innodb-log-file-size=64M',
      '--innodb-flush-log-at-trx-commit=2',
      '--sync-binlog=0',
      '--log-bin=binlog',
      '--binlog-format=ROW',
      '--log-slave-updates=ON',
      '--relay-log=relay',
      '--log-bin-trust-function-creators=ON',
      '--max-allowed-packet=64M',
      '--max-connections=500',
      '--slave-net-timeout=4',
    ],
    replicaArgs: ['--read-only=ON'],
    async initialise(folder) {
      // Without its test database it has no anonymous accounts either; those of localhost would
      // take the place of 'tidemark'@'%'.
      await run(required(onPath('mariadb-install-db'), 'mariadb-install-db'), [
        '--no-defaults',
        '--skip-test-db',
        '--auth-root-authentication-method=normal',
        `--datadir=${folder}`,
        ...asRoot,
      ]);
    },
    async follow(replica, source) {
      await replica.query(
        `CHANGE MASTER TO MASTER_HOST = ?, MASTER_PORT = ?, MASTER_USER = ?, MASTER_PASSWORD = ?,
         MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 1`,
        [source.host, source.port, REPLICATION_USER, source.password],
      );
      await replica.query('START SLAVE');
    },
    startReplication: 'START SLAVE',
    stopReplication: 'STOP SLAVE',
  };
}
