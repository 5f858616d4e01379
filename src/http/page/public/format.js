/** Figures and texts as people read them. */

const NOTHING = '–';

/** A time span, with as many digits as matter. */
export function span(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return NOTHING;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor(ms / 1_000) % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** An end of a bar: 50 ms, 2 s. */
export function shortSpan(ms) {
  return ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
}

export function count(value) {
  return Number.isFinite(value) ? value.toLocaleString('en-US') : NOTHING;
}

/** One of many, as `1 change`, `2 changes`. */
export function countOf(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

export function share(part, whole) {
  if (!(whole > 0)) return NOTHING;
  const percent = (100 * part) / whole;
  if (part === whole) return '100 %';
  if (percent > 99.9) return '> 99.9 %'; // 100 % is said of all, and of nothing less
  return `${percent < 10 || percent > 99 ? percent.toFixed(1) : Math.round(percent)} %`;
}

export function bytes(value) {
  if (value < 1024) return `${count(value)} B`;
  if (value < 1024 ** 2) return `${(value / 1024).toFixed(1)} KiB`;
  return `${(value / 1024 ** 2).toFixed(1)} MiB`;
}

const timeOfDay = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const timeWithMs = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});

/** The local time of day. */
export function clock(ms) {
  return Number.isFinite(ms) ? timeOfDay.format(ms) : NOTHING;
}

export function clockWithMs(ms) {
  return Number.isFinite(ms) ? timeWithMs.format(ms) : NOTHING;
}

/** A text from elsewhere. Characters that show nothing, or change how others show, are named. */
export function plain(text) {
  return String(text).replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0).toString(16).padStart(4, '0');
    return `\\u{${code}}`;
  });
}
