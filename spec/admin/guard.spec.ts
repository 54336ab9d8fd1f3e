/** Who may call the admin listener, and under which name. */
import { existsSync, statSync } from 'node:fs';
import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { call, post } from '../support/admin-api.ts';
import { startInstance } from '../support/instance.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { startStage, TOKEN } from './stage.ts';

const DRAIN = 'pools/mx/backends/mx1/drain';

/** Calls that stand for all there are: what is read, what changes something, what machines ask. */
const READS = ['/', '/page.js', '/api/v1/status', '/api/v1/sessions', '/api/v1/events', '/api/v1/history'];
const FOR_MACHINES = ['/metrics', '/healthz', '/readyz'];

t.test('verbs over TCP need the token', async t => {
  const { tcp, calls } = await startStage(t);
  const wrong = [
    undefined,
    '',
    TOKEN.slice(0, -1),
    `${TOKEN}x`,
    TOKEN.toUpperCase(),
    ` ${TOKEN}`,
    'ü'.repeat(9),
  ];
  for (const token of wrong) {
    const given = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const { message, status, text } = await post(tcp, DRAIN, undefined, { headers: given });
    t.equal(status, 401, JSON.stringify(token));
    t.match(message, /^the token is missing or wrong: send "Authorization: Bearer TOKEN"/);
    t.notMatch(text, TOKEN);
  }
  for (const authorization of [TOKEN, `Basic ${TOKEN}`, `Bearer: ${TOKEN}`, `Bearer ${TOKEN}, x`]) {
    t.equal((await post(tcp, DRAIN, undefined, { headers: { authorization } })).status, 401, authorization);
  }
  for (const path of ['reload', 'upgrade', 'pools/mx/backends/mx1/weight', 'no-such-verb']) {
    t.equal((await post(tcp, path, { weight: 1 })).status, 401, path);
  }
  t.same(calls, [], 'nothing was done');
  t.equal((await post(tcp, DRAIN, undefined, { token: TOKEN })).status, 200);
  t.equal(
    (await post(tcp, DRAIN, undefined, { headers: { authorization: `bearer ${TOKEN}` } })).status,
    200,
    'the scheme is a word of any case (RFC 9110 section 11.1)',
  );
  t.same(calls, [
    ['setAdmin', 'mx', 'mx1', 'drain', false, 'instance'],
    ['setAdmin', 'mx', 'mx1', 'drain', false, 'instance'],
  ]);
  for (const path of ['/api/v1/status', '/']) t.equal((await call(tcp, path)).status, 200, 'to read is free');
});

t.test('where no token is configured there are no verbs over TCP', async t => {
  const { tcp, unix, calls } = await startStage(t, { token: null });
  for (const token of [undefined, '', 'null', TOKEN]) {
    const answered = await post(tcp, DRAIN, undefined, token === undefined ? {} : { token });
    t.equal(answered.status, 403);
    t.equal(answered.message, 'verbs need admin.token in the configuration, or the admin socket');
  }
  t.same(calls, []);
  t.equal((await post(unix, DRAIN)).status, 200);
});

t.test('the Unix socket needs no token: its permissions are the guard', async t => {
  const { admin, tcp, unix, calls } = await startStage(t);
  t.equal((statSync(unix.path).mode & 0o777).toString(8), '660');
  t.equal((await post(unix, DRAIN, undefined, { headers: { host: 'whatever.example' } })).status, 200);
  t.equal((await call(unix, '/metrics')).status, 200);
  t.equal(calls.length, 1);
  await admin.close();
  t.notOk(existsSync(unix.path), 'it goes with its listener');
  await t.rejects(call(tcp, '/healthz'), { code: 'ECONNREFUSED' });
});

t.test('another site that points its name here gets nothing (DNS rebinding)', async t => {
  const { tcp, calls } = await startStage(t, { hosts: ['lb.example', 'Status.Example'] });
  const { port } = tcp as Extract<Address, { family: 'ipv4' }>;
  const evil = [
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    'notlb.example',
    'lb.example.evil.example',
    'lb.example@evil.example',
    '127.0.0.1 evil.example',
    '[evil.example]',
    '2130706433.evil.example',
    '0x7f000001',
  ];
  for (const host of evil) {
    for (const path of READS) {
      const answered = await call(tcp, path, { headers: { host } });
      t.equal(answered.status, 421, `${path} as ${host}`);
      t.match(answered.message, /call the admin listener by its address, or add the name to admin\.hosts/);
    }
    const options = { headers: { host, origin: `http://${host}` }, token: TOKEN };
    t.equal((await post(tcp, DRAIN, undefined, options)).status, 421);
  }
  t.same(calls, []);
  for (const path of FOR_MACHINES) {
    t.equal((await call(tcp, path, { headers: { host: 'evil.example' } })).status, 200, `${path}: machines`);
  }
  for (const [path, status] of [
    ['/api/v1/status', 421],
    ['/metrics', 200],
  ] as const) {
    const client = await connectClient(t, tcp);
    await client.write(`GET ${path} HTTP/1.0\r\n\r\n`);
    await client.until(`HTTP/1.1 ${status} `);
  }
  const known = ['127.0.0.1', `127.0.0.1:${port}`, '10.1.2.3', '[::1]', `[::1]:${port}`, 'localhost'];
  for (const host of [...known, 'LOCALHOST:1', 'lb.example', 'LB.Example:99', 'status.example']) {
    t.equal((await call(tcp, '/api/v1/status', { headers: { host } })).status, 200, host);
  }
  const absolute = await call(tcp, 'http://lb.example/api/v1/status', { headers: { host: 'evil.example' } });
  t.equal(absolute.status, 421, 'the name in the request line does not help');
  const double = await call(tcp, '//lb.example/api/v1/status', { headers: { host: 'evil.example' } });
  t.equal(double.status, 421);
});

t.test('a page of another origin cannot say a verb, even with the token', async t => {
  const { tcp, calls } = await startStage(t, { hosts: ['lb.example'] });
  const foreign = ['http://evil.example', 'null', 'http://lb.example:1', 'ftp://lb.example', ''];
  for (const origin of foreign) {
    const headers = { host: 'lb.example:8404', origin };
    const { message, status } = await post(tcp, DRAIN, undefined, { token: TOKEN, headers });
    t.equal(status, 403, JSON.stringify(origin));
    t.equal(message, 'this call comes from a page of another origin');
  }
  t.same(calls, []);
  for (const origin of ['http://lb.example:8404', 'https://lb.example:8404']) {
    const headers = { host: 'lb.example:8404', origin };
    t.equal((await post(tcp, DRAIN, undefined, { token: TOKEN, headers })).status, 200, origin);
  }
  // Nobody is told that pages of other origins may read what we answer.
  const preflight = await call(tcp, `/api/v1/${DRAIN}`, {
    method: 'OPTIONS',
    headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
  });
  t.equal(preflight.status, 405);
  t.equal(preflight.headers['access-control-allow-origin'], undefined);
});

t.test('the token is in no answer and in no line of the log', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const pools = [{ name: 'mx', backends: [{ name: 'b1', address: formatAddress(backend.address) }] }];
  const settings = {
    listeners: [{ name: 'mx', pool: 'mx' }],
    pools,
    admin: { listen: '127.0.0.1:0', token: TOKEN, hosts: ['lb.example'] },
  };
  const instance = await startInstance(t, 'net', settings);
  const answers = [];
  for (const token of [TOKEN, `${TOKEN}x`]) {
    answers.push(await post(instance.admin, 'pools/mx/backends/b1/drain', undefined, { token }));
    answers.push(await post(instance.admin, `pools/${TOKEN}/backends/b1/nothing`, '{', { token }));
    answers.push(await post(instance.admin, 'reload', undefined, { token }));
  }
  t.same(
    answers.map(({ status }) => status),
    [200, 400, 200, 401, 401, 401],
  );
  // A token that the file has wrong is still a token.
  instance.configure({ ...settings, admin: { listen: '127.0.0.1:0', token: `${TOKEN} with a space` } });
  answers.push(await post(instance.admin, 'reload', undefined, { token: TOKEN }));
  t.match(answers.at(-1)?.message, /settings:1:\d+: admin\.token: /);
  for (const path of [...READS.filter(path => path !== '/api/v1/events'), ...FOR_MACHINES])
    answers.push(await call(instance.admin, path, { token: TOKEN }));
  for (const { text } of answers) t.notMatch(text, TOKEN);
  t.notMatch(JSON.stringify(instance.log), TOKEN);

  // It can be changed without a restart.
  instance.configure({ ...settings, admin: { listen: '127.0.0.1:0', token: 'another' } });
  t.equal((await post(instance.admin, 'reload', undefined, { token: TOKEN })).status, 200);
  t.equal((await post(instance.admin, 'reload', undefined, { token: TOKEN })).status, 401);
  t.equal((await post(instance.admin, 'reload', undefined, { token: 'another' })).status, 200);
  t.notMatch(JSON.stringify(instance.log), TOKEN);
});
