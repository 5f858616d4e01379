/** What the topologies of Redis have in common: arguments, URLs, waiting, cutting replication. */
import { LOOPBACK } from '../../src/demo/server-process.js';
import { until } from '../support/until.js';
import type { RedisNode } from './redis-node.js';
import type { RedisTopologyOptions, UrlOptions } from './redis-topology.js';

/** Arguments of a data node that saves nothing by itself. */
export function dataArgs(
  { port, folder }: { readonly port: number; readonly folder: string },
  { args = [], tls }: RedisTopologyOptions,
): string[] {
  return [
    ...['--bind', LOOPBACK, '--dir', folder, '--save', '', '--appendonly', 'no'],
    ...['--repl-diskless-sync', 'yes', '--repl-diskless-sync-delay', '0', '--repl-timeout', '5'],
    ...listenArgs(port, tls),
    ...args,
  ];
}

export function listenArgs(port: number, tls: RedisTopologyOptions['tls']): string[] {
  if (tls === undefined) return ['--port', String(port)];
  const files = [
    '--tls-ca-cert-file',
    tls.ca,
    '--tls-cert-file',
    tls.cert,
    '--tls-key-file',
    tls.key,
  ];
  return ['--port', '0', '--tls-port', String(port), '--tls-replication', 'yes', ...files];
}

/** A URL of the settings. `name` is what tells the topologies apart: '', '-sentinel', '-cluster'. */
export function urlOf(
  kind: '' | '-sentinel' | '-cluster',
  ports: readonly number[],
  path: string,
  tls: boolean,
  { user, password, query = {} }: UrlOptions,
): string {
  const hosts = ports.map((port) => `${LOOPBACK}:${port}`).join(',');
  const who =
    password === undefined
      ? ''
      : `${encodeURIComponent(user ?? '')}:${encodeURIComponent(password)}@`;
  const options = Object.entries(query).map(
    ([name, text]) => `${name}=${encodeURIComponent(text)}`,
  );
  const tail = options.length === 0 ? '' : `?${options.join('&')}`;
  return `redis${tls ? 's' : ''}${kind}://${who}${hosts}${path}${tail}`;
}

/** The replicas' link breaks, and each new one fails, until `joinReplication`. */
export async function cutReplication(nodes: readonly RedisNode[]): Promise<void> {
  for (const node of nodes) {
    await node.call('CONFIG', 'SET', 'masteruser', 'nobody', 'masterauth', 'wrong');
  }
  for (const node of nodes) await node.call('CLIENT', 'KILL', 'TYPE', 'replica');
  for (const node of nodes) await node.call('CLIENT', 'KILL', 'TYPE', 'master');
  await until('replication to be cut', async () => {
    for (const node of nodes) {
      if ((await node.role()) === 'replica' && (await node.inStep())) return false;
    }
    return true;
  });
}

export async function joinReplication(nodes: readonly RedisNode[]): Promise<void> {
  for (const node of nodes) await node.call('CONFIG', 'SET', 'masteruser', '', 'masterauth', '');
}

/** Those that answer. */
export function alive(nodes: readonly RedisNode[]): RedisNode[] {
  return nodes.filter((node) => node.running && !node.paused);
}

export function byPort(nodes: readonly RedisNode[], announcedPort: number): RedisNode {
  const node = nodes.find((one) => one.announcedPort === announcedPort);
  if (node === undefined)
    throw new Error(`Expected a node known by port ${announcedPort}, got none`);
  return node;
}

export async function stopAll(nodes: readonly RedisNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.kill()));
}
