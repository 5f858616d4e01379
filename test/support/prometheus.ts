/**
 * Real Prometheus, for the tests of what is written for it: where its programs are, and a server that
 * scrapes what a test gives it. `install-prometheus.ts` puts the programs where they are looked for.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder, MissingProgramError, onPath } from '../../src/demo/programs.js';
import { freePort, LOOPBACK, ServerProcess } from '../../src/demo/server-process.js';

export interface PrometheusPrograms {
  readonly server: string;
  readonly promtool: string;
}

/** What a Debian package of it holds is unpacked here. */
export function prometheusTree(): string {
  return join(cacheFolder(), 'prometheus');
}

/** Undefined when it is not on this machine. */
export function findPrometheus(): PrometheusPrograms | undefined {
  const folder = join(prometheusTree(), 'usr/bin');
  const server = onPath('prometheus', [folder]);
  const promtool = onPath('promtool', [folder]);
  return server === undefined || promtool === undefined ? undefined : { server, promtool };
}

/** Without it the tests are left out; with CI=true they fail instead. */
export function hasPrometheus(): boolean {
  if (findPrometheus() !== undefined || process.env.CI === 'true') return true;
  console.warn('No Prometheus on this machine: what it tests is left out.');
  return false;
}

/** @throws MissingProgramError that says how to get it */
export function requiredPrometheus(): PrometheusPrograms {
  const programs = findPrometheus();
  if (programs !== undefined) return programs;
  throw new MissingProgramError(
    'Expected prometheus and promtool on this machine, found none. Run ' +
      '`npx tsx test/support/install-prometheus.ts`.',
  );
}

/** One sample of an instant query. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface LoadedRule {
  readonly name: string;
  readonly query: string;
  readonly health: string;
  readonly annotations: Readonly<Record<string, string>>;
}

export class Prometheus {
  readonly url: string;
  readonly #process: ServerProcess;
  readonly #folder: string;

  private constructor(process: ServerProcess, folder: string, port: number) {
    this.#process = process;
    this.#folder = folder;
    this.url = `http://${LOOPBACK}:${port}`;
  }

  /** @param targets the apps to scrape, four times a second */
  static async start(
    { server }: PrometheusPrograms,
    options: { readonly targets: readonly string[]; readonly ruleFile: string },
  ): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-prometheus-'));
    const port = await freePort();
    const url = `http://${LOOPBACK}:${port}`;
    const targets = options.targets.map((target) => new URL(target).host);
    // JSON is YAML.
    const configuration = {
      global: { scrape_interval: '250ms', scrape_timeout: '250ms', evaluation_interval: '250ms' },
      rule_files: [options.ruleFile],
      scrape_configs: [{ job_name: 'tidemark', static_configs: [{ targets }] }],
    };
    await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(configuration));
    const process = new ServerProcess({
      name: 'prometheus',
      folder,
      program: { command: server, args: [] },
      answers: async () => {
        const answer = await fetch(`${url}/-/ready`);
        if (!answer.ok) throw new Error(await answer.text());
      },
    });
    const files = ['--config.file=prometheus.yml', '--storage.tsdb.path=data'];
    await process.start([...files, `--web.listen-address=${LOOPBACK}:${port}`]);
    return new Prometheus(process, folder, port);
  }

  /** @throws Error with what Prometheus says of an expression that it does not understand */
  async query(expression: string): Promise<Sample[]> {
    const { result } = await this.#get<{
      result: { metric: Record<string, string>; value: [number, string] }[];
    }>(`query?${new URLSearchParams({ query: expression })}`);
    return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  async rules(): Promise<LoadedRule[]> {
    const { groups } = await this.#get<{ groups: { rules: LoadedRule[] }[] }>('rules');
    return groups.flatMap(({ rules }) => rules);
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #get<T>(path: string): Promise<T> {
    const answer = await fetch(`${this.url}/api/v1/${path}`);
    const body = (await answer.json()) as { status: string; error?: string; data: T }; // its API
    if (body.status !== 'success') throw new Error(`Expected an answer to ${path}: ${body.error}`);
    return body.data;
  }
}
