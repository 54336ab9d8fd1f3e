import { readFileSync } from 'node:fs';
import { programRoot } from '../core/package.ts';
import type { Answer } from './answer.ts';
import { causesModule } from './causes.ts';

const FOLDER = new URL('lib/admin/page/', programRoot);
const FILES: readonly (readonly [path: string, file: string, type: string])[] = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ...['base', 'page', 'pools', 'listeners', 'cluster', 'phone'].map(
    name => [`/${name}.css`, `${name}.css`, 'text/css; charset=utf-8'] as const,
  ),
  ['/icon.svg', 'icon.svg', 'image/svg+xml'],
  ...[
    'backends',
    'cluster',
    'dom',
    'format',
    'judge',
    'listeners',
    'operator',
    'page',
    'plot',
    'series',
    'stream',
  ].map(name => [`/${name}.js`, `${name}.js`, 'text/javascript; charset=utf-8'] as const),
];

/**
 * Scripts and styles come from this listener alone, and none may stand in the page itself: text from outside that
 * slipped through as HTML would still run nothing and load nothing.
 */
const HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** The status page's files by path, read once. */
export function readPage(): ReadonlyMap<string, Answer> {
  const answer = (type: string, body: string | Buffer): Answer => ({
    status: 200,
    type,
    body,
    headers: HEADERS,
  });
  const files = FILES.map(
    ([path, file, type]) => [path, answer(type, readFileSync(new URL(file, FOLDER)))] as const,
  );
  return new Map([...files, ['/causes.js', answer('text/javascript; charset=utf-8', causesModule())]]);
}
