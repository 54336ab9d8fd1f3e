import t from 'tap';
import type { BackendStatus, StatusDocument } from '../../lib/admin/status.ts';
import { ratesBetween } from '../../lib/cli/top/rates.ts';
import { bytesText, screenLines } from '../../lib/cli/top/screen.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { COMMAND } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import { start } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const BACKEND: BackendStatus = {
  name: 'b1',
  address: '192.0.2.1:25',
  weight: 1,
  configuredWeight: 1,
  backup: false,
  admin: 'ready',
  adminScope: null,
  weightScope: null,
  activeElsewhere: null,
  health: 'up',
  check: null,
  ejectedForSeconds: null,
  failuresInARow: 0,
  active: 3,
  limit: null,
  warm: null,
  picks: 0,
  failures: 0,
};

function status(
  second: number,
  accepted: number,
  backends: readonly BackendStatus[],
  message = '',
): StatusDocument {
  const listener = { name: 'mx', pool: 'mx', addresses: ['192.0.2.9:25'], active: 3, limit: 500, accepted };
  const bytes = { bytesFromClients: accepted * 1_000, bytesFromBackends: 0, starttlsUsed: 0, ended: {} };
  return {
    instance: 'edge-1',
    cluster: null,
    version: '1.2.3',
    startedAt: new Date(0).toISOString(),
    now: new Date(second * 1_000).toISOString(),
    state: 'running',
    generation: 4,
    shards: [{ shard: 0, transport: 'net', state: 'running', sessions: 3, restarts: 0, silentMs: 20 }],
    lastReload: message === '' ? null : { at: 'then', ok: false, message },
    listeners: [{ ...listener, ...bytes }],
    pools: [{ name: 'mx', balance: 'x', identity: 'none', queued: 2, queueSize: 9, retries: 0, backends }],
  };
}

function screen(before: StatusDocument | null, after: StatusDocument, columns = 120, rows = 40) {
  const state = { status: after, rates: ratesBetween(before, after), selected: 0, message: '' };
  return screenLines(state, columns, rows);
}

t.test('rates are differences over the time between; a restart and a clock set back are none', async t => {
  const [first, second] = [status(10, 100, [BACKEND]), status(12, 160, [{ ...BACKEND, picks: 8 }])];
  t.equal(ratesBetween(first, second).listener('mx').sessions, 30);
  t.equal(ratesBetween(first, second).backend('mx', 'b1').picks, 4);
  t.equal(ratesBetween(null, second).listener('mx').sessions, 0, 'the first reading');
  t.equal(ratesBetween(status(10, 900, [BACKEND]), second).listener('mx').sessions, 0, 'restarted');
  t.equal(ratesBetween(status(13, 100, [BACKEND]), second).listener('mx').sessions, 0, 'set back');
  t.equal(ratesBetween(first, second).listener('other').sessions, 0);
});

t.test(
  'the screen says what is wrong, fits its size, and shows nothing of a backend that a terminal would obey',
  async t => {
    const check = {
      type: 'smtp',
      outcome: 'not-smtp',
      detail: 'it said \u001b]0;owned\u0007\u009b31m',
      durationMs: 3,
      consecutive: 1,
      secondsSinceChange: 2,
      certificateDaysLeft: null,
      checkers: null,
      isCheckedHere: true,
    };
    const sick: BackendStatus = {
      ...BACKEND,
      name: 'b2',
      health: 'down',
      admin: 'drain',
      ejectedForSeconds: 7,
      check,
    };
    const lines = screen(null, status(1, 5, [BACKEND, sick], 'mx.yaml:3:1: no\nmore'));
    const text = lines.map(line => line.text).join('\n');
    t.match(text, /LAST RELOAD FAILED at then: mx\.yaml:3:1: no$/m);
    t.match(text, /2 OF AT MOST 9 SESSIONS WAIT/);
    t.match(text, /mx\/b2 +down drain failing\(7s\)/);
    t.equal(lines.find(line => line.text.includes('mx/b2'))?.look, 'bad');
    t.equal(lines.find(line => line.text.includes('mx/b1'))?.look, 'selected');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    t.notMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    const small = screen(null, status(1, 5, Array(50).fill(BACKEND)), 40, 10);
    t.equal(small.length, 10);
    t.ok(small.every(line => line.text.length <= 40));
  },
);

t.test('bytes are short to read', async t => {
  t.same([0, 999, 1_000, 1_530_000, 2e12].map(bytesText), ['0 B', '999 B', '1.0 kB', '1.5 MB', '2000.0 GB']);
});

t.test(
  'in a real terminal: live, takes a verb, and leaves the terminal as it was',
  needs('script'),
  async t => {
    const backend = await startScriptedBackend(t, smtp());
    const settings = mx([formatAddress(backend.address)]);
    const socket = `${await temporaryDirectory(t)}/admin.sock`;
    const instance = await startInstance(t, 'net', { ...settings, admin: { listen: '127.0.0.1:0', socket } });
    const command = `${COMMAND.join(' ')} top --interval 0.1 --admin unix:${socket}`;
    const top = start(t, 'script', ['-qfec', command, '/dev/null'], { interactive: true });
    await top.printed(/mx\/b1/);
    top.write('d');
    await top.printed(/mx\/b1 is in drain/);
    await eventually('the drain', async () => (await instance.metrics()).value('smtplb_backend_ready') === 0);
    top.write('q');
    t.match(await top.exited, { exitCode: 0 });
    t.ok(
      top.stdout.includes('\u001b[?1049l') && top.stdout.includes('\u001b[?25h'),
      'screen and cursor are back',
    );
  },
);
