/** The rights in Redis that ops/ gives to an account. */
import { readFile } from 'node:fs/promises';

/** The words after `user` of the one line of a file in ops/, with another password. */
export async function rightsIn(file: string, password = 'secret'): Promise<string[]> {
  const text = await readFile(new URL(`../../ops/${file}`, import.meta.url), 'utf8');
  const [line = '', ...others] = text.trim().split('\n');
  const [directive, ...rights] = line.split(' ');
  if (others.length > 0 || directive !== 'user') throw new Error(`Expected one user in ${file}`);
  return rights.map((word) => (word === '>secret' ? `>${password}` : word));
}

/** What docs/http.md gives an account on top of ops/redis-readers.acl where REDIS_HINTS is on. */
export async function hintRights(): Promise<string[]> {
  const document = await readFile(new URL('../../docs/http.md', import.meta.url), 'utf8');
  const [rights = ''] = /&tidemark:[^`]*/.exec(document) ?? [];
  return rights.split(' ');
}
