/** Taking a backend out and putting it back, while mail goes on. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { type Answered, post, status } from '../support/admin-api.ts';
import { eventually } from '../support/eventually.ts';
import { ABOVE_TRANSPORTS, type Instance, mx, startInstance } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { type ScriptedBackend, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const TOKEN = 'a-token';
const ADMIN = { admin: { listen: '127.0.0.1:0', token: TOKEN } };

/** Says a verb about a backend of pool mx, and fails where it is not done. */
async function say(instance: Instance, words: string, body?: unknown): Promise<Answered> {
  const [verb, backend] = words.split(' ');
  const answered = await post(instance.admin, `pools/mx/backends/${backend}/${verb}`, body, { token: TOKEN });
  if (answered.status !== 200) throw new Error(`${words}: ${answered.status} ${answered.message}`);
  return answered;
}

async function greeted(owner: Owner, instance: Instance, from?: string): Promise<SmtpClient> {
  const client = await connectClient(owner, instance.address(), from === undefined ? {} : { from });
  await client.expect(220);
  return client;
}

async function quit(...clients: readonly SmtpClient[]): Promise<void> {
  for (const client of clients) {
    await client.command('QUIT', 221);
    client.end();
  }
}

async function toData(client: SmtpClient): Promise<void> {
  await client.command('EHLO me.example', 250);
  await client.command('MAIL FROM:<from@example.org>', 250);
  await client.command('RCPT TO:<to@example.com>', 250);
  await client.command('DATA', 354);
}

function pair(owner: Owner): Promise<ScriptedBackend[]> {
  const backends = ['one', 'two'].map(name =>
    startScriptedBackend(owner, smtp({ hostName: `${name}.example` })),
  );
  return Promise.all(backends);
}

const addresses = (backends: readonly ScriptedBackend[]) =>
  backends.map(({ address }) => formatAddress(address));
const counts = (backends: readonly ScriptedBackend[]) =>
  backends.map(({ connections }) => connections.length);

for (const transport of ABOVE_TRANSPORTS) {
  t.test(`${transport}: drain takes no new sessions, and those that run finish`, async t => {
    const backends = await pair(t);
    const instance = await startInstance(t, transport, { ...mx(addresses(backends)), ...ADMIN });
    const clients = [await greeted(t, instance), await greeted(t, instance)];
    const slow = clients.find(client => client.received.includes('one.example')) as SmtpClient;
    await toData(slow);
    const { message } = await say(instance, 'drain b1');
    t.equal(message, 'mx/b1 is in drain; 1 session is running there');
    const others = [];
    for (let count = 0; count < 12; count++) others.push(await greeted(t, instance));
    t.same(counts(backends), [1, 13]);
    await slow.write('Subject: slow\r\n\r\nStill here.\r\n.\r\n');
    await slow.expect(250);
    await quit(...clients, ...others);
    await instance.idle();
    const [pool] = (await status(instance.admin)).pools;
    t.match(pool?.backends, [
      { admin: 'drain', active: 0 },
      { admin: 'ready', active: 0 },
    ]);
    t.equal((await instance.sessions(14)).filter(({ cause }) => cause !== 'normal').length, 0);

    t.match((await say(instance, 'ready b1')).message, /^mx\/b1 is ready; 0 sessions are running there$/);
    const back = [await greeted(t, instance), await greeted(t, instance)];
    t.same(counts(backends), [2, 14], 'back at once where there is no slowStart');
    await quit(...back);
  });

  t.test(
    `${transport}: maint --end-sessions ends what runs there, with a word where one may be said`,
    async t => {
      const backends = await pair(t);
      const instance = await startInstance(t, transport, { ...mx(addresses(backends)), ...ADMIN });
      await say(instance, 'drain b2');
      const [idle, half, busy] = [
        await greeted(t, instance),
        await greeted(t, instance),
        await greeted(t, instance),
      ];
      await half.write('EHLO ha');
      await toData(busy);
      await say(instance, 'ready b2');
      t.match(
        (await say(instance, 'maint b1')).message,
        /3 sessions are running there$/,
        'maint alone ends nobody',
      );
      t.same([idle.closing, half.closing, busy.closing], ['open', 'open', 'open']);
      const other = await greeted(t, instance);

      const { message } = await say(instance, 'maint b1', { endSessions: true });
      t.match(message, /^mx\/b1 is in maint, 3 sessions were ended; \d sessions? (?:is|are) running there$/);
      await idle.expectClosed('fin');
      t.match(idle.received.toString(), /\r\n421 4\.3\.2 lb\.example [^\r]+\r\n$/);
      idle.end();
      await busy.closed;
      await half.closed;
      t.notMatch(busy.received.toString(), /421/, 'not in the middle of DATA');
      half.end();
      busy.end();
      t.equal(other.closing, 'open', 'sessions elsewhere go on');
      await quit(other);
      await instance.idle();
      const records = await instance.sessions(4);
      t.equal(records.filter(({ cause }) => cause === 'maintenance').length, 3);
      t.match((await say(instance, 'maint b1', { endSessions: true })).message, /in maint; 0 sessions/);
    },
  );

  t.test(`${transport}: who is dialling when its backend goes into maint is served by another`, async t => {
    const silent = await startScriptedBackend(t, () => {});
    const good = await startScriptedBackend(t, smtp());
    const instance = await startInstance(t, transport, {
      ...mx([formatAddress(silent.address), formatAddress(good.address)]),
      ...ADMIN,
    });
    await say(instance, 'drain b2');
    const client = await connectClient(t, instance.address());
    await silent.connection();
    await say(instance, 'ready b2');
    await say(instance, 'maint b1', { endSessions: true });
    await client.expect(220);
    await quit(client);
    await instance.idle();
    t.match(await instance.sessions(1), [{ cause: 'normal', backend: 'b2' }]);
  });

  t.test(`${transport}: what comes back with slowStart gets its share little by little`, async t => {
    const backends = await pair(t);
    const slowStartMs = 2_000;
    const pool = { balance: 'round-robin', slowStart: `${slowStartMs}ms` };
    const instance = await startInstance(t, transport, {
      ...mx(addresses(backends), pool),
      ...ADMIN,
      shards: 1, // each goes round by itself
    });
    await say(instance, 'drain b1');
    await say(instance, 'ready b1');
    const readyAt = performance.now();
    /** Of two with the same weight, when one is worth so much of it. */
    const shareAfter = (ms: number) => {
      const worth = Math.min(1, Math.max(ms / slowStartMs, 0.05));
      return worth / (1 + worth);
    };
    const told: string[] = [];
    for (const untilMs of [500, 1_000, 1_500, 2_000]) {
      const before = counts(backends);
      let [least, most] = [0, 0];
      for (let nowMs = performance.now() - readyAt; nowMs < untilMs; ) {
        // It was chosen at some moment between these two, however long that was; the verb itself took a moment, too.
        least += shareAfter(nowMs - 100);
        await quit(await greeted(t, instance));
        nowMs = performance.now() - readyAt;
        most += shareAfter(nowMs + 100);
      }
      const [one = 0, two = 0] = counts(backends).map((count, at) => count - (before[at] ?? 0));
      told.push(`${one} of ${one + two}, deserved ${least.toFixed(1)} to ${most.toFixed(1)}`);
      t.ok(one >= least - 2 && one <= most + 2, `by ${untilMs} ms: ${told.at(-1)}`);
    }
    t.comment(`what it got in each half second: ${told.join('; ')}`);
    await eventually('its full weight', () => performance.now() - readyAt > slowStartMs + 100);
    const before = counts(backends);
    for (let count = 0; count < 40; count++) await quit(await greeted(t, instance));
    const last = counts(backends).map((count, at) => count - (before[at] ?? 0));
    t.ok(
      last.every(count => Math.abs(count - 20) <= 1),
      `its own share in the end: ${last.join(' and ')}`,
    );
    await instance.idle();
  });

  t.test(`${transport}: weights count from the moment they are said`, async t => {
    const backends = await pair(t);
    const instance = await startInstance(t, transport, {
      ...mx(addresses(backends), { balance: 'round-robin' }),
      ...ADMIN,
      shards: 1, // each goes round by itself
    });
    const shares: number[][] = [];
    const round = async () => {
      const before = counts(backends);
      for (let count = 0; count < 40; count++) await quit(await greeted(t, instance));
      shares.push(counts(backends).map((count, at) => count - (before[at] ?? 0)));
    };
    await round();
    t.match((await say(instance, 'weight b1', { weight: 3 })).message, 'mx/b1 has weight 3');
    await round();
    t.match((await say(instance, 'weight b1', { weight: null })).message, 'mx/b1 has its configured weight');
    await round();
    t.comment(`of 40: ${shares.map(share => share.join(' and ')).join('; ')}`);
    t.same(shares, [
      [20, 20],
      [30, 10],
      [20, 20],
    ]);
  });

  t.test(`${transport}: all drained: 421 at once, for who comes and for who waits`, async t => {
    const backends = await pair(t);
    const limited = addresses(backends).map(address => ({ address, maxConnections: 1 }));
    const instance = await startInstance(t, transport, {
      ...mx(limited, { queue: { size: 10, timeout: '30s' } }),
      ...ADMIN,
      shards: 1, // who waits at one of them is served in turn
    });
    const served = [await greeted(t, instance), await greeted(t, instance)];
    const waiting = [
      await connectClient(t, instance.address()),
      await connectClient(t, instance.address()),
      await connectClient(t, instance.address()),
    ];
    await eventually(
      'three to wait',
      async () => (await instance.metrics()).sum('smtplb_queue_length') === 3,
    );
    await say(instance, 'drain b1');
    t.ok(
      waiting.every(({ closing }) => closing === 'open'),
      'one backend is left to wait for',
    );
    const [first] = waiting.splice(0, 1);
    const free = served.findIndex(client => client.received.includes('two.example'));
    await quit(...served.splice(free, 1));
    await first?.expect(/^220 two\.example/);

    const drainedAt = performance.now();
    await say(instance, 'maint b2');
    for (const client of waiting) await client.expect(/^421 4\.3\.2 lb\.example /);
    const late = await connectClient(t, instance.address());
    await late.expect(/^421 4\.3\.2 lb\.example /);
    const took = performance.now() - drainedAt;
    t.ok(took < 10_000, `421 after ${took.toFixed(0)} ms, and not when half a minute in the queue is over`);
    for (const client of [...waiting, late]) client.end();
    await quit(...served, first as SmtpClient);
    await instance.idle();
    const records = await instance.sessions(6);
    t.equal(records.filter(({ cause }) => cause === 'no-backend').length, 3);
  });

  t.test(`${transport}: the operator's words survive a reload`, async t => {
    const backends = await pair(t);
    const settings = { ...mx(addresses(backends)), ...ADMIN };
    const instance = await startInstance(t, transport, settings);
    await say(instance, 'drain b1');
    await say(instance, 'weight b2', { weight: 9 });
    const { status: answer } = await post(instance.admin, 'reload', undefined, { token: TOKEN });
    t.equal(answer, 200);
    // Said while a reload is under way: it must not get lost between the two.
    const reloading = post(instance.admin, 'reload', undefined, { token: TOKEN });
    const said = say(instance, 'maint b1');
    await Promise.all([reloading, said]);
    const document = await status(instance.admin);
    t.equal(document.generation, 3);
    t.match(document.pools[0]?.backends, [{ admin: 'maint' }, { weight: 9, configuredWeight: 1 }]);
    const clients = [await greeted(t, instance), await greeted(t, instance)];
    t.same(counts(backends), [0, 2]);
    await quit(...clients);
  });

  t.test(`${transport}: what is said in the middle of a reload holds`, async t => {
    const backends = await pair(t);
    const settings = { ...mx(addresses(backends)), ...ADMIN };
    const instance = await startInstance(t, transport, settings);
    const directory = await temporaryDirectory(t);
    // 240 sockets to open: the reload takes a while, and something is said at each step of it.
    const listeners = Array.from({ length: 30 }, (_, at) => ({
      name: `more${at}`,
      pool: 'mx',
      listen: Array.from({ length: 8 }, (_, nth) => `unix:${directory}/${at}-${nth}`),
    }));
    instance.configure({ ...settings, listeners: [...settings.listeners, ...listeners] });
    const reloaded = instance.server.reload();
    let over = false;
    void reloaded.then(() => {
      over = true;
    });
    let said = 0;
    for (; !over; said++) await say(instance, `${said % 2 === 0 ? 'drain' : 'ready'} b1`);
    t.equal((await reloaded).ok, true);
    t.comment(`${said} words during the reload`);
    t.ok(said > 0);
    const expected = said % 2 === 0 ? 'ready' : 'drain';
    t.equal((await status(instance.admin)).pools[0]?.backends[0]?.admin, expected);
  });
}
