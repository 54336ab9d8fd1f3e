import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Outcome } from '../../lib/health/outcome.ts';
import { LEAVE_MS, startProbe } from '../../lib/health/probe.ts';
import { blackHole } from '../support/black-hole.ts';
import { eventually, within } from '../support/eventually.ts';
import { refusingAddress } from '../support/free-port.ts';
import {
  type BackendConnection,
  closeAtOnce,
  dribble,
  type Script,
  smtp,
  startScriptedBackend,
} from '../support/scripted-backend.ts';
import { checked, probed } from './probing.ts';

/** Greets, then answers each line from a list of patterns; the first that matches wins. `null` closes, QUIT is known. */
function answering(greeting: string, ...answers: readonly [RegExp, string | null][]): Script {
  return async connection => {
    await connection.write(greeting);
    for (;;) {
      const line = await connection.until('\r\n');
      const answer = [...answers, [/^QUIT/, '221 bye\r\n'] as const].find(([pattern]) =>
        pattern.test(line),
      )?.[1];
      if (answer === null) return connection.destroy();
      await connection.write(answer ?? '250 ok\r\n');
      if (/^QUIT/.test(line)) return connection.end();
    }
  };
}

/** Says this, and nothing more until the check leaves. */
function saying(...pieces: string[]): Script {
  return async connection => {
    await connection.writePieces(pieces);
    await connection.closed;
    connection.destroy();
  };
}

const told = (connection: BackendConnection | undefined): string =>
  connection?.received.toString('latin1') ?? '';

/** Cases that end within their timeout of their own accord: what the backend does, and what the operator is told. */
const cases: readonly [string, Script, Outcome, RegExp, string][] = [
  ['serves', smtp(), 'ok', /^greeted, answered EHLO$/, 'EHLO probe.example\r\nQUIT\r\n'],
  [
    'greets in many lines',
    smtp({ greeting: '220-one\r\n220-two\r\n220 three\r\n' }),
    'ok',
    /./,
    'EHLO probe.example\r\nQUIT\r\n',
  ],
  ['greets octet by octet', dribbling(), 'ok', /./, 'EHLO probe.example\r\nQUIT\r\n'],
  ['closes at once', closeAtOnce, 'closed', /before the end of the greeting.*compare the identity/, ''],
  ['closes within the greeting', dieWith('220-mx\r\n', 'close'), 'closed', /so far: "220 mx"/, ''],
  [
    'resets',
    dieWith('220-mx\r\n', 'reset'),
    'reset',
    /^(reset the connection before the end of the greeting|the connection was reset at)/,
    '',
  ],
  [
    'speaks SSH',
    saying('SSH-2.0-OpenSSH_9.2p1\r\n'),
    'not-smtp',
    /sent "SSH-2.0-OpenSSH_9.2p1" for the greeting \(syntax\)/,
    '',
  ],
  ['speaks POP', saying('+OK ready\r\n'), 'not-smtp', /"\+OK ready"/, ''],
  ['greets with 299', saying('299 mx\r\n'), 'not-smtp', /no SMTP server says/, ''],
  ['greets without CR', saying('220 mx\n'), 'not-smtp', /bare-newline/, ''],
  ['greets without end', saying('220-mx\r\n'.repeat(5_000)), 'not-smtp', /reply-oversize/, ''],
  [
    'is busy',
    saying('421 4.7.0 too many \x1b[31mconnections\r\n'),
    'busy',
    /^greeted with "421 4.7.0 too many \\x1b\[31mconnections"$/,
    '',
  ],
  ['rejects', saying('554 5.7.1 not you\r\n'), 'rejecting', /^greeted with "554 5.7.1 not you"$/, ''],
  [
    'breaks off',
    saying('220-mx\r\n', '52', '1 5.7.1 blocked\r\n'),
    'rejecting',
    /broke its 220 greeting off with "521 5.7.1 blocked"/,
    '',
  ],
  [
    'refuses EHLO',
    answering('220 mx\r\n', [/^EHLO/, '504 5.5.2 need a name\r\n']),
    'bad-ehlo',
    /answered EHLO probe.example with "504 5.5.2 need a name"/,
    'EHLO probe.example\r\nQUIT\r\n',
  ],
  [
    'knows no EHLO reply',
    answering('220 mx\r\n', [/^EHLO/, '250-mx\r\nHELP\r\n']),
    'bad-ehlo',
    /\(syntax\)/,
    'EHLO probe.example\r\nQUIT\r\n',
  ],
  ['dies at EHLO', smtp({ dieAt: 'ehlo' }), 'closed', /the reply to EHLO/, 'EHLO probe.example\r\n'],
  [
    'resets at EHLO',
    smtp({ dieAt: 'ehlo', how: 'reset' }),
    'reset',
    /the reply to EHLO/,
    'EHLO probe.example\r\n',
  ],
];

function dribbling(): Script {
  return async connection => {
    await dribble('220-mx\r\n220 mx\r\n')(connection);
    await connection.until('EHLO probe.example\r\n');
    await dribble('250-mx\r\n250 HELP\r\n')(connection);
    await connection.until('QUIT\r\n');
    await dribble('221 bye\r\n')(connection);
    connection.end();
  };
}

function dieWith(bytes: string, how: 'close' | 'reset'): Script {
  return async connection => {
    await connection.write(bytes);
    if (how === 'reset') connection.reset();
    else connection.destroy();
  };
}

for (const [what, script, outcome, detail, heard] of cases) {
  t.test(`a backend that ${what}`, async t => {
    const backend = await startScriptedBackend(t, script);
    const found = await probed(backend.address);
    t.equal(found.outcome, outcome, found.detail);
    t.match(found.detail, detail);
    t.equal(told(backend.connections[0]), heard, 'and it heard no more than that');
    t.equal(backend.connections.length, 1);
    t.ok(found.durationMs > 0, `${found.durationMs} ms`);
    await backend.idle();
  });
}

t.test('nobody listens', async t => {
  t.match(await probed(await refusingAddress()), {
    outcome: 'refused',
    detail: /^nothing listens at 127\..* \(ECONNREFUSED\)$/,
  });
  const path = join(t.testdir(), 'none.sock');
  t.match(await probed({ family: 'unix', path }), {
    outcome: 'refused',
    detail: /^there is no socket at .*none.sock/,
  });
});

t.test('no way there', async t => {
  // 240.0.0.0/4 is reserved: Linux has no route for it, and nothing leaves the machine.
  const found = await probed({ family: 'ipv4', host: '255.255.255.255', port: 25 }, { timeoutMs: 500 });
  t.match(found.outcome, /^(unreachable|failed)$/, found.detail);
});

t.test('each step that takes too long is named', async t => {
  // All at once; a busy machine comes to each step in time, and finds out in time that it was the last.
  const slow = { timeoutMs: 1_000 };
  t.match(await probed(await blackHole(t), slow), {
    outcome: 'timeout',
    detail: /no answer to the connect in time/,
  });
  const steps: [Script, RegExp][] = [
    [saying(), /no end of the greeting in time; a backend that expects a PROXY header/],
    [
      saying('220-mx\r\n'),
      /no end of the greeting in time \(so far: "220 mx"\); postscreen pauses so: raise check.timeout/,
    ],
    [saying('220 mx\r\n'), /no end of the reply to EHLO in time$/],
    [
      answering('220 mx\r\n', [/^EHLO/, '250-mx\r\n']),
      /no end of the reply to EHLO in time \(so far: "250 mx"\)$/,
    ],
    [answering('220 mx\r\n', [/^MAIL/, '']), /no end of the reply to MAIL in time$/],
    [answering('220 mx\r\n', [/^RSET/, '']), /no end of the reply to RSET in time$/],
  ];
  await Promise.all(
    steps.map(async ([script, detail]) => {
      const backend = await startScriptedBackend(t, script);
      const probe = startProbe(
        checked(backend.address, { ...slow, mail: { from: '', to: 'x@example.net' } }),
      );
      const found = await probe.result;
      t.equal(found?.outcome, 'timeout');
      t.match(found?.detail, detail);
      await within('the end', probe.closed);
    }),
  );
});

t.test('a backend that is late is still told QUIT', async t => {
  const backend = await startScriptedBackend(t, answering('220 mx\r\n', [/^EHLO/, '']));
  await probed(backend.address, { timeoutMs: 500 });
  t.equal(told(backend.connections[0]), 'EHLO probe.example\r\nQUIT\r\n');
  t.equal(backend.connections[0]?.closing, 'fin', 'and sees an orderly end');
});

t.test('a transaction is begun and reset', async t => {
  const mail = { from: 'probe@example.org', to: 'box@example.net' };
  const heard =
    'EHLO probe.example\r\nMAIL FROM:<probe@example.org>\r\nRCPT TO:<box@example.net>\r\nRSET\r\nQUIT\r\n';
  const good = await startScriptedBackend(t, smtp());
  t.match(await probed(good.address, { mail }), { outcome: 'ok', detail: /took MAIL and RCPT/ });
  t.equal(told(good.connections[0]), heard);
  await good.idle();

  const picky = await startScriptedBackend(
    t,
    answering('220 mx\r\n', [/^RCPT/, '550 5.1.1 no such box\r\n']),
  );
  t.match(await probed(picky.address, { mail }), {
    outcome: 'mail-refused',
    detail: 'answered RCPT TO:<box@example.net> with "550 5.1.1 no such box"',
  });
  t.equal(told(picky.connections[0]), heard, 'reset all the same');

  const full = await startScriptedBackend(t, answering('220 mx\r\n', [/^MAIL/, '452 4.3.1 disk full\r\n']));
  t.match(await probed(full.address, { mail: { ...mail, from: '' } }), {
    outcome: 'mail-refused',
    detail: /^answered MAIL FROM:<> with "452/,
  });
  t.equal(told(full.connections[0]), 'EHLO probe.example\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n');
});

t.test('a TCP check connects and leaves without a reset', async t => {
  const backend = await startScriptedBackend(t, async connection => {
    await connection.write('220 mx\r\n');
    await connection.closed;
    connection.end();
  });
  t.match(await probed(backend.address, { type: 'tcp' }), { outcome: 'ok', detail: 'took the connection' });
  t.equal(backend.connections[0]?.closing, 'fin');
  t.equal(told(backend.connections[0]), '');
  await backend.idle();
});

t.test('a backend on a Unix socket', async t => {
  const path = join(t.testdir(), 'mx.sock');
  const server = createServer(socket => {
    socket.write('220 mx\r\n');
    socket.on('data', data => socket.write(/QUIT/.test(String(data)) ? '221 bye\r\n' : '250 mx\r\n'));
  });
  await new Promise<void>(resolve => server.listen(path, resolve));
  t.teardown(() => server.close());
  t.equal((await probed({ family: 'unix', path })).outcome, 'ok');
});

t.test('a flood is not kept, and ends with the check', async t => {
  const chunk = Buffer.from('250 more\r\n'.repeat(6_400));
  const backend = await startScriptedBackend(t, async connection => {
    await connection.write('220 mx\r\n');
    for (let count = 0; count < 2_000 && connection.closing === 'open'; count++)
      await connection.write(chunk);
    connection.destroy();
  });
  const before = process.memoryUsage().rss;
  const found = await probed(backend.address);
  const grown = process.memoryUsage().rss - before;
  t.equal(found.outcome, 'ok', 'EHLO had its 250');
  t.comment(`${(grown / 1e6).toFixed(1)} MB`);
  t.ok(grown < 100e6);
  await backend.stop();
});

t.test('what is left unread does not turn the close into a reset', async t => {
  for (const greeting of ['HTTP/1.1 400 Bad Request\r\n', '421 busy\r\n', '220 mx\r\n']) {
    const backend = await startScriptedBackend(t, async connection => {
      await connection.write(greeting);
      await connection.write('250 and more\r\n'.repeat(40_000));
      await connection.closed;
      connection.end();
    });
    const startedAt = performance.now();
    await probed(backend.address);
    const tookMs = performance.now() - startedAt;
    t.equal(backend.connections[0]?.closing, 'fin', greeting.trim());
    t.ok(tookMs < LEAVE_MS, `${tookMs.toFixed(0)} ms: it was not left to the deadline`);
    await backend.idle();
  }
});

t.test('a probe that is cancelled takes leave and says nothing', async t => {
  const backend = await startScriptedBackend(t, answering('220 mx\r\n', [/^EHLO/, '']));
  const probe = startProbe(checked(backend.address, { timeoutMs: 60_000 }));
  const connection = await backend.connection();
  await eventually('EHLO', () => told(connection) !== '');
  probe.cancel();
  t.equal(await within('no result', probe.result), null);
  await within('its end', probe.closed);
  await backend.idle();

  const dialling = startProbe(checked(await blackHole(t), { timeoutMs: 60_000 }));
  dialling.cancel();
  t.equal(await within('no result', dialling.result), null);
  await within('its end', dialling.closed);
});

t.test('a check that was held up on this side blames nobody', async t => {
  const backend = await startScriptedBackend(t, saying());
  let nowMs = 0;
  const probe = startProbe(checked(backend.address, { timeoutMs: 50 }), () => {
    nowMs += 1_000;
    return nowMs;
  });
  t.match(await probe.result, { outcome: 'failed', detail: /held up/ });
  await probe.closed;
});

t.test(
  'a backend that says of an EHLO that it came too early has taken the PROXY header for a command',
  async t => {
    type Answer = [RegExp, string | null];
    const read: Answer = [/^PROXY/, ''];
    const unknown: Answer = [/^PROXY/, '500 5.5.2 Error: command not recognized\r\n'];
    const haste: Answer = [/^EHLO/, '554 5.5.0 Error: SMTP protocol synchronization\r\n'];
    const ill: Answer = [/^EHLO/, '500 5.5.2 Error: command not recognized\r\n'];
    for (const [outcome, header, ehlo] of [
      ['proxy-not-understood', unknown, haste],
      ['proxy-not-understood', read, haste],
      ['bad-ehlo', read, ill],
    ] as const) {
      const script = answering('220 mx\r\n', header, ehlo, [/^NOOP/, null]);
      const backend = await startScriptedBackend(t, script);
      const found = await probed(backend.address, { identity: 'proxy-v1' });
      t.equal(found.outcome, outcome, found.detail);
      await backend.idle();
    }
  },
);
