/** What the page says of one answer of the reader: its state in a word, figures, tables. */
import { byId, fillFacts, fillRows, keyText, make, say, wordOf } from './dom.js';
import { bytes, clock, clockWithMs, count, countOf, share, shortSpan, span } from './format.js';

const MINUTE_MS = 60_000;
const TIERS = [
  ['local', 'Memory'],
  ['redis', 'Redis'],
  ['mysql', 'MySQL-B'],
];

/** What someone should know first, and then do. */
export function standingOf({ status, reasons }) {
  const { ageMs, stale, ready } = status;
  if (!ready) {
    const why = reasons.length > 0 ? reasons.join(' ') : 'It takes no traffic.';
    return { level: 'bad', word: 'Not ready', why };
  }
  if (stale) {
    const heard = ageMs === null ? 'not heard from yet' : `last heard from ${span(ageMs)} ago`;
    const why =
      `Data center A was ${heard}: answers may be old, and are marked stale. ` +
      'Check replication into MySQL-B, and the write app, whose heartbeat it carries.';
    return { level: 'warn', word: 'Stale', why };
  }
  const why = `Reads see everything that was committed in data center A up to ${span(ageMs)} ago.`;
  return { level: 'good', word: 'Fresh', why };
}

/** What is wrong besides, in a sentence each. */
export function notesOf({ pollFailures, redis, audit }) {
  const notes = [];
  if (pollFailures > 0) {
    notes.push(`MySQL-B did not answer: ${countOf(pollFailures, 'poll')} in a row failed.`);
  }
  if (redis.breaker !== 'closed') {
    notes.push('Redis is not asked, because it failed again and again; MySQL-B answers instead.');
  }
  if (audit.mismatches > 0) {
    const found = countOf(audit.mismatches, 'entry').replace('entrys', 'entries');
    notes.push(`The audit found ${found} unlike MySQL-B: a change went around the log.`);
  }
  return notes;
}

export function showStanding({ level, word, why }, notes) {
  byId('state').dataset.level = level;
  say(byId('state-word'), word);
  say(byId('state-why'), why);
  const list = byId('notes');
  list.hidden = notes.length === 0;
  if ([...list.children].map((item) => item.textContent).join() !== notes.join()) {
    list.replaceChildren(...notes.map((note) => make('li', note)));
  }
}

export function showNumbers({ status, latency }) {
  const { applied, head, ageMs, lagMs, reads } = status;
  say(byId('age'), span(ageMs));
  say(byId('lag'), span(lagMs));
  say(byId('applied'), count(applied));
  const toGo = Math.max(0, head - applied);
  say(byId('applied-note'), `of head ${count(head)}${toGo > 0 ? `, ${count(toGo)} to go` : ''}`);
  say(byId('p50'), span(latency.p50Ms));
  say(byId('p99'), span(latency.p99Ms));
  say(byId('p50-note'), `median of ${countOf(latency.count, 'change')}`);
  say(byId('p99-note'), `slowest ${span(latency.maxMs)}`);
  const all = sum(reads);
  say(byId('hits'), share(reads.local, all));
  say(byId('hits-note'), `of ${countOf(all, 'read')}`);
}

/** @param lately reads of the last minute, by tier */
export function showReads({ status }, lately) {
  const { reads, local, redis } = status;
  fillRows(byId('reads'), TIERS, {
    keyOf: ([tier]) => tier,
    cellsOf: ([tier, name]) => [
      name,
      count(reads[tier]),
      share(reads[tier], sum(reads)),
      share(lately[tier], sum(lately)),
    ],
    classes: ['', 'number', 'number', 'number'],
  });
  const marks = redis.marks.map(({ version }) => (version === null ? 'none' : count(version)));
  fillFacts(byId('caches'), [
    ['Values in memory', `${count(local.entries)} (${bytes(local.bytes)})`],
    ['Absent keys in memory', count(local.absences)],
    ['Loads on their way', count(local.fillsInFlight)],
    ['Redis', redis.breaker === 'closed' ? 'is asked' : 'is not asked'],
    [marks.length > 1 ? 'Redis is true up to, by bucket' : 'Redis is true up to', marks.join(', ')],
  ]);
}

export function showLatencies({ latency }) {
  fillRows(byId('minutes'), minutesOf(latency), {
    keyOf: ({ startMs }) => startMs,
    cellsOf: ({ startMs, changes, p50Ms, p99Ms, maxMs }) => [
      clock(startMs).slice(0, 5),
      count(changes),
      span(p50Ms),
      span(p99Ms),
      span(maxMs),
    ],
    classes: ['', 'number', 'number', 'number', 'number'],
  });
  const bars = latency.bars.map((changes, at) => ({ changes, at }));
  fillRows(
    byId('bars'),
    bars.filter(({ changes }) => changes > 0),
    {
      keyOf: ({ at }) => at,
      cellsOf: ({ changes, at }) => [
        rangeOf(latency.barEndsMs, at),
        count(changes),
        share(changes, latency.count),
      ],
      classes: ['', 'number', 'number'],
    },
  );
}

function rangeOf(endsMs, at) {
  const [start, end] = [endsMs[at - 1], endsMs[at]];
  if (end === undefined) return `over ${shortSpan(start)}`;
  return start === undefined
    ? `up to ${shortSpan(end)}`
    : `${shortSpan(start)} to ${shortSpan(end)}`;
}

/** Of each minute, the most that any of its stretches says: none of them is hidden. */
function minutesOf({ slots }) {
  const minutes = new Map();
  for (const { startMs, count: changes, ...figures } of slots) {
    const start = Math.floor(startMs / MINUTE_MS) * MINUTE_MS;
    const so = minutes.get(start) ?? { startMs: start, changes: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 };
    so.changes += changes;
    for (const [name, ms] of Object.entries(figures)) so[name] = Math.max(so[name], ms);
    minutes.set(start, so);
  }
  return [...minutes.values()].reverse();
}

export function showChanges({ changes }) {
  byId('no-changes').hidden = changes.length > 0;
  const tables = new Set(changes.map(({ table }) => table));
  fillRows(byId('changes'), changes, {
    keyOf: ({ version, changedAtMs }) => `${version} ${changedAtMs}`,
    cellsOf: ({ version, table, key, changedAtMs, latencyMs }) => [
      count(version),
      keyText(tables.size > 1 ? `${table}: ${key}` : key),
      span(latencyMs),
      clockWithMs(changedAtMs),
    ],
    classes: ['number', 'key', 'number', 'number wide'],
  });
}

export function showAudit({ status: { audit } }) {
  const { lastAt, sampled, checked, mismatches, repaired } = audit;
  const word =
    lastAt === null
      ? wordOf('unknown', 'None yet')
      : mismatches > 0
        ? wordOf('bad', 'Differences found')
        : wordOf('good', 'As in MySQL-B');
  if (byId('audit-word').firstElementChild?.outerHTML !== word.outerHTML) {
    byId('audit-word').replaceChildren(word);
  }
  fillFacts(byId('audit'), [
    ['Last', lastAt === null ? '–' : clock(new Date(lastAt).getTime())],
    ['Entries looked at', count(sampled)],
    ['Compared', count(checked)],
    ['Unlike MySQL-B', count(mismatches)],
    ['Times all was dropped for it', count(repaired)],
  ]);
}

export function sum(numbers) {
  return Object.values(numbers).reduce((total, one) => total + one, 0);
}
