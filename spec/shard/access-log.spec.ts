import t from 'tap';
import { LOGGED_TEXT_OCTETS } from '../../lib/core/limits.ts';
import type { SessionRecord } from '../../lib/session/record.ts';
import { sessionLine } from '../../lib/shard/access-log.ts';

const RECORD: SessionRecord = {
  id: 'p-1',
  startedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  listener: 'mx',
  client: '192.0.2.1:4711',
  pool: 'mx',
  backend: 'mx1',
  retries: [{ backend: 'mx2', fault: 'refused' }],
  queueMs: 0,
  connectMs: 0.123456,
  greetingMs: 12.3456,
  handshakeMs: null,
  durationMs: 1_000.05,
  bytesFromClient: 2 ** 40,
  bytesFromBackend: 3,
  greetingCode: 220,
  hello: 'EHLO',
  helloName: 'mail.example.net',
  capabilities: ['SIZE'],
  tls: null,
  starttls: 'not-offered',
  cause: 'normal',
  phase: 'relaying',
  termination: '-R',
};

/** The text logged for a record. */
function logged(changes: Partial<SessionRecord> = {}): string {
  return sessionLine({ ...RECORD, ...changes }, 'test');
}

t.test('one line of JSON a session, with what an operator asks for', async t => {
  const line = logged();
  t.match(line, /^\{[^\n]*\}\n$/);
  const { time: _, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const { startedAtMs: __, ...record } = RECORD;
  t.strictSame(rest, {
    ...record,
    level: 'info',
    instance: 'test',
    msg: 'session',
    started: '2026-01-02T03:04:05.678Z',
    connectMs: 0.1,
    greetingMs: 12.3,
    durationMs: 1_000.1,
  });
});

t.test('what a client calls itself can neither end the line nor speak to a terminal, and is cut', async t => {
  const line = logged({ helloName: `x\r\n{"level":"error"}\x1b]0;t\x07\x9b31m${'y'.repeat(1_000)}` });
  t.equal(line.split('\n').length, 2, 'one line');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  t.notMatch(line.trimEnd(), /[\x00-\x1f\x7f-\x9f]/);
  const { helloName } = JSON.parse(line) as { helloName: string };
  t.match(helloName, /^x\\x0d\\x0a\{"level":"error"\}\\x1b/);
  t.ok(helloName.length <= 4 * LOGGED_TEXT_OCTETS);
});
