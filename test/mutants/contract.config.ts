/** Vitest in a mutant's folder: as in the normal run, on servers that run already. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/mutants/attach-servers.ts'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
});
