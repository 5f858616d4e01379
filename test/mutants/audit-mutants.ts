/** Bugs of the audit: false alarms. (What it finds, test/simulation/audit.test.ts says.) */
import { inSimulation, type Mutant } from './mutant.js';

const AUDIT = 'src/core/audit.ts';
const AUDITOR = 'src/reader/auditor.ts';
const budget = inSimulation('audit');

export const auditMutants: readonly Mutant[] = [
  {
    name: 'audit-of-changing-keys',
    wrong: 'a key that the log names on the way is compared all the same',
    file: AUDIT,
    find: ' && !this.#named.has(key)',
    replace: '',
    guarantees: ['audit'],
    budget,
  },
  {
    name: 'audit-of-any-history',
    wrong: 'looks at two histories are compared',
    file: AUDIT,
    find: 'return this.#fingerprints.get(version) === fingerprint;',
    replace: "return this.#fingerprints.has(version) && fingerprint !== ' ';",
    guarantees: ['audit'],
    budget,
  },
  {
    name: 'audit-does-not-follow',
    wrong: 'looks are compared at once, before the reader has followed the log to both',
    file: AUDIT,
    find: 'this.#leadsOver(held.at) && this.#leadsOver(found.at)',
    replace: 'held.at.version <= found.at.version',
    guarantees: ['audit'],
    budget,
  },
  {
    name: 'audit-as-of-the-fill',
    wrong: 'an entry of Redis is taken to be as of the position of the reader, not of its mark',
    file: AUDITOR,
    find: 'looks.set(key, { at: entry.at, etag: entry.etag });',
    replace: 'looks.set(key, { at: this.#local.applied, etag: entry.etag });',
    guarantees: ['audit'],
    budget,
  },
];
