import { describe, expect, test } from 'vitest';
import { droppedBy, type Filters } from '../../src/doctor/filters.js';
import { excessOf, holds, parseGrants } from '../../src/doctor/grants.js';

const NONE: Filters = {
  doDb: '',
  ignoreDb: '',
  doTable: '',
  ignoreTable: '',
  wildDoTable: '',
  wildIgnoreTable: '',
  rewriteDb: '',
};

describe('grants', () => {
  test('are those of tables, databases and the server, without roles and columns', () => {
    const grants = parseGrants([
      "GRANT USAGE ON *.* TO `r`@`%` IDENTIFIED BY PASSWORD '*14E65567ABDB5135D0CFD9A70B3032C179A49EE7'",
      'GRANT SELECT, INSERT (`a`, `b`), UPDATE ON `app`.`configs` TO `r`@`%`',
      'GRANT `role`@`%` TO `r`@`%`',
      'GRANT EXECUTE ON PROCEDURE `app`.`p` TO `r`@`%`',
    ]);
    expect(grants).toEqual([
      { privileges: ['SELECT', 'UPDATE'], database: 'app', table: 'configs' },
    ]);
  });

  test.each([
    ['GRANT ALL PRIVILEGES ON *.* TO `r`@`%` WITH GRANT OPTION', true],
    ['GRANT DELETE ON `app`.* TO `r`@`%`', true],
    ['GRANT DELETE ON `a%`.* TO `r`@`%`', true],
    ['GRANT DELETE ON `app`.`configs` TO `r`@`%`', true],
    ['GRANT DELETE ON `a\\_p`.* TO `r`@`%`', false],
    ['GRANT DELETE ON `app`.`other` TO `r`@`%`', false],
    ['GRANT SELECT ON *.* TO `r`@`%`', false],
  ])('%s', (line, expected) => {
    expect(holds(parseGrants([line]), 'DELETE', 'app', 'configs')).toBe(expected);
  });

  test('beyond SELECT on some tables are shown in short, without what only shows more', () => {
    const grants = parseGrants([
      'GRANT SELECT ON `app`.`configs` TO `r`@`%`',
      'GRANT REPLICATION CLIENT, PROCESS ON *.* TO `r`@`%`',
      'GRANT SELECT, INSERT, UPDATE, DELETE, DROP ON `shop`.* TO `r`@`%`',
    ]);
    expect(excessOf(grants, 'app', ['configs'])).toEqual([
      'PROCESS on *.*',
      'SELECT, INSERT, UPDATE, 2 more on shop.*',
    ]);
  });
});

describe('a filter of replication', () => {
  test.each<[Partial<Filters>, string | undefined]>([
    [{}, undefined],
    [{ doDb: 'shop, app' }, undefined],
    [{ doDb: 'shop' }, 'replicate_do_db'],
    [{ ignoreDb: 'app' }, 'replicate_ignore_db'],
    [{ doDb: 'app', ignoreDb: 'app' }, undefined], // the latter is not looked at
    [{ doTable: 'app.configs' }, undefined],
    [{ doTable: 'app.other' }, 'replicate_do_table'],
    [{ ignoreTable: 'app.configs' }, 'replicate_ignore_table'],
    [{ doTable: 'app.configs', ignoreTable: 'app.configs' }, undefined],
    [{ wildDoTable: 'app.%' }, undefined],
    [{ wildDoTable: 'app.config\\_%' }, 'replicate_wild_do_table'],
    [{ wildIgnoreTable: 'shop.%,app.c_nfigs' }, 'replicate_wild_ignore_table'],
    [{ wildIgnoreTable: 'a.p.%' }, undefined], // a dot is a dot
    [{ rewriteDb: '(shop,x),(app,y)' }, 'replicate_rewrite_db'],
    [{ rewriteDb: 'shop->x,app->y' }, 'replicate_rewrite_db'],
    [{ rewriteDb: '(x,app)' }, undefined],
    [{ rewriteDb: 'x->app' }, undefined],
  ])('%j', (filters, expected) => {
    expect(droppedBy({ ...NONE, ...filters }, 'app', 'configs')).toBe(expected);
  });
});
