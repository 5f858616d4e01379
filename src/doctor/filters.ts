/**
 * Which tables a replica leaves out. Pure: the rules of both servers for changes that come by row,
 * in their order: databases first, then tables, where the first rule that fits decides.
 */
import { isLike } from './like.js';

/** Comma-separated lists, as `SHOW REPLICA STATUS` has them; empty without such a filter. */
export interface Filters {
  readonly doDb: string;
  readonly ignoreDb: string;
  readonly doTable: string;
  readonly ignoreTable: string;
  readonly wildDoTable: string;
  readonly wildIgnoreTable: string;
  /** Pairs such as `(from,to)` or `from->to`. */
  readonly rewriteDb: string;
}

/** The filter that drops `database`.`table`, as its setting is named, or undefined. */
export function droppedBy(filters: Filters, database: string, table: string): string | undefined {
  const list = (text: string) =>
    text
      .split(',')
      .map((one) => one.trim())
      .filter(Boolean);
  const [doDb, ignoreDb] = [list(filters.doDb), list(filters.ignoreDb)];
  if (isRewritten(filters.rewriteDb, database)) return 'replicate_rewrite_db';
  if (doDb.length > 0 && !doDb.includes(database)) return 'replicate_do_db';
  if (doDb.length === 0 && ignoreDb.includes(database)) return 'replicate_ignore_db';
  const name = `${database}.${table}`;
  const fits = (patterns: string) => list(patterns).some((one) => isLike(one, name));
  if (list(filters.doTable).includes(name)) return undefined;
  if (list(filters.ignoreTable).includes(name)) return 'replicate_ignore_table';
  if (fits(filters.wildDoTable)) return undefined;
  if (fits(filters.wildIgnoreTable)) return 'replicate_wild_ignore_table';
  if (filters.doTable !== '') return 'replicate_do_table';
  return filters.wildDoTable === '' ? undefined : 'replicate_wild_do_table';
}

function isRewritten(rewriteDb: string, database: string): boolean {
  const sources = rewriteDb.matchAll(/(?:^|[(,]\s*)([^(),>]+?)\s*(?:,|->)/g);
  return [...sources].some(([, from]) => from === database);
}
