/** Accounts of the grant files in migrations/ that tests do not have anyway: migrator and doctor. */
import { onTestFinished } from 'vitest';
import { query, type TestDatabase } from './data-centers.js';
import { migrationText } from './migrations.js';
import { plainClient } from './plain-client.js';

export const ACCOUNT_PASSWORD = 'secret';

/** Makes the account of a grant file, by its name without `grant_`, and applies it as a DBA does. It is
 * gone when the test is over. @returns the account's name */
export async function accountWith(db: TestDatabase, name: string): Promise<string> {
  const user = `tidemark_${name}`;
  await query(db.a, `CREATE USER IF NOT EXISTS '${user}'@'%' IDENTIFIED BY '${ACCOUNT_PASSWORD}'`);
  const system = new URL('/mysql', db.a).href; // the test's own database may be gone by then
  onTestFinished(async () => void (await query(system, `DROP USER '${user}'@'%'`)));
  await plainClient(db.flavor, db.a, await migrationText(`grant_${name}`));
  await db.caughtUp();
  return user;
}
