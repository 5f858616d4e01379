/** The page of one reader: asks, shows, and says to those who do not see what has changed. */
import { barChart, timeChart } from './charts.js';
import { byId, say } from './dom.js';
import { ask, Feed, Refused, token } from './feed.js';
import { countOf, span } from './format.js';
import { showReaders } from './readers.js';
import * as view from './view.js';

const MINUTES = 10;
const LATELY_MS = 60_000;
const READERS_EVERY_MS = 5_000;
/** News of changes is spoken at most so often; news of the state at once. */
const SPEAK_EVERY_MS = 30_000;

const drawTime = timeChart(byId('over-time'));
const drawBars = barChart(byId('distribution'));
const readsBefore = [];
let roster;
let rosterAskedAtMs = Number.NEGATIVE_INFINITY;
let answeredAtMs;
let spoken = { word: '', version: 0, atMs: 0 };

const feed = new Feed({
  ask: async () => {
    const answer = await ask('v1/page');
    await askForReaders();
    return answer;
  },
  onAnswer: show,
  onFault: showFault,
});

function show(answer) {
  answeredAtMs = performance.now();
  byId('token-form').hidden = true;
  const standing = view.standingOf(answer);
  view.showStanding(standing, view.notesOf(answer.status));
  view.showNumbers(answer);
  view.showLatencies(answer);
  view.showChanges(answer);
  view.showReads(answer, lately(answer));
  view.showAudit(answer);
  showReaders(roster, answer);
  drawTime(answer, MINUTES);
  drawBars(answer);
  document.title = `${standing.word} – Tidemark reader`;
  speak(standing, answer);
}

/** Reads of the last minute, or of as much of it as this page has seen. */
function lately({ nowMs, status: { reads } }) {
  readsBefore.push({ nowMs, reads });
  while (readsBefore[0].nowMs < nowMs - LATELY_MS) readsBefore.shift();
  const first = readsBefore[0].reads;
  return Object.fromEntries(
    // A reader that was started again counts from 0.
    Object.entries(reads).map(([tier, now]) => [tier, Math.max(0, now - first[tier])]),
  );
}

/** Without an answer (the roster is in Redis) there is still this one to show. */
async function askForReaders() {
  if (performance.now() - rosterAskedAtMs < READERS_EVERY_MS) return;
  rosterAskedAtMs = performance.now();
  roster = await ask('v1/readers').catch(() => undefined); // then this reader alone is shown
}

function showFault(error) {
  const isLocked = error instanceof Refused && error.status === 401;
  const standing = isLocked
    ? {
        level: 'unknown',
        word: 'Locked',
        why:
          token.get() === ''
            ? 'This reader shows its state to those who have a token.'
            : 'This reader does not know that token.',
      }
    : { level: 'bad', word: 'No answer', why: whyNone(error) };
  if (isLocked && byId('token-form').hidden) {
    byId('token-form').hidden = false;
    byId('token').focus();
  }
  view.showStanding(standing, []);
  document.title = `${standing.word} – Tidemark reader`;
  speak(standing, undefined);
}

function whyNone(error) {
  const since =
    answeredAtMs === undefined
      ? ''
      : ` What is below is ${span(performance.now() - answeredAtMs)} old.`;
  if (error instanceof Refused)
    return `The reader answered ${error.status}: ${error.message}${since}`;
  return `The reader cannot be reached.${since} Check that its process runs.`;
}

function speak({ word, why }, answer) {
  const nowMs = performance.now();
  const version = answer?.changes[0]?.version ?? spoken.version;
  if (word !== spoken.word) {
    say(byId('said'), `${word}. ${why}`);
  } else if (version > spoken.version && nowMs - spoken.atMs > SPEAK_EVERY_MS) {
    const { latency } = answer;
    say(
      byId('said'),
      `${countOf(version - spoken.version, 'change')} came, median ${span(latency.p50Ms)}.`,
    );
  } else {
    return;
  }
  spoken = { word, version, atMs: nowMs };
}

byId('where').textContent = location.host;
byId('pause').addEventListener('click', ({ currentTarget }) => {
  const isPaused = currentTarget.getAttribute('aria-pressed') !== 'true';
  currentTarget.setAttribute('aria-pressed', String(isPaused));
  feed.paused = isPaused;
});
byId('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  token.set(byId('token').value.trim());
  byId('token').value = '';
  feed.now();
});
feed.now();
