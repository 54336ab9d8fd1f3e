/** The status page's files as they are served: whole, guarded, and nothing from elsewhere. */

import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import t from 'tap';
import { packageRoot } from '../../lib/core/package.ts';
import { madeUpStatus } from './made-up.ts';
import { startMadeUpAdmin } from './made-up-admin.ts';

const FOLDER = new URL('lib/admin/page/', packageRoot);
const files = readdirSync(FOLDER);
const TYPES = new Map([
  ['css', 'text/css; charset=utf-8'],
  ['html', 'text/html; charset=utf-8'],
  ['js', 'text/javascript; charset=utf-8'],
  ['svg', 'image/svg+xml'],
]);

t.test('every file is served with its type, and with headers that let nothing else in', async t => {
  const { url } = await startMadeUpAdmin(t, () => madeUpStatus());
  t.ok(files.length > 10);
  for (const file of [...files, 'causes.js']) {
    const response = await fetch(url + (file === 'index.html' ? '' : file));
    t.equal(response.status, 200, file);
    t.equal(response.headers.get('content-type'), TYPES.get(file.split('.').at(-1) ?? ''));
    const policy = response.headers.get('content-security-policy')?.split('; ');
    t.strictSame(policy, [
      "default-src 'none'",
      "style-src 'self'",
      "script-src 'self'",
      "connect-src 'self'",
      "img-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ]);
    t.equal(response.headers.get('referrer-policy'), 'no-referrer');
    t.equal(response.headers.get('x-content-type-options'), 'nosniff');
    t.equal(response.headers.get('cache-control'), 'no-store');
    t.ok((await response.text()).length > 0);
  }
});

t.test('only reads are answered, only files of the page, and not under a foreign name', async t => {
  const { url, port } = await startMadeUpAdmin(t, () => madeUpStatus());
  const status = async (path: string, method = 'GET') => (await fetch(url + path, { method })).status;
  t.equal(await status('', 'HEAD'), 200);
  t.equal(await status('', 'POST'), 405);
  t.equal(await status('page.js', 'DELETE'), 405);
  t.equal(await status('index.html'), 404);
  t.equal(await status('..%2fadmin.ts'), 404);
  t.equal(await status('page/page.js'), 404);
  t.equal(await status('api/v1/history'), 200);
  t.equal(await status('api/v1/history', 'POST'), 401);
  for (const path of ['/', '/page.js', '/api/v1/history', '/api/v1/events']) {
    const refused = await new Promise(resolve => {
      const call = request({ host: '127.0.0.1', port, path, headers: { host: 'evil.example' } }, response => {
        response.resume();
        resolve(response.statusCode);
      });
      call.end();
    });
    t.equal(refused, 421, path);
  }
});

t.test('the sources name nothing outside, and write no markup', async t => {
  for (const file of files) {
    const text = readFileSync(new URL(file, FOLDER), 'utf8');
    const addresses = text.match(/https?:\/\/[^\s'"`]+|(?<=["'(])\/\/[a-z]/g) ?? [];
    t.strictSame(
      addresses.filter(address => address !== 'http://www.w3.org/2000/svg'),
      [],
      `${file} names no other host`,
    );
    t.notMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/, file);
    t.notMatch(text, /\son[a-z]+="|\sstyle="|<style/, file);
    t.ok(text.split('\n').length <= 350, `${file} can be read in one go`);
  }
});
