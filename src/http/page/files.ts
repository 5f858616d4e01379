/**
 * The files of a page, read once and served from memory with a strict Content-Security-Policy: all
 * that it loads is its own, no script or style is inline, and nobody may frame it.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { refuseOtherMethods } from '../methods.js';
import { problemResponse } from '../problem.js';

export interface PageFile {
  /** Below the prefix of the scope. */
  readonly url: string;
  readonly file: URL | string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
};

const POLICY = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join('; ');

const HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

/** Charts: the files of the installed package. */
export const CHART_FILES: readonly PageFile[] = [
  { url: '/page/uplot.js', file: packageFile('uplot/dist/uPlot.iife.min.js') },
  { url: '/page/uplot.css', file: packageFile('uplot/dist/uPlot.min.css') },
];

/** What all pages share, and the page of a reader. */
export function publicFile(name: string): URL {
  return new URL(`public/${name}`, import.meta.url);
}

/** Serves each file to whoever asks, also where there are tokens: none holds a key or a value. */
export function fileRoutes(scope: FastifyInstance, files: readonly PageFile[]): void {
  for (const { url, file } of files) {
    const bytes = readFileSync(file);
    const type = TYPES[extname(String(file))] ?? 'application/octet-stream';
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 16)}"`;
    const schema = url === '/' ? describedAs(type) : { hide: true }; // parts are the page's own
    const options = {
      schema,
      config: { tidemark: { open: true } },
      // What the page loads is relative to it, so that it works below any prefix.
      prefixTrailingSlash: 'slash',
    } as const;
    scope.get(url, options, (request, reply) => {
      reply.headers({ ...HEADERS, etag });
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      return reply.type(`${type}; charset=utf-8`).send(bytes);
    });
  }
  refuseOtherMethods(
    scope,
    files.map(({ url }) => url),
    ['GET', 'HEAD'],
  );
}

function describedAs(type: string) {
  const names = ['Content-Security-Policy', 'ETag'];
  const headers = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
  return {
    operationId: 'index',
    summary: 'The page, for people',
    response: {
      200: { description: 'HTML', headers, content: { [type]: { schema: {} } } },
      304: { description: 'The client has it', type: 'null', headers },
      500: problemResponse(500),
    },
  } as const;
}

function packageFile(path: string): string {
  return createRequire(import.meta.url).resolve(path);
}
