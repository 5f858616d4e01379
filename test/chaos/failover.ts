/**
 * A failover of A that loses its tail: the standby, which did not get the last changes, becomes A,
 * and B is made anew from it.
 *
 * Nothing may be committed between the last look at the log and the end of the old A, or the checker
 * would not know it: the log's head is held locked until A is dead. The old B is gone, and every
 * connection to it cut, before the new one starts.
 */
import { nowMs } from './now.js';
import { connectTo } from './source-log.js';
import type { Stage } from './stage.js';

export async function failOver(stage: Stage): Promise<void> {
  const { servers, log, workload, checker } = stage;
  await workload.pause();
  stage.isFailingOver = true;
  try {
    const connection = await connectTo(servers.a);
    await connection.query('BEGIN');
    await connection.query('SELECT head FROM config_stream FOR UPDATE');
    await log.pullToEnd();
    log.close();
    await servers.a.kill();
    connection.destroy();
    const lastKept = await servers.retireStandby();
    await servers.b.kill();
    for (const reader of stage.readers) reader.mysql.reset();
    servers.link.reset();
    const goneMs = nowMs();
    await Promise.all([servers.cloneStandbyTo(servers.a), servers.cloneStandbyTo(servers.b)]);
    await servers.a.start();
    checker.rewrite({ lastKept, goneMs, backMs: nowMs() });
    await Promise.all([servers.b.start(), servers.standby.start()]);
    await log.rewind(lastKept);
    await servers.followA();
    for (const reader of stage.readers) reader.forgetWrites?.();
  } finally {
    stage.isFailingOver = false;
    workload.resume();
  }
}
