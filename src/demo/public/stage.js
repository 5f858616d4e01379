/** The demo's page: writes what was typed, and shows how each reader takes it in. */
import { byId, fillRows, keyText, make, say, wordOf } from './dom.js';
import { count, countOf, plain, span } from './format.js';

const WORDS = {
  idle: ['unknown', 'Ready'],
  waiting: ['warn', 'Old value'],
  turned: ['good', 'New value'],
  late: ['bad', 'Not in time'],
  gone: ['bad', 'Gone'],
};
const cards = [];
/** What each reader answered for the key before anything was written to it. */
let before = { key: '', values: [] };
let mine = null;
let isWriting = false;
/** What went wrong with the last write from here, or with the demo itself. */
let fault = '';
let problem = '';

const events = new EventSource('events');
events.onmessage = ({ data }) => show(JSON.parse(data));
events.onerror = () => {
  problem = 'The demo does not answer. Does it run?';
  sayOutcome();
};

function show(state) {
  const { flavor, configs } = state;
  const name = flavor === 'mysql' ? 'MySQL' : 'MariaDB';
  say(byId('where'), `${name} in A, its replica and Redis in B, ${countOf(configs, 'key')}`);
  mine = state.mine;
  problem = state.problem ?? '';
  for (const [at, reader] of state.readers.entries()) {
    cards[at] ??= newCard(at, reader.url);
    showReader(cards[at], reader, at);
  }
  sayOutcome();
  showChanges(state);
}

function sayOutcome() {
  const news = isWriting ? 'Writing …' : fault || problem;
  say(byId('outcome'), news || (mine === null ? '' : outcomeOf(mine)));
}

function newCard(at, url) {
  const card = make('li', undefined, 'card reader');
  const header = make('header');
  const word = make('span');
  header.append(make('h3', `Reader ${at + 1}`), word);
  const took = make('p', undefined, 'took');
  const holds = make('code', undefined, 'holds');
  holds.tabIndex = 0;
  holds.setAttribute('role', 'group');
  holds.setAttribute('aria-label', `Value of reader ${at + 1}`);
  const note = make('p', undefined, 'muted');
  const link = make('a', 'Its page');
  link.href = url;
  const figures = make('span');
  note.append(figures, ' ', link);
  card.append(header, took, holds, note);
  byId('readers').append(card);
  return { card, header, took, holds, figures, state: '' };
}

function showReader(one, { running, p50Ms, p99Ms }, at) {
  const served = mine?.served[at];
  const isTurned = typeof served === 'number';
  const state = !running ? 'gone' : isTurned ? 'turned' : (served ?? 'idle');
  const [level, word] = WORDS[state];
  const sign = `${state} ${mine?.version}`;
  if (one.state !== sign) {
    one.card.dataset.level = level;
    one.card.classList.toggle('turned', isTurned);
    one.header.lastElementChild.replaceWith(wordOf(level, word));
    one.state = sign;
  }
  say(one.took, isTurned ? span(served) : state === 'waiting' ? '…' : '–');
  const old = mine === null || mine.key === before.key ? before.values[at] : undefined;
  say(one.holds, plain((isTurned ? mine.answers[at] : old) ?? '–'));
  say(one.figures, `p50 ${span(p50Ms)}, p99 ${span(p99Ms)}.`);
}

function outcomeOf({ version, served }) {
  const times = served.filter((one) => typeof one === 'number');
  const written = `Version ${count(version)} was written in A.`;
  if (times.length < served.length) return written;
  return `${written} All ${countOf(served.length, 'reader')} had it after ${span(Math.max(...times))}.`;
}

function showChanges({ readers, changes, all, head }) {
  say(
    byId('summary'),
    `Version ${count(head)}. ${countOf(all.count, 'read')} measured: ` +
      `p50 ${span(all.p50Ms)}, p99 ${span(all.p99Ms)}.`,
  );
  const classes = ['number', 'key', 'wide', ...readers.map(() => 'number')];
  const heads = ['Version', 'Key', 'By', ...readers.map((_, at) => `Reader ${at + 1}`)];
  if (byId('heads').cells.length !== heads.length) {
    byId('heads').replaceChildren(
      ...heads.map((text, at) => {
        const head = make('th', text, classes[at]);
        head.scope = 'col';
        return head;
      }),
    );
  }
  fillRows(byId('changes'), changes, {
    keyOf: ({ version, by }) => `${version} ${by}`,
    cellsOf: ({ version, key, by, served }) => [
      count(version),
      keyText(key),
      { demo: 'the demo', page: 'you', you: 'you, by SQL or HTTP' }[by],
      ...served.map((one) => (typeof one === 'number' ? span(one) : one)),
    ],
    classes,
  });
}

async function lookUp() {
  const key = byId('key').value;
  if (key === '' || key === before.key) return;
  const response = await fetch(`values?key=${encodeURIComponent(key)}`);
  if (response.ok && byId('key').value === key) before = { key, values: await response.json() };
}

/** @returns what went wrong; '' if nothing did */
async function write(key, value) {
  try {
    const response = await fetch('write', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ key, value }),
    });
    if (response.ok) return '';
    const answer = await response.json();
    return `Nothing was written: ${answer.detail ?? answer.message}`;
  } catch (error) {
    return `The demo does not answer: ${error}`;
  }
}

byId('key').addEventListener('change', lookUp);
byId('write').addEventListener('submit', async (event) => {
  event.preventDefault();
  const [key, value] = [byId('key').value, byId('value').value];
  if (mine?.key === key) before = { key, values: mine.answers };
  else if (before.key !== key) before = { key, values: [] };
  isWriting = true;
  sayOutcome();
  fault = await write(key, value);
  isWriting = false;
  sayOutcome();
  byId('value').select();
});

const keys = await (await fetch('keys')).json();
byId('keys').append(
  ...keys.map((key) => {
    const option = make('option');
    option.value = key;
    return option;
  }),
);
await lookUp();
