/** What `tidemark track --json` prints: one line, of a table that is tracked or of one that is refused. */
import { formatCollection } from '../core/collections-text.js';
import type { TableFacts } from '../mysql/table-facts.js';
import { grantText } from './migration-text.js';
import type { Tracked, UntrackableError } from './track.js';

/** @param files those that were written; none in a dry run, whose migration is told instead
 * @param folder where the migration stands, or would */
export function trackedJson(tracked: Tracked, files: readonly string[], folder: string): string {
  const { facts, judgement, collection, migration } = tracked;
  const { name, keyColumns: key, valueColumns: value, versionColumn } = collection;
  return JSON.stringify({
    ...{ tracked: true, dryRun: files.length === 0, inspected: inspected(facts) },
    ...{ refusals: [], warnings: judgement.warnings },
    collection: { name, key, value, versionColumn },
    ...{ files, ...(files.length === 0 ? { migration } : {}) },
    next: {
      migrate: `tidemark migrate --dir ${folder}`,
      grant: grantText(collection),
      collections: formatCollection(collection),
    },
  });
}

export function refusedJson({ facts, judgement }: UntrackableError): string {
  const { refusals, warnings } = judgement;
  return JSON.stringify({
    ...{ tracked: false, inspected: inspected(facts), refusals, warnings, files: [] },
  });
}

/** What the verdict is of, in the terms of the server. */
function inspected(facts: TableFacts) {
  const { flavor, database, table, kind, engine, rowFormat, partitions } = facts;
  const there = { flavor, database, table, kind: kind ?? null };
  if (kind === undefined) return there;
  return {
    ...there,
    ...(kind === 'BASE TABLE' ? { engine, rowFormat, partitions } : {}), // a view has none
    columns: facts.columns.map(({ name, fullType, collation, isNullable, isGenerated }) => ({
      ...{ name, type: fullType, collation: collation ?? null },
      ...{ nullable: isNullable, generated: isGenerated },
    })),
    uniqueKeys: facts.uniqueKeys,
    triggers: facts.triggers.map(({ name, timing, event }) => ({ name, timing, event })),
    cascades: facts.cascades,
  };
}
