// Fixtures that cannot fail would make every test on top of them worthless: here they are made to.
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import t from 'tap';
import { blackHole } from './black-hole.ts';
import { LOADER, moduleUrl } from './checkout.ts';
import { eventually, eventuallyEqual, within } from './eventually.ts';
import { freeAddress, freePort, refusingAddress } from './free-port.ts';
import { parseMetrics } from './metrics.ts';
import { needs } from './needs.ts';
import { cutAt, octetByOctet } from './peer.ts';
import { accepts, run, start } from './processes.ts';
import {
  closeAtOnce,
  dieAfter,
  echo,
  greet,
  resetAtOnce,
  silent,
  smtp,
  startScriptedBackend,
} from './scripted-backend.ts';
import { bodyOf, connectClient } from './smtp-client.ts';
import { parseTranscript, swaks } from './swaks.ts';

t.test('a good dialogue, and both ends have every byte of it', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const client = await connectClient(t, backend.address);
  await client.expect(220);
  t.same((await client.command('EHLO client.example', 250)).lines, [
    'backend.example',
    'PIPELINING',
    '8BITMIME',
  ]);
  await client.deliver(bodyOf(10_000));
  await client.command('QUIT', 221);
  await client.expectClosed('fin');
  const connection = await backend.connection();
  t.equal(connection.closing, 'open', 'a half-closed connection is open the other way');
  client.end();
  await connection.expectClosed('fin');
  await backend.idle();
  t.match(connection.received.toString('latin1'), /^EHLO client\.example\r\n[\s\S]*\r\n\.\r\nQUIT\r\n$/);
  t.match(client.received.toString('latin1'), /^220 [\s\S]*221 2\.0\.0 backend\.example\r\n$/);
  t.same(backend.faults, []);
});

t.test('a reply that is not the wanted one, and one that never comes', async t => {
  const backend = await startScriptedBackend(t, [
    dieAfter('421 4.3.2 no\r\n'),
    silent,
    greet('22', '0 late\r\n'),
  ]);
  const refused = await connectClient(t, backend.address);
  await t.rejects(refused.expect(220), { message: /wanted 220, the reply was "421 4\.3\.2 no/ });
  await t.rejects(refused.expect(220), { message: /closed before/ });
  const waiting = await connectClient(t, backend.address);
  await t.rejects(waiting.expect(220, 20), { message: /waited 20 ms/ });
  t.match(await (await connectClient(t, backend.address)).reply(), { code: 220, lines: ['late'] });
});

t.test('FIN and RST are told apart, at both ends', async t => {
  const backend = await startScriptedBackend(t, [closeAtOnce, silent, silent, silent]);
  t.equal(await (await connectClient(t, backend.address)).closed, 'fin');
  const reset = await connectClient(t, backend.address);
  (await backend.connection(1)).reset();
  t.equal(await reset.closed, 'rst');
  await t.rejects(reset.expectClosed('fin'), { message: /saw rst instead of fin/ });
  (await connectClient(t, backend.address)).reset();
  (await connectClient(t, backend.address)).end();
  await (await backend.connection(2)).expectClosed('rst');
  await (await backend.connection(3)).expectClosed('fin');
});

t.test('who resets at once may be seen before the connect is', async t => {
  const backend = await startScriptedBackend(t, resetAtOnce);
  const client = await connectClient(t, backend.address).catch(error => error.code);
  t.equal(
    typeof client === 'string' ? client : await client.closed,
    typeof client === 'string' ? 'ECONNRESET' : 'rst',
  );
});

t.test('misdeeds happen where they should', async t => {
  for (const dieAt of ['ehlo', 'data', 'body'] as const) {
    const backend = await startScriptedBackend(t, smtp({ dieAt, how: 'reset' }));
    const client = await connectClient(t, backend.address);
    await client.expect(220);
    await t.rejects(client.command('EHLO client.example', 250).then(() => client.deliver()));
    await client.expectClosed('rst');
    const { received } = await backend.connection();
    t.equal(received.includes('DATA'), dieAt !== 'ehlo', dieAt);
    t.equal(client.received.includes('354'), dieAt === 'body', dieAt);
  }
  const backend = await startScriptedBackend(t, smtp({ stopReadingAt: 'body' }));
  const client = await connectClient(t, backend.address);
  await client.expect(220);
  await client.command('MAIL FROM:<>', 250);
  await client.command('DATA', 354);
  const connection = await backend.connection();
  const told = connection.octets;
  const sent = client.write(Buffer.alloc(32 << 20));
  await t.rejects(within('the far end to take it all', sent, 200), 'more than the kernel holds');
  t.equal(connection.octets, told);
  connection.resume();
  await sent;
  await eventually('all of it', () => connection.octets === told + (32 << 20));
});

t.test('pieces, digests and the echo', async t => {
  const backend = await startScriptedBackend(t, echo('220 e\r\n'), { record: 'all' });
  const client = await connectClient(t, backend.address, { from: '127.0.0.9' });
  await client.expect(220);
  await client.writePieces(octetByOctet('250-a\r\n250 b\r\n'));
  t.same((await client.reply()).lines, ['a', 'b']);
  await client.writePieces(cutAt('250 \xe9\r\n', 5), () => client.until('250 '));
  t.equal(await client.until('\r\n'), '\xe9\r\n');
  const digesting = await startScriptedBackend(t, silent, { record: 'digest' });
  const other = await connectClient(t, digesting.address);
  await other.write('abc');
  other.end();
  const connection = await digesting.connection();
  await connection.expectClosed('fin');
  t.equal(connection.digest(), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  t.match(connection, { octets: 3, received: Buffer.alloc(0) });
});

t.test('a refusing address refuses, a free one is free', async t => {
  await t.rejects(connectClient(t, await refusingAddress()), { code: 'ECONNREFUSED' });
  const address = await freeAddress();
  const server = createServer().listen({ host: address.host, port: address.port });
  t.teardown(() => server.close());
  await eventually('the server', () => accepts(address));
});

t.test('a port is given to nobody else before it is used', async t => {
  const ask = 'await Promise.all(Array.from({ length: 50 }, () => freePort()))';
  const script = `const { freePort } = await import(${JSON.stringify(moduleUrl('spec/support/free-port'))});
    console.log(JSON.stringify(${ask}));`;
  const node = [...LOADER, '--input-type=module', '--eval', script];
  const other = await run(t, process.execPath, node);
  const ours = await Promise.all(Array.from({ length: 50 }, () => freePort()));
  const all = [...ours, ...(JSON.parse(other.stdout) as number[])];
  t.equal(all.length, 100);
  t.equal(new Set(all).size, all.length, 'all are different');
});

t.test(
  'a black hole neither accepts nor refuses',
  { skip: process.platform !== 'linux' && 'needs Linux' },
  async t => {
    const address = await blackHole(t);
    await t.rejects(connectClient(t, address, { deadlineMs: 200 }), {
      message: /waited 200 ms for a connection/,
    });
  },
);

t.test('programs: output, exit status, the missing, the stubborn', async t => {
  t.match(await run(t, 'sh', ['-c', 'cat; echo oops >&2; exit 3'], { input: 'in' }), {
    exitCode: 3,
    stdout: 'in',
    stderr: 'oops\n',
  });
  t.match(await run(t, 'no-such-program', []), { exitCode: 127, stderr: /ENOENT/ });
  await t.rejects(run(t, 'sleep', ['60'], { deadlineMs: 20 }), { message: /waited 20 ms for sleep/ });
  const brief = start(t, 'echo', ['hello']);
  await t.rejects(brief.printed(/never/), { message: /ended without printing .*hello/ });
  // It ignores SIGTERM, and so does its child.
  const stubborn = start(t, 'sh', ['-c', `trap '' TERM; sleep 60 & echo child $!; wait; sleep 60`]);
  const [, child] = await stubborn.printed(/child (\d+)/);
  t.match(await stubborn.stop(10), { signal: 'SIGKILL', exitCode: 137 });
  await eventually('the end of the child', () => !isRunning(Number(child)));
});

t.test('a missing program is a skip with its name', async t => {
  t.same(needs('sh'), {});
  const { CI } = process.env;
  if (CI === 'true')
    t.throws(() => needs('sh', 'no-such-program'), { message: /needs no-such-program, and in CI/ });
  else t.same(needs('sh', 'no-such-program'), { skip: 'needs no-such-program' });
});

t.test('waiting has an end', async t => {
  await t.rejects(
    eventually('rain', () => false, 10),
    { message: 'waited 10 ms for rain: never true' },
  );
  await t.rejects(
    eventuallyEqual('rain', () => 1, 2, 10),
    { message: 'waited 10 ms for rain: 1 is not 2' },
  );
  await t.rejects(within('rain', new Promise(() => {}), 10), { message: 'waited 10 ms for rain' });
  let tries = 0;
  t.equal(await eventually('the third try', () => ++tries === 3 && tries), 3);
});

t.test('a metrics page', async t => {
  const page = [
    '# HELP smtplb_sessions_total Sessions',
    'smtplb_sessions_total{listener="mx",cause="C,\\"}"} 3',
    'smtplb_sessions_total{listener="sub",cause="S"} 4 1700000000',
    'smtplb_wait_bucket{le="+Inf"} +Inf',
    'up 1',
    '',
  ].join('\n');
  const metrics = parseMetrics(page);
  t.equal(metrics.value('smtplb_sessions_total', { listener: 'mx' }), 3);
  t.equal(metrics.value('smtplb_sessions_total', { cause: 'C,"}' }), 3);
  t.equal(metrics.sum('smtplb_sessions_total'), 7);
  t.equal(metrics.value('smtplb_wait_bucket', { le: '+Inf' }), Number.POSITIVE_INFINITY);
  t.equal(metrics.value('smtplb_sessions_total', { listener: 'none' }), undefined);
  t.throws(() => metrics.value('smtplb_sessions_total'), { message: /several/ });
  t.throws(() => parseMetrics('up{a=b} 1'), { message: /no label/ });
});

t.test("swaks's transcript", async t => {
  const text =
    '=== Connected.\n<-  220-a\n<-  220 b\n -> EHLO c\n<** 550 no\n ~> QUIT\n<~  221 bye\n**> X\n*** gone\nelse\n';
  const { greeting, replies, lines } = parseTranscript(text);
  t.same(greeting, ['220-a', '220 b']);
  t.same(replies, ['220 b', '550 no', '221 bye']);
  t.same(
    lines.filter(line => line.failed).map(line => line.text),
    ['550 no', 'X', 'gone'],
  );
  t.same(
    lines.filter(line => line.tls).map(line => line.text),
    ['QUIT', '221 bye'],
  );
  t.same(lines.map(line => line.by).join(), 'hint,backend,backend,client,backend,client,backend,client,hint');
});

t.test('swaks says when a backend refuses', needs('swaks'), async t => {
  const backend = await startScriptedBackend(t, dieAfter('554 5.7.1 not you\r\n'));
  const result = await swaks(t, { server: backend.address });
  t.not(result.exitCode, 0);
  t.same(result.greeting, ['554 5.7.1 not you']);
});

t.test('a test that is killed leaves no program and no file', async t => {
  const hanging = `
    import { start } from './spec/support/processes.ts';
    import { temporaryDirectory } from './spec/support/temporary-directory.ts';
    const owner = { teardown() {} };
    const path = await temporaryDirectory(owner);
    console.log('left', path, start(owner, 'sh', ['-c', 'sleep 60 & wait']).pid);
    setInterval(() => {}, 60_000);
  `;
  const test = start(t, process.execPath, ['--import', 'tsx', '--input-type=module', '-e', hanging]);
  const [, path = '', pid] = await test.printed(/left (\S+) (\d+)/);
  t.equal(existsSync(path), true);
  test.kill('SIGTERM');
  t.equal((await test.exited).signal, 'SIGTERM');
  t.equal(existsSync(path), false);
  await eventually('the end of its programs', () => !isRunning(Number(pid)));
});

/** A process that has ended counts as ended, also where nobody has asked for its exit status yet. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
