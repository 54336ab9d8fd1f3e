/** docs/operating.md against a running instance: each call, each verb and each field of the log that it names. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { called } from '../support/called.ts';
import { COMMAND, START_MS } from '../support/command.ts';
import { freeAddress } from '../support/free-port.ts';
import { page, tableUnder } from '../support/markdown.ts';
import type { Owner } from '../support/owner.ts';
import { start } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const OPERATING = page('operating.md');
const TOKEN = 'a-token-of-some-length';
const [NODE, ...ARGUMENTS] = COMMAND;

/** The words in code marks of a cell. */
const coded = (cell = ''): string[] => Array.from(cell.matchAll(/`([^`]+)`/g), ([, word = '']) => word);

async function startWithFile(owner: Owner) {
  const backend = await startScriptedBackend(owner, smtp());
  const [listen, admin] = [await freeAddress(), await freeAddress()];
  const folder = await temporaryDirectory(owner);
  const file = join(folder, 'smtplb.yaml');
  const settings = {
    hostName: 'lb.example',
    admin: { listen: formatAddress(admin), token: TOKEN },
    listeners: [{ name: 'mx', listen: formatAddress(listen), pool: 'mx' }],
    pools: [{ name: 'mx', backends: [{ name: 'b1', address: formatAddress(backend.address) }] }],
  };
  await writeFile(file, JSON.stringify(settings)); // JSON is YAML
  const process = start(owner, NODE, [...ARGUMENTS, 'run', '--config', file]);
  await process.printed(/"msg":"ready"/, START_MS);
  return { process, listen, admin, file, folder, settings };
}

t.test('what the page says of calls, log and reload is so', async t => {
  const { admin, file, folder, listen, process, settings } = await startWithFile(t);
  const headers = { authorization: `Bearer ${TOKEN}` };
  const call = async (method: string, path: string, init: RequestInit = {}) => {
    const abort = new AbortController();
    const url = `http://${formatAddress(admin)}${path}`;
    const response = await fetch(url, { method, headers, signal: abort.signal, ...init });
    const body = path.endsWith('/events') ? '' : await response.text();
    abort.abort(); // events have no end
    return { status: response.status, body };
  };

  await t.test('every call is answered, and errors have the status that the page says', async t => {
    const rows = tableUnder(OPERATING, 'The API').filter(([cell = '']) => /^(?:GET|POST) /.test(cell));
    t.ok(rows.length >= 12, `${rows.length} calls`);
    for (const [cell = ''] of rows) {
      const [method = '', pattern = ''] = cell.split(' ');
      const path = pattern.replace('POOL', 'mx').replace('BACKEND', 'b1').replace(/\?.*/, '');
      // An upgrade has tests of its own: here it is only asked for without the right to it.
      if (path.endsWith('/upgrade')) t.equal((await call(method, path, { headers: {} })).status, 401, cell);
      else {
        const body = path.endsWith('/weight') ? { body: '{"weight": 5}' } : {};
        t.equal((await call(method, path, body)).status, 200, cell);
      }
    }
    const drain = '/api/v1/pools/mx/backends/b1/drain';
    const errors: [status: number, method: string, path: string, init?: RequestInit][] = [
      [400, 'POST', drain, { body: '{' }],
      [401, 'POST', drain, { headers: {} }],
      [403, 'POST', drain, { headers: { ...headers, origin: 'http://elsewhere.example' } }],
      [404, 'POST', '/api/v1/nothing'],
      [405, 'PUT', drain],
      [409, 'POST', '/api/v1/pools/mx/backends/b2/drain'],
      [413, 'POST', drain, { body: JSON.stringify({ x: 'x'.repeat(100_000) }) }],
    ];
    for (const [status, method, path, init] of errors)
      t.equal((await call(method, path, init)).status, status, `${status}`);
    t.equal((await call('POST', drain.replace('drain', 'ready'))).status, 200);
  });

  await t.test('the fields of a session in the log are those of the page', async t => {
    const client = await connectClient(t, listen);
    await client.expect(220);
    await client.command('QUIT', 221);
    client.end();
    const [line] = await process.printed(/^.*"msg":"session".*$/m);
    const written = Object.keys(JSON.parse(line)).filter(
      field => !['level', 'time', 'instance', 'msg'].includes(field),
    );
    const documented = tableUnder(OPERATING, 'Logs').flatMap(([cell = '']) => {
      const words = coded(cell);
      return words.length === 0 ? [cell] : words;
    });
    // There only where a PROXY header named the client, a handshake failed, the pool is sticky.
    const sometimes = ['via', 'tlsFault', 'sticky'];
    const always = documented.filter(field => !sometimes.includes(field));
    t.same(always.sort(), written.sort());
    t.equal(documented.length, always.length + sometimes.length);
  });

  await t.test('a reload names the keys that wait for a restart, and they are those of the page', async t => {
    const changed = {
      ...settings,
      instance: 'another',
      shards: 'auto',
      transport: 'net',
      cluster: { name: 'another' },
      admin: { ...settings.admin, listen: '127.0.0.1:0', socket: join(folder, 's'), maxConnections: 9 },
      listeners: settings.listeners.map(listener => ({ ...listener, backlog: 9 })),
    };
    await writeFile(file, JSON.stringify(changed));
    const { body } = await call('POST', '/api/v1/reload');
    const [, names = ''] = /these wait for a restart: (.*)"/.exec(body) ?? [];
    const waiting = tableUnder(OPERATING, 'Reload').filter(([, when = '']) => /after a restart/.test(when));
    t.same(
      names.split(', ').sort(),
      [...waiting.flatMap(([cell]) => coded(cell?.includes('`') ? cell : `\`${cell}\``))]
        .map(key => (key === 'backlog' ? 'backlog of listener mx' : key))
        .sort(),
      body,
    );
  });
});

t.test('the verbs of the page are commands, with these flags', async t => {
  const commands = [...OPERATING.matchAll(/^\| `smtplb (\w+)([^`]*)` \| (.*) \|$/gm)];
  t.ok(commands.length >= 9);
  for (const [, verb = '', , text] of commands) {
    const { exitCode, stdout } = await called(verb, '--help');
    t.equal(exitCode, 0, verb);
    t.match(stdout, new RegExp(`smtplb ${verb}`));
    for (const flag of coded(text).filter(word => word.startsWith('--'))) t.ok(stdout.includes(flag), flag);
  }
});
