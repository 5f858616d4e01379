import pico from 'picocolors';
import { describe, expect, test } from 'vitest';
import { Latencies } from '../../src/demo/latencies.js';
import type { ObservedChange } from '../../src/demo/propagation.js';
import { sampleChange, sampleConfigs, seededRandom } from '../../src/demo/sample-configs.js';
import { changeLine, liveScreen, type View } from '../../src/demo/screen.js';

const plain = pico.createColors(false);

function latencies(...values: number[]): Latencies {
  const seen = new Latencies();
  for (const value of values) seen.add(value);
  return seen;
}

function view(readers: number, changes: ObservedChange[]): View {
  const url = 'http://127.0.0.1:20001';
  const reader = { url, running: true, applied: 7, latencies: latencies(5, 120) };
  return {
    head: 8,
    readers: Array(readers).fill(reader),
    all: latencies(5, 120),
    changes,
    problem: undefined,
  };
}

const long: ObservedChange = {
  version: 8,
  key: `catalog/${'very/'.repeat(40)}long`,
  by: 'demo',
  served: [5.25, 'waiting', 119.6],
  answers: [],
};

describe('the live view', () => {
  test.each([
    [80, 24, 2],
    [120, 40, 3],
    [80, 24, 16],
  ])('fits %i columns and %i rows with %i readers', (columns, rows, readers) => {
    const change = { ...long, served: Array(readers).fill(1000) };
    const screen = liveScreen(view(readers, Array(50).fill(change)), { columns, rows }, plain);
    const lines = screen.split('\n');
    expect(lines.length).toBeLessThanOrEqual(rows);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
  });

  test('has a column for each reader, or for the quickest and the slowest', () => {
    const size = { columns: 80, rows: 24 };
    expect(liveScreen(view(3, [long]), size, plain)).toMatch(/ 5\.3 ms +\.\.\. +120 ms$/m);
    const many = { ...long, served: [...Array(15).fill(5), 250] };
    expect(liveScreen(view(16, [many]), size, plain)).toMatch(/ 5\.0 ms +250 ms$/m);
  });

  test('never sends what a key holds to the terminal as a command', () => {
    const key = 'a\u001b[2J\nb';
    const change: ObservedChange = { version: 9, key, by: 'you', served: [1], answers: [] };
    expect(liveScreen(view(1, [change]), { columns: 80, rows: 24 }, plain)).toContain('a?[2J?b');
    expect(changeLine(change, latencies(1))).toContain('a?[2J?b by you  served after 1.0 ms');
  });
});

test('percentiles are latencies that were seen', () => {
  expect(latencies().percentileMs(0.5)).toBeUndefined();
  expect(latencies(3, 1, 2, 4).percentileMs(0.5)).toBe(2);
  expect(latencies(3, 1, 2, 4).percentileMs(0.99)).toBe(4);
});

describe('the sample configurations', () => {
  test('are 1,000 different keys, and the same each time', () => {
    const configs = sampleConfigs();
    expect(new Set(configs.map(({ key }) => key)).size).toBe(1000);
    expect(sampleConfigs()).toEqual(configs);
  });

  test('are JSON objects of 45 bytes to 4 KB', () => {
    for (const { value } of sampleConfigs()) {
      expect(JSON.parse(value)).toBeTypeOf('object');
      expect(value.length).toBeGreaterThanOrEqual(45);
      expect(value.length).toBeLessThanOrEqual(4096);
    }
  });

  test('change to values of keys that exist', () => {
    const keys = new Set(sampleConfigs().map(({ key }) => key));
    const random = seededRandom(7);
    for (let count = 0; count < 100; count += 1) expect(keys).toContain(sampleChange(random).key);
  });
});
