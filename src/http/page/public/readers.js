/** All readers of the data center, as this one's roster knows them; only this one without it. */
import { byId, fillRows, make, say, wordOf } from './dom.js';
import { count, plain, share, span } from './format.js';
import { sum } from './view.js';

/** @param roster what GET /v1/readers answered; undefined where it did not */
export function showReaders(roster, { status }) {
  const readers = Array.isArray(roster?.readers) ? roster.readers : [thisOne(status)];
  say(
    byId('readers-note'),
    roster === undefined
      ? 'The list of all readers, which is in Redis, cannot be had. This is the one you look at.'
      : '',
  );
  byId('readers-note').hidden = roster !== undefined;
  fillRows(byId('readers'), readers, {
    keyOf: ({ id }) => id,
    cellsOf: (reader) => [
      nameOf(reader),
      stateOf(reader),
      count(reader.applied),
      count(Math.max(0, reader.head - reader.applied)),
      span(reader.stalenessMs),
      share(reader.reads?.local ?? 0, sum(reader.reads ?? {})),
      plain(reader.software ?? '–'),
    ],
    classes: ['key', '', 'number', 'number', 'number', 'number', ''],
  });
}

function thisOne({ applied, head, ageMs, reads, ready, stale }) {
  return { id: location.host, applied, head, stalenessMs: ageMs, reads, ready, stale };
}

function stateOf({ ready, stale }) {
  if (!ready) return wordOf('bad', 'Not ready');
  return stale ? wordOf('warn', 'Stale') : wordOf('good', 'Fresh');
}

/** A link to its own page where it says where that is; anyone may have written the roster. */
function nameOf({ id, host, pid, url }) {
  const name = plain(host === undefined ? id : `${host} (${pid})`);
  const isWeb =
    typeof url === 'string' && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
  if (!isWeb) return make('bdi', name);
  const link = make('a', name);
  link.href = url;
  link.rel = 'noreferrer';
  return link;
}
