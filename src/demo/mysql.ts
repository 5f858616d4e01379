/** MySQL as a server kind: GTIDs with auto-position, a replica that nobody can write to. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findMySQL, required } from './programs.js';
import { REPLICATION_USER, type ServerKind } from './server-kind.js';

const run = promisify(execFile);

export function mysqlKind(): ServerKind {
  const programs = required(findMySQL(), 'real MySQL');
  const asRoot = process.getuid?.() === 0 ? ['--user=root'] : [];
  return {
    flavor: 'mysql',
    programs,
    args: [
      '--secure-file-priv=NULL',
      '--mysqlx=OFF',
      '--performance-schema=OFF',
      '--innodb-buffer-pool-size=64M',
      '--innodb-redo-log-capacity=64M',
      '--innodb-flush-log-at-trx-commit=2',
      '--sync-binlog=0',
      '--log-bin=binlog',
      '--relay-log=relay',
      '--log-bin-trust-function-creators=ON',
      '--gtid-mode=ON',
      '--enforce-gtid-consistency=ON',
      '--max-connections=500',
      '--replica-net-timeout=4',
      '--log-error-verbosity=2',
    ],
    replicaArgs: ['--read-only=ON', '--super-read-only=ON', '--relay-log-recovery=ON'],
    async initialise(folder) {
      const { command, args } = programs.server;
      const more = ['--initialize-insecure', `--datadir=${folder}`, '--mysqlx=OFF', ...asRoot];
      await run(command, [...args, ...more]);
    },
    async follow(replica, source) {
      await replica.query(
        `CHANGE REPLICATION SOURCE TO SOURCE_HOST = ?, SOURCE_PORT = ?, SOURCE_USER = ?,
         SOURCE_PASSWORD = ?, SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1,
         SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 86400, SOURCE_HEARTBEAT_PERIOD = 1`,
        [source.host, source.port, REPLICATION_USER, source.password],
      );
      await replica.query('START REPLICA');
    },
    startReplication: 'START REPLICA',
    stopReplication: 'STOP REPLICA',
  };
}
