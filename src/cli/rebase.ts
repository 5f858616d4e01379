/** `tidemark rebase`: makes all readers start again with empty caches, after asking whether to. */
import { createInterface } from 'node:readline/promises';
import { parseCollections } from '../core/collections-text.js';
import { DEFAULT_TABLE } from '../core/table.js';
import type { SettingsOf } from '../env.js';
import { InvalidOptionsError } from '../errors.js';
import { type AskedRebase, askForRebase } from '../fleet/ask-rebase.js';
import { onRedis } from '../redis/on-redis.js';

export interface RebaseCommandOptions {
  readonly settings: SettingsOf<'rebase'>;
  /** Asks nobody. */
  readonly yes?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** @returns whether all readers have followed; false also when the answer was no
 * @throws InvalidOptionsError without a terminal to ask in, and without `yes` */
export async function rebaseCommand(options: RebaseCommandOptions): Promise<boolean> {
  const { settings, yes = false, json = false } = options;
  const names = { ...DEFAULT_TABLE, table: settings.table };
  const tables = parseCollections(settings.collections, names).map(({ table }) => table);
  if (!yes && !(await isAgreed(tables))) {
    process.stderr.write('Nothing was done.\n');
    return false;
  }
  let haveFollowed = true;
  await onRedis(settings.redisUrl, {}, async (client) => {
    for (const table of tables) {
      const asked = await askForRebase({ client, ...settings, table });
      const text = json ? `${JSON.stringify({ table, ...asked })}\n` : textOf(table, asked);
      process.stdout.write(text);
      haveFollowed &&= asked.readers.every(({ followed }) => followed);
    }
  });
  return haveFollowed;
}

async function isAgreed(tables: readonly string[]): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new InvalidOptionsError(['Expected --yes, or a terminal to ask in, got neither']);
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    process.stderr.write(
      `All entries of ${tables.join(', ')} in Redis become unreachable, and each reader drops its\n` +
        'own: until the caches are warm again, MySQL-B takes the reads.\n',
    );
    const answer = await asking.question('Go on? [y/N] ');
    return /^y(es)?$/i.test(answer.trim());
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
    process.stderr.write('\n'); // Ctrl-C or Ctrl-D
    return false;
  } finally {
    asking.close();
  }
}

function textOf(table: string, { begun, buckets, readers }: AskedRebase): string {
  const late = readers.filter(({ followed }) => !followed);
  const lines = [
    `Redis: a new generation of ${table} in ${begun} of ${buckets} bucket${buckets === 1 ? '' : 's'}.`,
    `Readers: ${readers.length - late.length} of ${readers.length} have started again.`,
    ...late.map(({ id }) => `  ${id} has not yet: look whether it runs, and can reach Redis`),
  ];
  return `${lines.join('\n')}\n`;
}
