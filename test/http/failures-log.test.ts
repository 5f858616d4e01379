/** What failing requests leave in the log: enough to find the fault, and no line for each. */
import Fastify, { LogController } from 'fastify';
import { expect, test } from 'vitest';
import { UnavailableError } from '../../src/errors.js';
import { handleError } from '../../src/http/problem.js';
import { printed } from '../support/printed.js';

/** A server whose route throws this, and the lines that it logs. */
function scene(fault: () => Error) {
  const { logger, lines } = printed('info');
  const logController = new LogController({ disableRequestLogging: true });
  const server = Fastify({ loggerInstance: logger, logController });
  server.setErrorHandler(handleError);
  server.get('/', () => Promise.reject(fault()));
  const failures = async (times: number) => {
    const answers = [];
    for (let time = 0; time < times; time += 1) answers.push(await server.inject('/'));
    return answers.map((answer) => answer.json());
  };
  return { failures, told: () => lines.map((line) => JSON.parse(line)) };
}

test('an outage that fails each request is told once, then now and then', async () => {
  const { failures, told } = scene(() => new UnavailableError('Expected MySQL-B to answer.'));
  const answers = await failures(50);
  expect(new Set(answers.map(({ code }) => code))).toEqual(new Set(['unavailable']));
  expect(told()).toEqual([expect.objectContaining({ level: 40, heldBack: 0, msg: 'unavailable' })]);
});

test('a bug is told with its stack, and the answer says where', async () => {
  const { failures, told } = scene(() => new TypeError('no such thing'));
  const [first, second] = await failures(2);
  const [line, ...others] = told();
  expect(others).toEqual([]);
  expect(line).toMatchObject({ level: 50, err: { type: 'TypeError', message: 'no such thing' } });
  expect(first.detail).toContain(`under request ${line.request}`);
  expect(second.detail).toContain('others like it');
  expect(JSON.stringify([first, second])).not.toContain('no such thing');
});

test('a bug does not hide another one', async () => {
  const faults = [() => new TypeError('one'), () => new TypeError('another')];
  let count = 0;
  const { failures, told } = scene(() => faults[count++ % 2]?.() ?? new Error('none'));
  await failures(10);
  expect(told().map(({ err }) => err.message)).toEqual(['one', 'another']);
});
