// One reader in a process of its own, for tests that stop and kill processes. Talks to its parent
// over IPC: see reader-process.ts. Needs the built library.
import { createReader } from '../../dist/index.js';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const reader = createReader({ ...JSON.parse(process.argv[2]), logger: silent });

const answers = {
  async get({ key, options }) {
    const { value, asOf, tier, stale } = await reader.get(key, options);
    return { value: value?.toString(), asOf, tier, stale };
  },
  async getMany({ keys }) {
    const found = await reader.getMany(keys);
    return [...found].map(([key, { value, asOf }]) => ({ key, value: value?.toString(), asOf }));
  },
  status: () => reader.status(),
  metric: async ({ name }) => (await reader.metrics.getSingleMetric(name).get()).values,
};

process.on('message', async ({ id, ask, ...question }) => {
  try {
    process.send({ id, answer: await answers[ask](question) });
  } catch (error) {
    process.send({ id, error: `${error.name}: ${error.message}` });
  }
});
process.on('disconnect', () => process.exit());
reader.on('change', ({ to }) => process.send({ page: to }));
reader.on('rebase', ({ reason }) => process.send({ rebase: reason }));
await reader.start();
process.send({ started: true });
