/** Certificates for servers and clients of tests, made with openssl. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onPath } from '../../src/demo/programs.js';
import type { TlsFiles } from '../chaos/redis-topology.js';

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** One certificate for all, with a CA of its own. `name` is what it is valid for, such as
 * `IP:127.0.0.1` or `DNS:cache-b`. */
export function makeCertificates(folder: string, name: string): TlsFiles {
  mkdirSync(folder, { recursive: true });
  const [ca, caKey, cert, key, request, extensions] = [
    ...['ca.pem', 'ca.key', 'node.pem', 'node.key', 'node.csr', 'extensions'],
  ].map((file) => join(folder, file)) as [string, string, string, string, string, string]; // six
  writeFileSync(extensions, `subjectAltName=${name}\n`);
  const days = ['-days', '2'];
  openssl('req', '-x509', ...NEW_KEY, ...days, '-subj', '/CN=ca', '-keyout', caKey, '-out', ca);
  openssl('req', ...NEW_KEY, '-subj', '/CN=node', '-keyout', key, '-out', request);
  const signed = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-extfile', extensions];
  openssl('x509', '-req', '-in', request, ...signed, ...days, '-out', cert);
  const [caText, certText, keyText] = [ca, cert, key].map((file) => readFileSync(file, 'utf8'));
  const client = { ca: caText, cert: certText, key: keyText, checkServerIdentity: () => undefined };
  return { ca, cert, key, client };
}

function openssl(...args: string[]): void {
  const program = onPath('openssl');
  if (program === undefined) throw new Error('Expected openssl on this machine, found none');
  execFileSync(program, args, { stdio: 'pipe' });
}
