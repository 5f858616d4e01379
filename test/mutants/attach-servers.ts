/** Vitest's global setup in a mutant's folder: the servers run already, started by the runner. */
import type { TestProject } from 'vitest/node';
import type { ProvidedDataCenters } from '../support/global-setup.js';

export default function setup(project: TestProject): void {
  const servers: ProvidedDataCenters[] = JSON.parse(process.env.TIDEMARK_MUTANTS_SERVERS ?? '[]');
  project.provide('dataCenters', servers);
}
