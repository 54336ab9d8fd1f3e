/**
 * The clients of the fail-over test, a process of its own because it lives in a network namespace of its own:
 * `fail-over-client.ts ADDRESS HELD`. A new session every 20 ms delivers one message; HELD sessions are kept open and
 * say NOOP. Prints one JSON line for whatever happens to them.
 */
import { connect } from 'node:net';
import { parseAddress } from '../../lib/core/address.ts';
import type { ClientEvent } from './virtual-address.ts';

const PERIOD_MS = 20;
const NOOP_MS = 250;
/** A client that hears nothing for so long gives up. */
const PATIENCE_MS = 5_000;

const address = parseAddress(process.argv[2] ?? '');
if (address === undefined || address.family === 'unix') throw new Error('an address is needed');
const to = { host: address.host, port: address.port };
const say = (event: Omit<ClientEvent, 'atMs'>): void => {
  process.stdout.write(`${JSON.stringify({ atMs: Date.now(), ...event })}\n`);
};

/** Says the lines one after the other, each when the reply to the one before is whole; `after` what then comes. */
function converse(lines: readonly string[], held: boolean): void {
  const socket = connect(to);
  let said = 0;
  let text = '';
  let isOver = false;
  let isHeld = false;
  const over = (how: string): void => {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    if (isHeld) say({ kind: 'lost', how, said });
    else if (!held && how !== 'done') say({ kind: 'failed', how, said });
    // Who has lost a session that was held opens the next.
    if (held) setTimeout(hold, NOOP_MS);
  };
  socket.setTimeout(PATIENCE_MS, () => over('silence'));
  socket.on('error', (error: NodeJS.ErrnoException) => over(error.code ?? error.message));
  socket.on('end', () => over('end'));
  socket.setEncoding('latin1').on('data', chunk => {
    text += chunk;
    if (!/^\d{3} [^\n]*\n$/m.test(text)) return;
    const code = text.slice(0, 3);
    text = '';
    if (code[0] !== '2' && code[0] !== '3') return over(`${code} from the other end`);
    if (said === 0 && !held) say({ kind: 'greeting' });
    if (said === 0 && held) {
      isHeld = true;
      say({ kind: 'held' });
    }
    if (lines[said - 1]?.endsWith('\r\n.')) say({ kind: 'accepted' });
    const line = lines[said++];
    if (line !== undefined) socket.write(`${line}\r\n`);
    else if (held) setTimeout(() => socket.write('NOOP\r\n'), NOOP_MS);
    else over('done');
  });
}

function deliver(): void {
  const envelope = ['MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.com>', 'DATA'];
  converse(['EHLO client.example', ...envelope, 'Subject: x\r\n\r\nx\r\n.', 'QUIT'], false);
}

function hold(): void {
  converse(['EHLO held.example'], true);
}

for (let held = Number(process.argv[3]); held > 0; held--) hold();
const delivering = setInterval(deliver, PERIOD_MS);
// Told to stop, it lets those that run finish; held ones are dropped with the process.
process.once('SIGTERM', () => {
  clearInterval(delivering);
  setTimeout(() => process.exit(0), PATIENCE_MS / 5);
});
