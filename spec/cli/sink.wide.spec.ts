import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import t from 'tap';
import { createDialogue, SINK_LINE_OCTETS, SINK_RECIPIENTS } from '../../lib/cli/sink/dialogue.ts';
import { createDotScanner } from '../../lib/cli/sink/dot-scanner.ts';
import { startSink } from '../../lib/cli/sink/sink.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { LOADER, moduleUrl } from '../support/checkout.ts';
import { eventually, eventuallyEqual, within } from '../support/eventually.ts';
import { loopback } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { cutAt, octetByOctet } from '../support/peer.ts';
import { smtpSource } from '../support/postfix-tools.ts';
import { run, start } from '../support/processes.ts';
import { bodyOf, connectClient } from '../support/smtp-client.ts';
import { swaks } from '../support/swaks.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

async function sinkFor(owner: Owner, idleTimeoutMs = 60_000) {
  const sink = await startSink({ listen: loopback(0), hostName: 'sink.example', idleTimeoutMs });
  owner.teardown(() => sink.stop());
  const { address } = sink;
  if (address.family === 'unix') throw new Error('not on a port');
  return { sink, address };
}

const ehloReply =
  '250-sink.example\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n' +
  '250-CHUNKING\r\n250-DSN\r\n250 SMTPUTF8\r\n';

/** What the client says, and the codes that must come back, in order. */
const transcripts: readonly {
  name: string;
  said: string;
  codes: string;
  octets?: number;
  messages?: number;
}[] = [
  {
    name: 'a message, pipelined, with dots that end nothing',
    said: 'EHLO a\r\nMAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<b@c> NOTIFY=NEVER\r\nDATA\r\n..\r\n.x\r\n\n.\n\r.\r\r\n.\r\nQUIT\r\n',
    codes: '250 250 250 354 250 221',
    octets: 19,
    messages: 1,
  },
  {
    name: 'an empty message, and one that holds a dot line in a chunk',
    said: 'HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@c>\r\nBDAT 7\r\nx\r\n.\r\nyBDAT 0 LAST\r\nNOOP\r\n',
    codes: '250 250 250 354 250 250 250 250 250 250',
    octets: 10,
    messages: 2,
  },
  {
    name: 'LMTP: an answer for each recipient',
    said: 'LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c>\r\nRCPT TO:<d@e>\r\nDATA\r\nx\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@c>\r\nRCPT TO:<d@e>\r\nBDAT 3 LAST\r\nabcNOOP\r\n',
    codes: '250 250 250 250 354 250 250 250 250 250 250 250 250',
    octets: 9,
    messages: 2,
  },
  {
    name: 'what is out of order, unknown or not spoken',
    said: 'DATA\r\nRCPT TO:<a@b>\r\nMAIL TO:<a@b>\r\nmail from:<a@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<>\r\nDATA\r\nRSET\r\nDATA x\r\nSTARTTLS\r\nGET / HTTP/1.1\r\n\r\nEHLO\r\nVRFY a\r\nHELP\r\nnoop x\r\n',
    codes: '503 503 501 250 503 501 503 250 501 502 500 500 501 252 214 250',
  },
  {
    name: 'a chunk nobody may send is taken off the wire all the same',
    said: 'BDAT 6\r\nQUIT\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 1\r\nxDATA\r\nRCPT TO:<a@b>\r\nRSET\r\n',
    codes: '503 250 250 250 503 503 250',
    octets: 7,
  },
  { name: 'a chunk of no length ends it', said: 'BDAT x\r\nNOOP\r\n', codes: '501' },
  {
    name: 'only CRLF ends a line',
    said: 'NOOP\nQUIT\r\rQUIT\n\r\nNOOP\r\n',
    codes: '500 250',
  },
  {
    name: 'a line may be so long and no longer',
    said: `NOOP ${'x'.repeat(SINK_LINE_OCTETS - 5)}\r\nNOOP ${'x'.repeat(SINK_LINE_OCTETS - 4)}\r\nNOOP ${'\r'.repeat(SINK_LINE_OCTETS)}\r\nNOOP\r\n`,
    codes: '250 500 500 250',
  },
];

function play(pieces: Iterable<Uint8Array>) {
  const tally = { messages: 0, recipients: 0, octets: 0 };
  const dialogue = createDialogue('sink.example', tally);
  let replies = '';
  for (const piece of pieces) replies += dialogue.feed(Buffer.from(piece));
  return { replies, tally, finished: dialogue.finished };
}

for (const { name, said, codes, octets = 0, messages = 0 } of transcripts) {
  t.test(`${name}, in one piece and cut everywhere`, async t => {
    const whole = play([Buffer.from(said, 'latin1')]);
    const final = whole.replies.split('\r\n').filter(line => /^\d{3}(?: |$)/.test(line));
    t.equal(final.map(line => line.slice(0, 3)).join(' '), codes);
    t.match(whole.tally, { octets, messages });
    t.same(play(octetByOctet(said)), whole, 'octet by octet');
    const differing = Array.from(said, (_, offset) => offset).filter(
      offset => JSON.stringify(play(cutAt(said, offset))) !== JSON.stringify(whole),
    );
    t.same(differing, [], 'cuts that make a difference');
  });
}

t.test('the end of DATA is where a search over the whole finds it, in any pieces', async t => {
  // Everything of length 7 over the alphabet that matters, after the CRLF that begins a message.
  const alphabet = '\r\n.x';
  const wrong: string[] = [];
  for (let number = 0; number < alphabet.length ** 7; number++) {
    const digits = number.toString(4).padStart(7, '0');
    const text = Array.from(digits, digit => alphabet[Number(digit)]).join('');
    const at = `\r\n${text}`.indexOf('\r\n.\r\n');
    const expected = at < 0 ? -1 : at + 3;
    const cut = 1 + (number % 6);
    if (endIn([text]) !== expected || endIn([text.slice(0, cut), text.slice(cut)]) !== expected)
      wrong.push(text);
    if (endIn(Array.from(text)) !== expected) wrong.push(text);
  }
  t.same(wrong.slice(0, 5), []);

  function endIn(pieces: readonly string[]): number {
    const scanner = createDotScanner();
    let before = 0;
    for (const piece of pieces) {
      const end = scanner.scan(Buffer.from(piece), 0);
      if (end >= 0) return before + end;
      before += piece.length;
    }
    return -1;
  }
});

t.test('recipients are bounded', async t => {
  const said = `MAIL FROM:<>\r\n${'RCPT TO:<a@b>\r\n'.repeat(SINK_RECIPIENTS + 1)}`;
  t.match(play([Buffer.from(said)]).replies, /250 2\.1\.5[^\n]*\n452 4\.5\.3[^\n]*\n$/);
});

t.test('over a socket: greeting, a message, byte by byte, and a clean close', async t => {
  const { sink, address } = await sinkFor(t);
  const client = await connectClient(t, address);
  await client.expect(/^220 sink\.example ESMTP/);
  await client.writePieces(octetByOctet('EHLO client.example\r\n'));
  t.equal((await client.expect(250)).raw, ehloReply);
  await client.deliver(bodyOf(1_000_000));
  await client.command('QUIT', 221);
  await client.expectClosed('fin');
  client.end();
  await eventually('the end', () => sink.stats().active === 0);
  t.match(sink.stats(), { connections: 1, messages: 1, recipients: 1 });
  t.ok(sink.stats().octets > 1_000_000);
});

t.test('who does not read its replies is not read either', async t => {
  const { address } = await sinkFor(t);
  const client = await connectClient(t, address, { record: 'digest' });
  client.pause();
  // More than the kernel's buffers hold on the way there, after those of the way back are full.
  const count = 3_000_000;
  const sent = client.write('NOOP\r\n'.repeat(count));
  await t.rejects(within('the sink to take it all', sent, 300), { message: /waited/ });
  client.resume();
  await sent;
  const expected = '220 sink.example ESMTP smtplb sink\r\n'.length + count * '250 2.0.0 Ok\r\n'.length;
  await eventuallyEqual('every reply', () => client.octets, expected);
});

t.test('an idle client hears 421, and so does everyone when the sink stops', async t => {
  const { address } = await sinkFor(t, 30);
  const idle = await connectClient(t, address);
  await idle.expect(220);
  await idle.expect(/^421 4\.4\.2 /);
  await idle.expectClosed('fin');
  idle.end();

  const { sink, address: other } = await sinkFor(t);
  const client = await connectClient(t, other);
  await client.expect(220);
  const stopped = sink.stop();
  await client.expect(/^421 4\.3\.2 /);
  await client.expectClosed('fin');
  client.end();
  await stopped;
  await t.rejects(connectClient(t, other), { code: 'ECONNREFUSED' });
});

t.test('a client that resets in the middle is no harm', async t => {
  const { sink, address } = await sinkFor(t);
  const client = await connectClient(t, address);
  await client.expect(220);
  client.reset();
  await eventually('the end', () => sink.stats().connections === 1 && sink.stats().active === 0);
  t.match(await (await connectClient(t, address)).reply(), { code: 220 });
});

t.test('on a Unix socket', async t => {
  const path = join(await temporaryDirectory(t), 'sink.sock');
  const sink = await startSink({ listen: { family: 'unix', path }, hostName: 'sink.example' });
  t.teardown(() => sink.stop());
  const client = await connectClient(t, sink.address);
  await client.expect(220);
  t.equal(formatAddress(sink.address), `unix:${path}`);
  client.end();
});

t.test('nodemailer', async t => {
  const { sink, address } = await sinkFor(t);
  const transport = createTransport({
    host: address.host,
    port: address.port,
    pool: true,
    maxConnections: 2,
  });
  t.teardown(() => transport.close());
  const message = { from: 'a@example.org', to: ['b@example.com', 'c@example.com'], text: '.\n..\nhello\n.' };
  const results = await Promise.all(Array.from({ length: 5 }, () => transport.sendMail(message)));
  t.ok(results.every(({ accepted }) => accepted.length === 2));
  t.match(sink.stats(), { messages: 5, recipients: 10 });
});

t.test('swaks', needs('swaks'), async t => {
  const { sink, address } = await sinkFor(t);
  for (const extra of [[], ['--pipeline'], ['--protocol', 'LMTP']]) {
    const { exitCode, replies, stdout } = await swaks(t, { server: address, extra });
    t.equal(exitCode, 0, stdout);
    t.equal(replies.length, 7);
  }
  t.equal(sink.stats().messages, 3);
});

t.test('smtp-source', needs('smtp-source'), async t => {
  const { sink, address } = await sinkFor(t);
  const load = {
    address,
    sessions: 20,
    messages: 1_000,
    length: 20_000,
    recipients: 2,
    keepConnections: true,
  };
  t.match(await smtpSource(t, load), { exitCode: 0, messages: 1_000 });
  t.match(sink.stats(), { messages: 1_000, recipients: 2_000 });
});

// As bin/ calls it.
const program = `
  import { sinkCommand } from ${JSON.stringify(moduleUrl('lib/cli/sink/command'))};
  process.exitCode = await sinkCommand(process.argv.slice(1));
`;
const sinkArguments = (...args: string[]) => [...LOADER, '--input-type=module', '-e', program, '--', ...args];

t.test('the command listens, says where, and ends on a signal with its totals', async t => {
  const sink = start(
    t,
    process.execPath,
    sinkArguments('--listen', '127.0.0.1:0', '--listen', '127.0.0.1:0', '--name', 'x.example'),
  );
  const [, port] = await sink.printed(/listening on 127\.0\.0\.1:(\d+)\n.*listening on 127\.0\.0\.1:\d+\n/);
  const client = await connectClient(t, loopback(Number(port)));
  await client.expect(/^220 x\.example /);
  await client.deliver('');
  sink.kill('SIGTERM');
  await client.expect(421);
  client.end();
  const { exitCode, stdout, stderr } = await sink.exited;
  t.match({ exitCode, stderr }, { exitCode: 0, stderr: '' });
  t.match(stdout, /:\d+ took 1 connections, 1 messages, 1 recipients, 3 octets\n/);
});

t.test('the command says what is wrong with its arguments', async t => {
  const { address } = await sinkFor(t);
  const taken = formatAddress(address);
  const cases: readonly { args: readonly string[]; status: number; said: RegExp }[] = [
    { args: [], status: 2, said: /--listen is needed/ },
    { args: ['--listen', 'nowhere'], status: 2, said: /"nowhere" is no address/ },
    { args: ['--listen', '127.0.0.1:0', '--name', 'a b'], status: 2, said: /no host name/ },
    { args: ['--listen', '127.0.0.1:0', '--loud'], status: 2, said: /--loud/ },
    {
      args: ['--listen', '127.0.0.1:0', '--listen', taken],
      status: 1,
      said: /cannot listen on .*EADDRINUSE/,
    },
    { args: ['--help'], status: 0, said: /^Usage: smtplb sink/ },
  ];
  // One process for all of them: starting one is what takes the time.
  const all = `
    import { sinkCommand } from ${JSON.stringify(moduleUrl('lib/cli/sink/command'))};
    process.stderr.write = text => process.stdout.write(text);
    for (const args of JSON.parse(process.argv[1])) console.log('status', await sinkCommand(args));
  `;
  const given = JSON.stringify(cases.map(({ args }) => args));
  const exit = await run(t, process.execPath, [...LOADER, '--input-type=module', '-e', all, '--', given]);
  t.equal(exit.exitCode, 0, exit.stderr);
  const parts = exit.stdout.split(/status (\d)\n/);
  cases.forEach(({ args, status, said }, at) => {
    t.match(parts[at * 2], said, args.join(' '));
    t.equal(parts[at * 2 + 1], `${status}`, args.join(' '));
  });
});
