import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrateCommand } from '../../src/cli/migrate.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { ALL_UP, migrateAt } from '../support/migrations.js';

describe.each(flavors)('privileges of the migrations on %s', (flavor) => {
  let database: TestDatabase;
  let user: string;

  beforeEach(async () => {
    database = await createDatabase(flavor, { migrated: false });
    user = `u_${database.name}`;
  });

  afterEach(async () => {
    await query(database.a, `DROP USER IF EXISTS '${user}'@'%'`);
    await database.drop();
  });

  /** Makes the account `user`, in A and B. */
  async function account(privileges?: string): Promise<void> {
    await query(database.a, `CREATE USER '${user}'@'%' IDENTIFIED BY 'secret'`);
    if (privileges !== undefined) {
      await query(database.a, `GRANT ${privileges} ON \`${database.name}\`.* TO '${user}'@'%'`);
    }
    await database.caughtUp();
  }

  function as(user: string, url: string, password = 'secret'): string {
    const own = new URL(url);
    own.username = user;
    own.password = password;
    return own.href;
  }

  const SUFFICIENT = 'CREATE, DROP, ALTER, INDEX, TRIGGER, SELECT, INSERT, UPDATE, DELETE';

  test('the privileges that the message names are enough, up and down', async () => {
    await account(SUFFICIENT);
    await migrateAt(as(user, database.a));
    await migrateAt(as(user, database.a), { to: 0 });
  });

  test('a missing privilege is named with what to grant; a later run goes on', async () => {
    await account(SUFFICIENT.replace(' TRIGGER,', ''));
    await expect(migrateAt(as(user, database.a))).rejects.toThrow(/0003_triggers.*Grant them/s);
    expect((await migrateAt(database.a)).steps).toEqual(ALL_UP.slice(2));
  });

  test('error 1419 is explained, and a later run goes on', async () => {
    await account(SUFFICIENT);
    await query(database.a, 'SET GLOBAL log_bin_trust_function_creators = OFF');
    try {
      const refused = migrateAt(as(user, database.a));
      await expect(refused).rejects.toThrow(/log_bin_trust_function_creators = 1/);
    } finally {
      await query(database.a, 'SET GLOBAL log_bin_trust_function_creators = ON');
    }
    expect((await migrateAt(as(user, database.a))).steps).toEqual(ALL_UP.slice(2));
  });

  test('on the replica it says to go to data center A', async () => {
    await account(SUFFICIENT);
    await expect(migrateAt(as(user, database.b))).rejects.toThrow(/read-only.*MYSQL_A_URL/s);
  });

  test('a wrong password is told without repeating it', async () => {
    const command = migrateCommand({ url: as('tidemark', database.a, 'hunter2'), print: () => {} });
    const error: unknown = await command.catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'access_denied' });
    expect(String(error)).not.toContain('hunter2');
  });
});
