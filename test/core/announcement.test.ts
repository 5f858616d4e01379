/** What readers say of themselves comes from Redis, where anyone may have written it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeAnnouncement, encodeAnnouncement } from '../../src/core/announcement.js';
import { ANNOUNCEMENT } from '../http/fake-reader.js';

test('is what it was before', () => {
  expect(decodeAnnouncement(encodeAnnouncement(ANNOUNCEMENT))).toEqual(ANNOUNCEMENT);
  const { url: _, ...silent } = ANNOUNCEMENT;
  expect(decodeAnnouncement(encodeAnnouncement(silent))).toEqual(silent);
  const young = { ...ANNOUNCEMENT, stalenessMs: null, mark: null, generation: null };
  expect(decodeAnnouncement(encodeAnnouncement(young))).toEqual(young);
});

test('loses what does not belong to it', () => {
  const more = { ...ANNOUNCEMENT, html: '<script>', reads: { ...ANNOUNCEMENT.reads, other: 1 } };
  expect(decodeAnnouncement(JSON.stringify(more))).toEqual(ANNOUNCEMENT);
});

test.each([
  ['no id', { id: undefined }],
  ['an id with a space', { id: 'a b' }],
  ['a host that a terminal would obey', { host: '\u001b[2J' }],
  ['a host without an end', { host: 'h'.repeat(256) }],
  ['a version that is no number', { applied: '42' }],
  ['a version that is no version', { head: -1 }],
  ['an age that is no number', { stalenessMs: Number.NaN, seenAt: 'today' }],
  ['a time that is none', { seenAt: 'yesterday' }],
  ['a URL of another kind', { url: 'javascript:alert(1)' }],
  ['a URL with a password', { url: 'http://user:secret@host' }],
  ['counts that are missing', { reads: { local: 1, redis: 2 } }],
  ['no counts', { reads: null }],
  ['a flag that is none', { ready: 'yes' }],
])('is none with %s', (_what, change) => {
  expect(decodeAnnouncement(JSON.stringify({ ...ANNOUNCEMENT, ...change }))).toBeUndefined();
});

test('is none of what it was not made of', () => {
  for (const other of ['', '{', 'null', '[]', '"a"', ' '.repeat(9_000), '{"reads":{}}']) {
    expect(decodeAnnouncement(other)).toBeUndefined();
  }
  fc.assert(
    fc.property(fc.json(), (json) => {
      expect(decodeAnnouncement(json)).toBeUndefined();
    }),
  );
});
