/** The command line without any server: help, completion, mistakes. */
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { tidemark } from '../support/cli.js';

const COMMANDS = 'migrate track write read doctor status verify prune rebase demo completion'.split(
  ' ',
);
/** Those that run until they are ended and log as JSON, and a script. */
const NOT_ANSWERING = ['write', 'read', 'completion'];
const NOWHERE = {
  MYSQL_A_URL: 'mysql://user:hunter2@127.0.0.1:1/app',
  MYSQL_B_URL: 'mysql://user:hunter2@127.0.0.1:1/app',
  REDIS_URL: 'redis://:hunter2@127.0.0.1:1',
};

describe('help', () => {
  test('names each command, and each has examples of its own, and --json if it answers', async () => {
    const all = await tidemark({}, '--help');
    for (const command of COMMANDS) expect(all.stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    expect(all.stdout).not.toMatch(/^ {2}complete\b/m);
    for (const command of COMMANDS) {
      const { stdout, exitCode } = await tidemark({}, command, '--help');
      expect(exitCode).toBe(0);
      expect(stdout).toMatch(new RegExp(`Examples:\n  \\$ .*tidemark ${command}`));
      if (!NOT_ANSWERING.includes(command)) expect(stdout, command).toMatch(/^ {2}--json /m);
    }
  });
});

describe('completion', () => {
  test('is a script that bash takes', async () => {
    const { stdout, exitCode } = await tidemark({}, 'completion', 'bash');
    expect(exitCode).toBe(0);
    execFileSync('bash', ['-n'], { input: stdout });
    expect(stdout).toContain('tidemark complete --');
  });

  test.each(['zsh', 'fish', 'powershell'])('is a script for %s', async (shell) => {
    const { stdout, exitCode } = await tidemark({}, 'completion', shell);
    expect([exitCode, stdout.includes('tidemark')]).toEqual([0, true]);
  });

  test('answers with commands, flags and choices', async () => {
    const names = async (...words: string[]) => {
      const { stdout } = await tidemark({}, 'complete', '--', ...words);
      return stdout.split('\n').map((line) => line.split('\t')[0]);
    };
    expect(await names('')).toEqual(expect.arrayContaining(COMMANDS));
    expect(await names('re')).toEqual(expect.arrayContaining(['read', 'rebase']));
    const flags = ['--older-than-hours', '--keep-versions', '--dry-run', '--mysql-a-url'];
    expect(await names('prune', '--')).toEqual(expect.arrayContaining(flags));
    expect(await names('track', '--')).toEqual(expect.arrayContaining(['--key', '--json']));
    const choices = await names('read', '--early-wake', '');
    expect(choices).toEqual(expect.arrayContaining(['auto', 'off']));
  });
});

describe('a mistake is told in a line, without a stack and without secrets', () => {
  test.each<[what: string, args: string[], exitCode: number, told: RegExp]>([
    ['an unknown command', ['staus'], 2, /unknown command 'staus'\n\(Did you mean status\?\)/],
    [
      'an unknown flag',
      ['status', '--onec'],
      2,
      /unknown option '--onec'\n\(Did you mean --once\?\)/,
    ],
    ['no bound', ['prune'], 2, /Expected either --older-than-hours or --keep-versions/],
    ['two', ['prune', '--keep-versions', '9', '--older-than-hours', '1'], 2, /Expected either/],
    [
      'a bound that is none',
      ['prune', '--keep-versions', '0'],
      2,
      /Expected a whole number above 0/,
    ],
    ['an age that is none', ['prune', '--older-than-hours', '-1'], 2, /Expected a number above 0/],
    ['nobody to ask', ['rebase'], 2, /Expected --yes, or a terminal to ask in/],
    ['a shell that is none', ['completion', 'csh'], 2, /'csh' is invalid/],
    ['a URL that is none', ['status', '--redis-url', 'hunter2'], 2, /--redis-url: Expected a URL/],
    ['Redis that is away', ['status', '--once'], 1, /Expected Redis \(REDIS_URL\) to answer/],
    ['Redis that is away', ['rebase', '--yes'], 1, /Expected Redis \(REDIS_URL\) to answer/],
    ['Redis that is away', ['verify'], 1, /Expected Redis \(REDIS_URL\) to answer/],
    ['Redis that is away', ['prune', '--keep-versions', '9'], 1, /Expected Redis \(REDIS_URL\)/],
  ])('%s: %j', async (_what, args, exitCode, told) => {
    const ended = await tidemark(NOWHERE, ...args);
    expect(ended).toMatchObject({ exitCode, stdout: '', stderr: expect.stringMatching(told) });
    expect(ended.stderr).not.toMatch(/hunter2|^\s+at /m);
  });

  test('MySQL-A that is away', async () => {
    const env = { ...NOWHERE, REDIS_URL: '' };
    const ended = await tidemark(env, 'prune', '--keep-versions', '9');
    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toMatch(
      /Expected MySQL in data center A \(MYSQL_A_URL\) to answer, got ECONN/,
    );
  });
});
