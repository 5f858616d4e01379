import { describe, expect, test } from 'vitest';
import { splitSql } from '../../src/core/sql-script.js';

describe('splitSql', () => {
  test('splits at semicolons and drops what is empty', () => {
    expect(splitSql('SELECT 1;\n\n;SELECT 2;  \n')).toEqual(['SELECT 1', 'SELECT 2']);
  });

  test('keeps the last statement without a delimiter, as the client runs it too', () => {
    expect(splitSql('SELECT 1;\nSELECT 2')).toEqual(['SELECT 1', 'SELECT 2']);
  });

  test('drops comments between statements and keeps those within one', () => {
    const script = '-- a;b\n# c;d\n/* e;\nf */ SELECT /* g;h */ 1 -- i;j\n, 2;\n-- end';
    expect(splitSql(script)).toEqual(['SELECT /* g;h */ 1 -- i;j\n, 2']);
  });

  test('a double hyphen without a space after it is no comment', () => {
    expect(splitSql('SELECT 5--1; SELECT 2')).toEqual(['SELECT 5--1', 'SELECT 2']);
  });

  test.each(['/*!80017 x;y */', '/*M!100600 x;y */'])('passes on the executable %s', (comment) => {
    expect(splitSql(`${comment} SELECT 1;`)).toEqual([`${comment} SELECT 1`]);
    expect(splitSql(`SELECT ${comment} 1;`)).toEqual([`SELECT ${comment} 1`]);
  });

  test.each([
    "'a;b'",
    "'it''s;'",
    String.raw`'\';'`,
    '"a;b"',
    '"a"";"',
    '`a;b`',
    '`a``;`',
    "'-- ;'",
    "'/* ; */'",
    "'\n;\n'",
  ])('finds no delimiter in the quoted %s', (quoted) => {
    expect(splitSql(`SELECT ${quoted}; SELECT 2`)).toEqual([`SELECT ${quoted}`, 'SELECT 2']);
  });

  test('a backslash does not quote within backticks', () => {
    expect(splitSql('SELECT `a\\`; SELECT 2')).toEqual(['SELECT `a\\`', 'SELECT 2']);
  });

  test('obeys DELIMITER lines and does not pass them on', () => {
    const script = 'DELIMITER //\nCREATE TRIGGER t BEGIN a; b; END//\n  delimiter ;\nSELECT 1;';
    expect(splitSql(script)).toEqual(['CREATE TRIGGER t BEGIN a; b; END', 'SELECT 1']);
  });

  test('a line of a string is no DELIMITER command', () => {
    const text = "SELECT 'x\ndelimiter //\n'";
    expect(splitSql(`${text}; SELECT 2`)).toEqual([text, 'SELECT 2']);
  });

  test('Windows line endings make no difference', () => {
    const script = 'DELIMITER //\nSELECT 1;\nSELECT 2//\nDELIMITER ;\nSELECT 3;\n';
    expect(splitSql(script.replaceAll('\n', '\r\n'))).toEqual(splitSql(script));
  });

  test.each(["SELECT 'a;", 'SELECT "a;', 'SELECT `a;'])('%s: says that a quote is open', (sql) => {
    expect(() => splitSql(`SELECT 0;\n${sql}`)).toThrow(/closing .* in line 2/);
  });
});
