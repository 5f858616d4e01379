/** Every relative link in README.md, CHANGELOG.md and docs/ leads to a file, and to a heading that is
 * in it; so do the files that are named in code spans, and the runbook that alerts link to. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DOCUMENTS = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];

const textOf = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const withoutCode = (text: string) => text.replaceAll(/^```[\s\S]*?^```/gm, '');

/** As GitHub makes them: lower case, spaces to dashes, most punctuation gone; numbered if repeated. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutCode(text).matchAll(/^#{1,6} (.+)$/gm)) {
    const plain = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, '');
    const anchor = plain.trim().replaceAll(' ', '-');
    let name = anchor;
    for (let number = 1; anchors.has(name); number += 1) name = `${anchor}-${number}`;
    anchors.add(name);
  }
  return anchors;
}

/** What a text links to or shows, in Markdown or in HTML, but for what stands in code. */
function linksIn(text: string): string[] {
  const shown = withoutCode(text).replaceAll(/`[^`\n]+`/g, '');
  const inMarkdown = /\]\(<?([^)\s>]+)>?(?:\s+["'][^)]*)?\)/g;
  const inHtml = /<(?:a|img|source)\s[^>]*?(?:href|src|srcset)\s*=\s*["']([^"'\s]+)/g;
  return [inMarkdown, inHtml].flatMap((pattern) =>
    [...shown.matchAll(pattern)].map(([, link = '']) => link),
  );
}

test('pictures are links, too', () => {
  const pictures = `![a](docs/a.png) [![b](b.svg)](to.md) ![c](c.png "C")
    <img alt="d" src="d.png"> <a href='e.md'><img src='e.png' width=80></a>
    <picture><source srcset="f.png"></picture> \`![code](code.png)\``;
  expect(linksIn(pictures)).toEqual([
    ...['docs/a.png', 'b.svg', 'to.md', 'c.png'],
    ...['d.png', 'e.md', 'e.png', 'f.png'],
  ]);
  expect(linksIn(textOf('README.md'))).toContain('docs/demo.png');
});

test.each(DOCUMENTS)('each link in %s leads somewhere', (document) => {
  const broken = linksIn(textOf(document)).filter((link) => {
    if (/^[a-z]+:/.test(link)) return false; // another site
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? document : join(dirname(document), path);
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && !anchorsOf(textOf(target)).has(anchor);
  });
  expect(broken).toEqual([]);
});

test.each(DOCUMENTS)('each file that %s names in code is there', (document) => {
  const named = textOf(document).matchAll(
    /`((?:docs|examples|migrations|ops|src|test)\/[\w./-]+)`/g,
  );
  const missing = [...named]
    .map(([, path = '']) => path)
    .filter((path) => !existsSync(join(ROOT, path)));
  expect(missing).toEqual([]);
});

test('the runbook has each heading that alerts link to', () => {
  const alerts = [
    'A reader is stale',
    'No heartbeat',
    'Redis is away',
    'The auditor found a mismatch',
    'Polls fail',
    'Writes fail',
    'Rebases',
  ];
  const headings = [...textOf('docs/operations.md').matchAll(/^## (.+)$/gm)].map(
    ([, text]) => text,
  );
  expect(headings).toEqual(expect.arrayContaining(alerts));
});

test('the documents name metrics that there are', () => {
  const known = new Set(
    [...textOf('docs/metrics.md').matchAll(/^\| `(tidemark_\w+)` \|/gm)].map(([, name]) => name),
  );
  const accounts = /^tidemark_(migrator|writer|reader|doctor|migrations)$/;
  for (const document of DOCUMENTS) {
    const named = [...textOf(document).matchAll(/\btidemark_[a-z_]*[a-z]\b/g)].map(
      ([name]) => name,
    );
    const unknown = named.filter(
      (name) => !accounts.test(name) && !known.has(name.replace(/_(count|sum|bucket)$/, '')),
    );
    expect(unknown, document).toEqual([]);
  }
});
