/** All planted bugs. */
import { auditMutants } from './audit-mutants.js';
import { localMutants } from './local-mutants.js';
import type { Mutant } from './mutant.js';
import { readerMutants } from './reader-mutants.js';
import { reconcilerMutants } from './reconciler-mutants.js';
import { redisMutants } from './redis-mutants.js';
import { sqlMutants } from './sql-mutants.js';
import { writerMutants } from './writer-mutants.js';

export const mutants: readonly Mutant[] = [
  ...redisMutants,
  ...localMutants,
  ...reconcilerMutants,
  ...readerMutants,
  ...sqlMutants,
  ...writerMutants,
  ...auditMutants,
];
