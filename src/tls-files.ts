/**
 * The PEM files that a URL names for TLS (`ssl-ca`, `ssl-cert`, `ssl-key`), read and held together
 * when the URL is read: a connection that cannot be set up later would only say that it failed.
 */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

export const TLS_FILES = ['ssl-ca', 'ssl-cert', 'ssl-key'] as const;

export interface TlsFiles {
  ca?: string;
  cert?: string;
  key?: string;
}

/** @param faults gets one line for each fault, which repeats no path */
export function readTlsFiles(parameters: URLSearchParams, faults: string[]): TlsFiles {
  const files: TlsFiles = {};
  for (const name of ['ca', 'cert', 'key'] as const) {
    const file = parameters.get(`ssl-${name}`);
    if (file === null) continue;
    const pem = readPem(file);
    if (pem === undefined)
      faults.push(`Expected ssl-${name} to name a file that can be read, in PEM`);
    else files[name] = pem;
  }
  if (parameters.has('ssl-cert') !== parameters.has('ssl-key')) {
    faults.push('Expected ssl-cert and ssl-key together');
  } else if (!fitsTogether(files)) {
    faults.push('Expected ssl-cert to hold certificates, and ssl-key the key of the first one');
  }
  return files;
}

function readPem(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    return text.includes('-----BEGIN ') ? text : undefined;
  } catch {
    return undefined; // the caller says which one it was
  }
}

function fitsTogether(files: TlsFiles): boolean {
  try {
    createSecureContext(files);
    return true;
  } catch {
    return false;
  }
}
