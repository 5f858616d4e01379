/** Each guarantee of reads: a history that breaks it is named, and what only looks so is not. */
import { describe, expect, test } from 'vitest';
import { Run, SLACK_MS, STALE_AFTER_MS, three } from './check-run.js';

describe('real', () => {
  test('a torn value is named', () => {
    expect(three().read('torn:{"mark":"v3', 3, 40).broken).toEqual(['real']);
  });

  test('a value that nobody wrote is named', () => {
    expect(three().read('other', 3, 40).broken).toEqual(['real']);
  });

  test("another key's value is named", () => {
    expect(three().acked('j', 'j1', 35).read('j1', 4, 40).broken).toEqual(['real']);
  });

  test('the value of a write without an answer is real once the log has it', () => {
    const run = new Run().write({ value: 'v1', outcome: 'unknown' }).row('k', 'v1');
    expect(run.read('v1', 1, 40).broken).toEqual([]);
  });

  test('the value of a write that never happened is not the truth', () => {
    const run = three().write({ value: 'x', outcome: 'unknown', sentMs: 20 });
    expect(run.read('x', 3, 40).broken).toEqual(['honest']);
  });
});

describe('honest', () => {
  test('an older value under a newer as-of is named', () => {
    expect(three().read('v2', 3, 40).broken).toEqual(['honest']);
  });

  test('a newer value under an older as-of is named', () => {
    expect(three().read('v3', 2, 40).broken).toEqual(['honest']);
  });

  test('an absence that is not true is named', () => {
    expect(three().read(null, 3, 40).broken).toEqual(['honest']);
  });

  test('an as-of that the log does not have in the end is named', () => {
    expect(three().read('v3', 4, 40).broken).toEqual(['honest']);
  });

  test('an as-of is named that was claimed before anyone had sent that version', () => {
    const run = three().read('v3', 4, 40);
    run.write({ key: 'j', value: 'j4', version: 4, sentMs: 50 }).row('j', 'j4');
    expect(run.broken).toEqual(['honest']);
  });

  test('a read waits for a log that is told late', () => {
    const run = new Run().read('v2', 2, 40).read('v2', 3, 41);
    run.row('k', 'v1').row('k', 'v2');
    expect(run.checker.waiting).toBe(1);
    expect(run.row('j', 'j3').broken).toEqual([]);
  });

  test('an absent key, and one that was deleted, are the truth', () => {
    const run = three().acked('k', null, 39);
    expect(run.read(null, 4, 50).read(null, 3, 50, { key: 'never' }).broken).toEqual([]);
  });
});

describe('resurrected', () => {
  const deleted = () => three().acked('k', null, 39);

  test('a value that had been deleted at the as-of is named', () => {
    expect(deleted().read('v3', 4, 50).broken).toEqual(['resurrected']);
  });

  test('one that comes back after its absence was shown is named', () => {
    expect(deleted().read(null, 4, 50).stale('v3', 3, 60).broken).toEqual(['resurrected']);
  });

  test('one that is shown too long after its deletion is named', () => {
    expect(deleted().read('v3', 3, 3_000).broken).toEqual(['resurrected']);
  });

  test('a value under an as-of from before its deletion is no resurrection', () => {
    expect(deleted().read('v3', 3, 50).broken).toEqual([]);
  });
});

describe('monotonic', () => {
  test('an older state than the same instance showed is named', () => {
    expect(three().read('v3', 3, 40).read('v2', 2, 50).broken).toEqual(['monotonic']);
  });

  test('another instance, or another key, may be behind', () => {
    const run = three().acked('j', 'j4', 39).read('j4', 4, 50, { key: 'j' });
    expect(run.read('v2', 2, 60).read('v1', 1, 70, { reader: 'r1#2' }).broken).toEqual([]);
  });

  test('a read that was under way at the same time may be behind', () => {
    const run = three().read('v3', 3, 40).read('v2', 2, 30, { startMs: 35, endMs: 50 });
    expect(run.broken).toEqual([]);
  });

  test('the same state under an older as-of goes back nowhere', () => {
    const run = new Run().acked('k', 'v1', 9).acked('j', 'j2', 19);
    expect(run.read('v1', 2, 40).read('v1', 1, 50).broken).toEqual([]);
  });
});

describe('prompt', () => {
  test('an as-of below what the instance had applied is named', () => {
    expect(three().read('v2', 2, 40, { appliedBefore: 3 }).broken).toEqual(['prompt']);
  });

  test('after a failover, the position before it does not bind', () => {
    const run = three().rewrite(1, 100, 110).read('v1', 1, 120, { appliedBefore: 3 });
    expect(run.broken).toEqual([]);
  });

  test('in the history that came after it, it does', () => {
    const run = three().rewrite(1, 100, 110).acked('k', 'w2', 111).acked('k', 'w3', 121);
    run.read('w2', 2, 130, { appliedBefore: 2 }).read('w2', 2, 140, { appliedBefore: 3 });
    expect(run.broken).toEqual(['prompt']);
  });
});

describe('fresh', () => {
  test('a state that was superseded too long ago, and not flagged, is named', () => {
    expect(three().read('v2', 2, 31 + STALE_AFTER_MS + SLACK_MS).broken).toEqual(['fresh']);
  });

  test('flagged stale, or within the bound, it is not', () => {
    expect(three().stale('v2', 2, 9_000).broken).toEqual([]);
    expect(three().read('v2', 2, 30 + STALE_AFTER_MS + SLACK_MS).broken).toEqual([]);
  });

  test('a demanded bound counts, too, flagged or not', () => {
    expect(three().stale('v2', 2, 500, { maxStalenessMs: 400 }).broken).toEqual(['fresh']);
    expect(three().stale('v2', 2, 400, { maxStalenessMs: 400 }).broken).toEqual([]);
  });

  test('a write without an answer may have happened a moment ago', () => {
    const run = new Run()
      .acked('k', 'v1', 9)
      .write({ value: 'v2', outcome: 'unknown', sentMs: 20 });
    expect(run.row('k', 'v2').read('v1', 1, 9_000).broken).toEqual([]);
  });

  test('unless a later version was acked', () => {
    const run = new Run()
      .acked('k', 'v1', 9)
      .write({ value: 'v2', outcome: 'unknown', sentMs: 20 });
    run.row('k', 'v2').acked('j', 'j3', 30);
    expect(run.read('v1', 1, 9_000).broken).toEqual(['fresh']);
  });

  test('unless the log was seen to have it', () => {
    const { checker } = new Run().acked('k', 'v1', 9);
    checker.truth([{ version: 2, key: 'k', value: 'v2', seenMs: 40 }]);
    const run = { checker, read: Run.prototype.read, answer: Run.prototype.answer };
    run.read.call(run as unknown as Run, 'v1', 1, 9_000); // only `checker` and `answer` are used
    expect(Object.keys(checker.finish().byGuarantee)).toEqual(['fresh']);
  });

  test('what a failover lost is current until the old server is gone, and not after', () => {
    const lost = () => three().rewrite(1, 5_000, 6_000);
    expect(lost().read('v3', 3, 5_900).broken).toEqual([]);
    expect(lost().read('v3', 3, 6_100).broken).toEqual(['fresh']);
  });

  test('so is what had been superseded in the lost tail, nobody knows when', () => {
    const lost = () => new Run().acked('k', 'v1', 9).row('k', 'v2').row('k', 'v3');
    expect(lost().rewrite(1, 5_000, 6_000).read('v2', 2, 5_900).broken).toEqual([]);
    expect(lost().rewrite(1, 5_000, 6_000).read('v2', 2, 6_100).broken).toEqual(['fresh']);
  });

  test('what superseded a state in the lost tail only has not superseded it', () => {
    const run = three().rewrite(1, 50, 60).acked('j', 'j2', 70).acked('j', 'j3', 80);
    expect(run.read('v1', 3, 9_000).broken).toEqual([]);
  });

  test("an answer of the old server proves nothing of the new server's like version", () => {
    const run = new Run().acked('k', 'v1', 9).row('k', null).rewrite(1, 50, 60).row('k', null);
    run.write({ value: null, version: 2, sentMs: 20, doneMs: 30 });
    expect(run.read('v1', 1, 1_500).broken).toEqual([]);
  });

  test('the greatest age that is proven is told', () => {
    const { checker } = three().read('v3', 3, 600).stale('v2', 2, 700, { reader: 'r2' });
    checker.read({
      ...{ reader: 'r3', key: 'k', startMs: 80, endMs: 90, minVersion: 0, appliedBefore: 0 },
      ...{ heldLocally: false, answer: { value: 'v1', asOf: 1, tier: 'redis', stale: false } },
    });
    const verdict = checker.finish();
    expect([verdict.staleMaxMs, verdict.staleMaxUnflaggedMs]).toEqual([670, 60]);
  });

  test('what the new log has, too, is not as old as the end of the old one', () => {
    const agesOf = (newValue: string) => {
      const run = three().row('j', 'j1').row('j', 'j2').rewrite(3, 50, 60);
      run.read('v3', 5, 900); // the new log is not told that far
      run.row('k', newValue).row('j', 'j4');
      return run.checker.finish().staleMaxUnflaggedMs;
    };
    expect(agesOf('v3')).toBeLessThanOrEqual(0);
    expect(agesOf('v4')).toBe(850);
  });
});

describe('own-writes', () => {
  test('an answer below the demanded version is named', () => {
    expect(three().read('v2', 2, 40, { minVersion: 3 }).broken).toEqual(['own-writes']);
  });

  test('at it, or an error, is fine', () => {
    const run = three().read('v3', 3, 40, { minVersion: 3 }).error(50, { minVersion: 9 });
    expect(run.broken).toEqual([]);
  });
});
