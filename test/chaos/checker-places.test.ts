/** The guarantees of places, writes and processes: what breaks one is named, near misses are not. */
import { describe, expect, test } from 'vitest';
import { Run, three } from './check-run.js';

describe('marks', () => {
  const entry = (value: string | null, markVersion: number, isMarkOfThisHistory = true) => {
    const { checker } = three();
    const times = { startMs: 40, endMs: 41 };
    checker.redis({ key: 'k', value, markVersion, isMarkOfThisHistory, ...times });
    return Object.keys(checker.finish().byGuarantee);
  };

  test('an entry that is not the truth at its mark is named', () => {
    expect(entry('v2', 3)).toEqual(['marks']);
    expect(entry(null, 3)).toEqual(['marks']);
  });

  test('one that is, or whose mark is of no history, is fine', () => {
    expect(entry('v2', 2)).toEqual([]);
    expect(entry('v9', 3, false)).toEqual([]);
  });

  test('an entry of the history that a failover ended is judged by that', () => {
    const run = three();
    const seen = { key: 'k', markVersion: 3, isMarkOfThisHistory: true, startMs: 40, endMs: 41 };
    run.checker.redis({ ...seen, value: 'v3' });
    run.rewrite(1, 50, 60).acked('k', 'w2', 70).acked('k', 'w3', 80);
    run.checker.redis({ ...seen, value: 'w3', startMs: 90, endMs: 91 });
    expect(run.checker.finish().byGuarantee).toEqual({});
    run.checker.redis({ ...seen, value: 'v3', startMs: 90, endMs: 91 });
    run.checker.redis({ ...seen, value: 'w3' });
    expect(run.checker.finish().byGuarantee).toEqual({ marks: 2 });
  });
});

describe('converged', () => {
  const settled = (value: string | null, key = 'k') => {
    const run = three();
    run.checker.settled([{ place: 'reader-1', key, value }]);
    return run.broken;
  };

  test('a place that does not say the truth in the end is named', () => {
    expect(settled('v2')).toEqual(['converged']);
    expect(settled(null)).toEqual(['converged']);
  });

  test('the truth is fine, so is the absence of what never was', () => {
    expect(settled('v3')).toEqual([]);
    const run = three();
    run.checker.settled([{ place: 'a', key: 'never', value: null }], ['a']);
    expect(run.broken).toEqual([]);
  });

  test('a place that says nothing of a key is named, unless it need not know all', () => {
    const run = three().acked('j', 'j4', 50);
    run.checker.settled([{ place: 'redis', key: 'k', value: 'v3' }], ['redis']);
    run.checker.settled([{ place: 'reader-1', key: 'k', value: 'v3' }]);
    expect(run.checker.finish().byGuarantee).toEqual({ converged: 1 });
  });
});

describe('local', () => {
  test('a read of a key that is held, and fails, is named', () => {
    expect(three().error(40, { heldLocally: true }).broken).toEqual(['local']);
  });

  test('a demand may fail, so may a read of what is not held', () => {
    const run = three().error(40, { heldLocally: true, minVersion: 9 }).error(50);
    expect(run.error(60, { heldLocally: true, maxStalenessMs: 1 }).broken).toEqual([]);
  });
});

describe('lost', () => {
  test('an acked write that the log does not have is named, and counted', () => {
    const { checker } = three().write({ value: 'x', version: 4, sentMs: 40 });
    expect(checker.finish()).toMatchObject({ lost: 1, byGuarantee: { lost: 1 } });
    expect(three().write({ value: 'x', version: 2, sentMs: 40 }).broken).toContain('lost');
  });

  test('one without a version that the log never shows, too', () => {
    expect(three().write({ value: 'x', sentMs: 40 }).broken).toEqual(['lost']);
    expect(three().write({ value: 'x', sentMs: 40 }).row('k', 'x').broken).toEqual([]);
  });

  test('a write without an answer, and one that was refused, are not lost', () => {
    const run = three().write({ value: 'x', outcome: 'unknown' });
    expect(run.write({ value: 'y', outcome: 'refused' }).broken).toEqual([]);
  });

  test('a tail that a failover lost is not lost, what it kept is', () => {
    const tail = new Run().row('k', 'v1').write({ value: 'v2', version: 2, sentMs: 40 });
    expect(tail.rewrite(1, 50).acked('k', 'w2', 60).broken).toEqual([]);
    const late = new Run().row('k', 'v1').rewrite(1, 50).row('k', 'w2');
    expect(late.write({ value: 'v2', version: 2, sentMs: 60, doneMs: 61 }).broken).toEqual([
      'lost',
    ]);
    const kept = new Run().row('k', 'v1').rewrite(1, 50);
    expect(kept.write({ value: 'x', version: 1, sentMs: 40 }).broken).toEqual(['lost']);
  });

  test("a batch's keys are in the log at its version, each at its own", () => {
    const batch = { version: 2, isBatch: true, sentMs: 5 };
    const run = new Run().row('k', 'v1').row('j', 'j2');
    run.write({ ...batch, key: 'k', value: 'v1' }).write({ ...batch, key: 'j', value: 'j2' });
    expect(run.write({ ...batch, key: 'gone', value: null }).broken).toEqual([]);
    const bad = new Run()
      .row('k', 'v1')
      .row('j', 'j2')
      .write({ ...batch, value: 'x' });
    expect(bad.broken).toEqual(['lost']);
  });
});

describe('ordered', () => {
  test('a version below that of a write that had been acked is named', () => {
    const run = new Run().row('k', 'v1').row('k', 'v2');
    run.write({ value: 'v2', version: 2, sentMs: 5, doneMs: 6 });
    expect(run.write({ value: 'v1', version: 1, sentMs: 7, doneMs: 8 }).broken).toEqual([
      'ordered',
    ]);
  });

  test('writes at the same time may have any order', () => {
    const run = new Run().row('k', 'v1').row('k', 'v2');
    run.write({ value: 'v2', version: 2, sentMs: 5, doneMs: 6 });
    expect(run.write({ value: 'v1', version: 1, sentMs: 6, doneMs: 8 }).broken).toEqual([]);
  });

  test('after a failover, versions begin again, and are in order from there', () => {
    const run = three().rewrite(1, 50, 60).acked('k', 'w2', 70).acked('k', 'w3', 80);
    expect(run.broken).toEqual([]);
    const bad = three().rewrite(1, 50, 60).row('k', 'w2').row('k', 'w3');
    bad.write({ value: 'w3', version: 3, sentMs: 70, doneMs: 71 });
    expect(bad.write({ value: 'w2', version: 2, sentMs: 72, doneMs: 73 }).broken).toEqual([
      'ordered',
    ]);
  });

  test('an answer with the version of another change is named', () => {
    const run = new Run().row('k', 'v1').row('j', 'j2');
    expect(run.write({ value: 'v1', version: 2, sentMs: 5 }).broken).toEqual(['ordered']);
  });

  test('a hole in the log is named, unless it was made on purpose', () => {
    expect(new Run().row('k', 'v1').row('k', 'v3', 3).broken).toEqual(['ordered']);
    const run = new Run().row('k', 'v1');
    run.checker.hole(2, 4);
    expect(run.row('k', 'v5', 5).broken).toEqual([]);
  });

  test('a version that comes twice is named', () => {
    expect(three().row('k', 'v', 2).broken).toEqual(['ordered']);
  });

  test('a deletion that found nothing answers the head that it found', () => {
    const run = three().write({ value: null, key: 'gone', version: 3, isBatch: true, sentMs: 40 });
    expect(run.read('v3', 3, 35).broken).toEqual([]);
  });
});

describe('refused', () => {
  test('a write that was refused, and happened, is named', () => {
    expect(three().write({ value: 'v2', outcome: 'refused' }).broken).toEqual(['refused']);
    const early = new Run().write({ value: 'v1', outcome: 'refused' }).row('k', 'v1');
    expect(early.broken).toEqual(['refused']);
  });
});

describe('bounded', () => {
  const usual = {
    reader: 'r1',
    applied: 1,
    localEntries: 1,
    audited: 0,
    flagged: 0,
    mysqlConnections: 8,
    fillsInFlight: 3,
  };
  const samples = (mibPerMinute: number, more: object = {}) => {
    const { checker } = new Run();
    for (let second = 0; second < 420; second++) {
      const saw = (second % 20) * 1_000_000;
      const bytes = 50_000_000 + saw + (second / 60) * mibPerMinute * 1024 * 1024;
      const memory = { atMs: second * 1_000, rssBytes: bytes, heapUsedBytes: bytes };
      checker.sample({ ...usual, ...memory, ...more });
    }
    return checker.finish();
  };

  test('memory that grows on and on is named, a saw is not', () => {
    expect(samples(0).byGuarantee).toEqual({});
    expect(samples(0).growth[0]?.heapMiBPerMin).toBeCloseTo(0, 0);
    expect(samples(12).byGuarantee).toEqual({ bounded: 1 });
    expect(samples(12).growth[0]?.heapMiBPerMin).toBeCloseTo(12, 0);
  });

  test('so is that of an app, of which no more is known', () => {
    const { checker } = new Run();
    for (let second = 0; second < 420; second++) {
      const bytes = 50_000_000 + (second / 60) * 20 * 1024 * 1024;
      const memory = { atMs: second * 1_000, rssBytes: bytes, heapUsedBytes: 50_000_000 };
      checker.memory({ instance: 'write-1#1', ...memory });
    }
    const { byGuarantee, growth } = checker.finish();
    expect(byGuarantee).toEqual({ bounded: 1 });
    expect(growth).toMatchObject([{ instance: 'write-1#1', heapMiBPerMin: 0, rssMiBPerMin: 20 }]);
  });

  test('an instance that warms up may grow', () => {
    const { checker } = new Run();
    for (let second = 0; second < 420; second++) {
      const bytes = Math.min(second, 60) * 10_000_000;
      checker.sample({ ...usual, atMs: second * 1_000, rssBytes: bytes, heapUsedBytes: bytes });
    }
    expect(checker.finish().growth[0]?.heapMiBPerMin).toBe(0);
  });

  test('audits that flag an entry are named, and what they compared is added up', () => {
    expect(samples(0, { flagged: 1 }).byGuarantee).toEqual({ audited: 420 });
    const { checker } = new Run();
    for (const [second, audited] of [0, 10, 30, 5, 20].entries()) {
      const memory = { rssBytes: 1, heapUsedBytes: 1 };
      checker.sample({ ...usual, ...memory, atMs: second * 1_000, audited });
    }
    expect(checker.finish()).toMatchObject({ audited: 30 + 20, byGuarantee: {} });
  });

  test('too many fills in flight, or connections, are named', () => {
    expect(samples(0, { fillsInFlight: 2_001 }).byGuarantee).toEqual({ bounded: 420 });
    expect(samples(0, { mysqlConnections: 101 }).byGuarantee).toEqual({ bounded: 420 });
  });
});

describe('failovers', () => {
  test('reads of the new history that come before the failover is told wait for it', () => {
    const run = three().read('w2', 2, 120).read('w2', 2, 121);
    expect(run.checker.suspectCount).toBe(2);
    expect(run.rewrite(1, 100, 110).acked('k', 'w2', 111).broken).toEqual([]);
  });

  test('an instance that showed the new history does not go back to the old one', () => {
    const run = three().rewrite(1, 100, 110).acked('k', 'w2', 111);
    expect(run.read('w2', 2, 120).stale('v3', 3, 130).broken).toEqual(['honest']);
  });

  test('nor does one that began after it', () => {
    const run = three().rewrite(1, 100, 110).acked('k', 'w2', 111).row('j', 'j3');
    run.checker.started('r1', 115);
    expect(run.stale('v3', 3, 130).broken).toEqual(['honest']);
  });

  test('what was kept is not forgotten', () => {
    const run = three().read('v3', 3, 40).rewrite(2, 100, 110).row('j', 'j3');
    expect(run.stale('v1', 1, 120).broken).toEqual(['monotonic']);
    const fine = three().read('v3', 3, 40).rewrite(2, 100, 110).row('j', 'j3');
    expect(fine.read('v2', 3, 120).broken).toEqual([]);
  });

  test('a tail that the log was never told may be read, if someone wrote it', () => {
    const tail = () => new Run().acked('k', 'v1', 9).write({ value: 'x', version: 2, sentMs: 20 });
    expect(tail().rewrite(1, 100).read('x', 2, 50).broken).toEqual([]);
    expect(tail().rewrite(1, 100).read('y', 2, 50).broken).toEqual(['honest']);
  });
});

describe('outages', () => {
  test('windows in which all reads of an instance failed are told', () => {
    const run = three().error(100).error(150).read('v3', 3, 200).error(300, { reader: 'r2' });
    run.error(310, { minVersion: 9 }).read('v3', 3, 320).error(399, { reader: 'r2' });
    const { unavailableMs, errors } = run.checker.finish();
    expect(unavailableMs).toEqual({ windows: 2, p50: 100, p99: 101, max: 101 });
    expect(errors).toEqual({ UnavailableError: 5 });
  });
});
