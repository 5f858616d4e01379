/** The few things that the pages do to their document. Texts are set as texts, never as markup. */
import { plain } from './format.js';

export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`Expected an element #${id}, there is none.`);
  return element;
}

/** Leaves an element alone that says so already: a screen reader need not hear it again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function make(name, text, className = '') {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className !== '') element.className = className;
  return element;
}

/** Makes the rows of a table's body those of `items`, and keeps those that stay.
 * @param keyOf what makes an item the same as one before
 * @param cellsOf an element for each cell, or a text
 * @param classes of the cells, by column; the first cell of a row is its heading */
export function fillRows(body, items, { keyOf, cellsOf, classes = [] }) {
  const before = body.rowsByKey ?? new Map();
  const isFirst = body.rowsByKey === undefined;
  const rows = new Map();
  for (const item of items) {
    const key = String(keyOf(item));
    rows.set(key, before.get(key) ?? newRow(classes, !isFirst));
    fillCells(rows.get(key), cellsOf(item));
  }
  body.rowsByKey = rows;
  const wanted = [...rows.values()];
  if (wanted.length !== body.rows.length || wanted.some((row, at) => body.rows[at] !== row)) {
    // Rows that stay are not moved: that would start their animation again.
    for (const row of [...body.rows]) if (!wanted.includes(row)) row.remove();
    for (const [at, row] of wanted.entries()) {
      if (body.rows[at] !== row) body.insertBefore(row, body.rows[at] ?? null);
    }
  }
}

function newRow(classes, isArrival) {
  const row = make('tr', undefined, isArrival ? 'arrived' : '');
  for (const [at, className] of classes.entries()) {
    const cell = make(at === 0 ? 'th' : 'td', undefined, className);
    if (at === 0) cell.scope = 'row';
    row.append(cell);
  }
  return row;
}

function fillCells(row, cells) {
  for (const [at, content] of cells.entries()) {
    const cell = row.cells[at];
    if (typeof content === 'string') say(cell, content);
    else if (cell.firstElementChild?.outerHTML !== content.outerHTML) cell.replaceChildren(content);
  }
}

/** Makes a list of names and values. */
export function fillFacts(list, facts) {
  const texts = facts.flat();
  if (list.children.length !== texts.length) {
    list.replaceChildren(...texts.map((_, at) => make(at % 2 === 0 ? 'dt' : 'dd')));
  }
  for (const [at, text] of texts.entries()) say(list.children[at], text);
}

/** Keys may be of any script, and of both directions: each in its own, and apart from the rest. */
export function keyText(key) {
  const text = make('bdi', plain(key));
  text.dir = 'auto';
  return text;
}

/** A state in a word, which the color only repeats. */
export function wordOf(level, text) {
  const word = make('span', text, 'word');
  word.dataset.level = level;
  return word;
}
