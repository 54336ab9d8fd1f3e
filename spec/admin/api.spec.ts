/** What is below /api/v1/: methods, bodies, names, sentences. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { call, post, status } from '../support/admin-api.ts';
import { eventually, within } from '../support/eventually.ts';
import { refusingAddress } from '../support/free-port.ts';
import { mx, startInstance } from '../support/instance.ts';
import { connectClient } from '../support/smtp-client.ts';
import { startStage, TOKEN } from './stage.ts';

const MX1 = 'pools/mx/backends/mx1';

t.test('methods', async t => {
  const { tcp, unix, calls } = await startStage(t);
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    t.equal((await call(unix, `/api/v1/${MX1}/drain`, { method })).status, 405, method);
    t.equal((await call(unix, '/', { method })).status, 405, `${method} /`);
    t.equal((await call(unix, '/metrics', { method })).status, 405, `${method} /metrics`);
  }
  t.equal((await call(tcp, '/healthz', { method: 'POST' })).status, 405);
  t.equal((await call(tcp, `/api/v1/${MX1}/drain`)).status, 404, 'a verb is no page');
  t.equal((await call(unix, '/api/v1/status', { method: 'POST' })).status, 404);
  for (const path of ['/api/v1', '/api/v1/', '/api/v2/status', '/api/v1/status/x', '/..%2f..%2fetc/passwd']) {
    t.equal((await call(tcp, path)).status, 404, path);
  }
  const head = await call(tcp, '/api/v1/status', { method: 'HEAD' });
  t.equal(head.status, 200);
  t.equal(head.text, '');
  const get = await call(tcp, '/api/v1/status');
  t.equal(Number(head.headers['content-length']), Buffer.byteLength(get.text));
  t.equal(get.headers['cache-control'], 'no-store');
  t.equal(get.headers['x-content-type-options'], 'nosniff');
  t.same(calls, []);
});

t.test('bodies', async t => {
  const { unix, calls } = await startStage(t);
  const said = async (verb: string, body: unknown) => {
    const { message, status } = await post(unix, `${MX1}/${verb}`, body);
    return `${status} ${message}`;
  };
  for (const body of [
    '{',
    '[]',
    '"maint"',
    '1',
    'null',
    'endSessions=true',
    '{"endSessions":true}{}',
    '\0',
  ]) {
    t.equal(await said('maint', body), '400 the body is no JSON object', body);
  }
  for (const endSessions of ['true', 1, null, [], {}]) {
    t.match(await said('maint', { endSessions }), /^400 |^200 /);
  }
  t.equal(await said('maint', { endSessions: 'true' }), '400 endSessions is true or false');
  t.equal(await said('maint', { endSessions: 1 }), '400 endSessions is true or false');
  t.equal(
    await said('drain', { endSessions: true }),
    '400 endSessions goes with maint; drain lets sessions finish',
  );
  for (const weight of [0, 257, -1, 1.5, '7', true, [], {}, undefined]) {
    t.equal(
      await said('weight', { weight }),
      "400 weight is a whole number from 1 to 256, or null for the configuration's",
      JSON.stringify(weight),
    );
  }
  t.match(await said('weight', '{"weight":1e400}'), /^400 weight is/);
  t.match(await said('weight', undefined), /^400 weight is/);
  t.match(await said('weight', '{"__proto__":{"weight":9}}'), /^400 weight is/);
  t.match(await said('maint', '{"__proto__":{"endSessions":true}}'), /^200 /);
  t.match(await said('maint', '{"constructor":{"prototype":{"endSessions":true}}}'), /^200 /);
  t.equal(({} as { endSessions?: unknown }).endSessions, undefined, 'no prototype was touched');
  const ended = calls.filter(([, , , , endSessions]) => endSessions !== false);
  t.same(ended, [], 'and no session was ended');
  await said('weight', { weight: 256 });
  await said('weight', { weight: null });
  await said('maint', { endSessions: true });
  t.same(calls.slice(-3), [
    ['setWeight', 'mx', 'mx1', 256, 'instance'],
    ['setWeight', 'mx', 'mx1', null, 'instance'],
    ['setAdmin', 'mx', 'mx1', 'maint', true, 'instance'],
  ]);
});

t.test('a body that is too large is answered, and not kept', async t => {
  const { tcp, calls } = await startStage(t);
  const large = `{"endSessions":true,"x":"${'x'.repeat(8_000_000)}"}`;
  const { message, status } = await post(tcp, `${MX1}/maint`, large, { token: TOKEN });
  t.equal(status, 413);
  t.equal(message, 'the body has more than 65536 octets');
  t.same(calls, []);
  const fits = `{"endSessions":true,"x":"${'x'.repeat(60_000)}"}`;
  t.equal((await post(tcp, `${MX1}/maint`, fits, { token: TOKEN })).status, 200);
});

t.test('a body that breaks off harms nobody', async t => {
  const { tcp, calls } = await startStage(t);
  const client = await connectClient(t, tcp);
  await client.write(
    `POST /api/v1/${MX1}/maint HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: 50\r\n\r\n{"endSess`,
  );
  client.reset();
  t.equal((await post(tcp, `${MX1}/drain`, undefined, { token: TOKEN })).status, 200);
  t.same(calls, [['setAdmin', 'mx', 'mx1', 'drain', false, 'instance']]);
});

t.test('names with slashes, percent signs and other alphabets arrive as they are', async t => {
  const { unix, calls } = await startStage(t);
  const names = [
    'unix:/run/mx 1.sock',
    '[::1]:25',
    '100%',
    '%2F',
    'größe',
    '邮件',
    '__proto__',
    'a?b#c',
    '😀',
  ];
  for (const name of names) {
    const path = `pools/${encodeURIComponent(name)}/backends/${encodeURIComponent(name)}/drain`;
    t.equal((await post(unix, path)).status, 200, name);
    t.same(calls.at(-1), ['setAdmin', name, name, 'drain', false, 'instance']);
  }
  const before = calls.length;
  t.equal((await post(unix, 'pools/mx/backends/%zz/drain')).status, 200, 'an escape that is none');
  t.same(calls.at(-1), ['setAdmin', 'mx', '%zz', 'drain', false, 'instance'], 'is a name like any other');
  for (const path of ['pools/mx/backends/a/b/drain', 'pools//backends', 'pools/mx/backend/mx1/drain', '%']) {
    t.equal((await post(unix, path)).status, 404, path);
  }
  t.match((await post(unix, `${MX1}/destroy`)).message, /told ready, drain, maint or weight, not "destroy"/);
  t.equal(calls.length, before + 1);

  const wanted = new URLSearchParams({ pool: 'größe/1', backend: '100%', limit: '7' });
  await call(unix, `/api/v1/sessions?${wanted}`);
  t.same(calls.at(-1), ['sessions', { limit: 7, pool: 'größe/1', backend: '100%' }]);
  for (const limit of ['0', '-1', '1.5', 'x', '10001', '1e9', '']) {
    const { message, status } = await call(unix, `/api/v1/sessions?limit=${limit}`);
    t.equal(status, 400, limit);
    t.equal(message, 'limit is a whole number from 1 to 10000');
  }
});

t.test('a control that fails is an answer, not an end', async t => {
  const { unix } = await startStage(t, {
    control: {
      reload: async () => Promise.reject(new Error('out of order')),
      upgrade: async () => ({ ok: false, message: 'not now' }),
    },
  });
  t.match(await post(unix, 'reload'), { status: 500, message: 'out of order' });
  t.match(await post(unix, 'upgrade'), { status: 409, message: 'not now' });
  t.equal((await call(unix, '/healthz')).status, 200);
});

t.test('who names nothing that is there is told what there is', async t => {
  const nobody = formatAddress(await refusingAddress());
  const instance = await startInstance(t, 'net', {
    ...mx([nobody, nobody.replace(/\d+$/, '1')]),
    admin: { listen: '127.0.0.1:0', token: TOKEN },
  });
  const said = async (path: string) => {
    const { message, status } = await post(instance.admin, path, { weight: 3 }, { token: TOKEN });
    t.equal(status, 409, path);
    return message;
  };
  t.equal(await said('pools/mx/backends/b3/maint'), 'there is no backend mx/b3; pool mx has b1, b2');
  t.equal(await said('pools/mx/backends/b3/weight'), 'there is no backend mx/b3; pool mx has b1, b2');
  t.equal(await said('pools/constructor/backends/b1/drain'), 'there is no pool constructor; there is mx');
  t.equal(await said('pools/%1b%5B2J/backends/b1/drain'), 'there is no pool \x1b[2J; there is mx');
  const { pools } = await status(instance.admin);
  t.match(pools[0]?.backends, [
    { admin: 'ready', weight: 1 },
    { admin: 'ready', weight: 1 },
  ]);
});

t.test(
  'connections beyond the bound are closed unheard, and there is room again when one leaves',
  async t => {
    const { tcp } = await startStage(t, { maxConnections: 4 });
    const { host, port } = tcp as Extract<Address, { family: 'ipv4' }>;
    const open: Socket[] = [];
    t.teardown(() => {
      for (const socket of open) socket.destroy();
    });
    for (let count = 0; count < 4; count++) {
      const socket = connect({ host, port });
      open.push(socket);
      await once(socket, 'connect');
    }
    const fifth = connect({ host, port });
    fifth.on('error', () => {});
    fifth.resume();
    await within('the fifth to be closed', once(fifth, 'close'));
    await t.rejects(call(tcp, '/healthz'));
    open.pop()?.destroy();
    await eventually('room again', async () => (await call(tcp, '/healthz')).status === 200);
  },
);

t.test('nonsense on the wire ends the connection and nothing else', async t => {
  const { tcp } = await startStage(t);
  for (const nonsense of [
    'EHLO me.example\r\n',
    '\x16\x03\x01\x02\x00\x01',
    'GET / HTTP/1.1\r\n\r\n',
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`,
    'GET http://[ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    'GET /%00%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nx',
    'CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n',
  ]) {
    const client = await connectClient(t, tcp);
    await client.write(nonsense);
    await within(`the end of ${JSON.stringify(nonsense.slice(0, 40))}`, client.closed);
    t.match(client.received.toString('latin1'), /^(?:HTTP\/1\.1 (?:4\d\d|200) |$)/);
  }
  t.equal((await call(tcp, '/healthz')).status, 200);
});
