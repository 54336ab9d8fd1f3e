/** PROOF fault 13: a hundred reloads under load. No session fails, nothing grows. */
import { createServer } from 'node:net';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { post, status } from '../support/admin-api.ts';
import { COMMAND, megabytes, startCommand, type Usage } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress, loopback } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import { startSmtpSink } from '../support/postfix-tools.ts';
import { allAt, load } from './upgrading.ts';

const RELOADS = 100;
/** The runtime grows its heap while it is young; after these it must not grow any more. */
const WARM = 50;
const TOKEN = 'a-token';

t.test(
  `${RELOADS} reloads under load`,
  { timeout: 300_000, ...needs('smtp-source', 'smtp-sink') },
  async t => {
    const sinks = await Promise.all([1, 2, 3].map(() => startSmtpSink(t, { flags: ['-c'] })));
    const [one = '', two = '', three = ''] = sinks.map(({ address }) => formatAddress(address));
    const [mx, other, extra] = [await freeAddress(), await freeAddress(), await freeAddress()];
    const taken = createServer();
    await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve));
    t.teardown(() => taken.close());
    const bound = taken.address();
    const busy = loopback(typeof bound === 'object' && bound !== null ? bound.port : 0);

    const common = { admin: { token: TOKEN }, log: { access: false } };
    const listener = (name: string, pool: string, ...listen: readonly { family: 'ipv4' | 'ipv6' }[]) => ({
      name,
      pool,
      listen: listen.map(address => formatAddress(address as typeof mx)),
    });
    // Two that are as different as can be, but for the addresses that the load comes in through.
    const first = {
      ...common,
      listeners: [listener('mx', 'mx', mx), listener('other', 'mx', other)],
      pools: [
        {
          name: 'mx',
          backends: [
            { name: 'b1', address: one },
            { name: 'b2', address: two },
          ],
        },
      ],
    };
    const second = {
      ...common,
      log: { access: false, level: 'warn' },
      listeners: [
        listener('renamed', 'lists', mx),
        listener('mx', 'mx', other, extra),
        { ...listener('more', 'mx'), listen: '127.0.0.1:0', limits: { connections: 5 } },
      ],
      pools: [
        { name: 'mx', balance: 'round-robin', slowStart: '1s', backends: [{ name: 'b2', address: one }] },
        {
          name: 'lists',
          balance: 'source-hash',
          backends: [
            { name: 'b1', address: two },
            { name: 'b3', address: three, weight: 7 },
          ],
        },
      ],
    };
    const bad = [
      { ...second, listeners: [...second.listeners, listener('busy', 'mx', busy)] },
      { ...first, pools: [] },
    ];
    // A small nursery: else the runtime makes its own larger in steps, and they look like a leak.
    const [node, ...args] = COMMAND;
    const command = await startCommand(t, first, { command: [node, '--max-semi-space-size=2', ...args] });
    await status(command.admin);
    const atStart = command.usage();
    const loads = [mx, other].map(address => load(t, address, { sessions: 3, keepConnections: false }));
    loads.push(load(t, mx, { sessions: 2, keepConnections: true }));

    const usages: Usage[] = [];
    const outcomes = { ok: 0, refused: 0 };
    const startedAt = performance.now();
    for (let count = 1; count <= RELOADS; count++) {
      const before = await status(command.admin);
      const isBad = count % 10 === 0;
      const settings = isBad ? bad[(count / 10) % 2] : count % 2 === 0 ? first : second;
      await command.configure(settings ?? first);
      if (count % 3 === 0) {
        command.process.kill('SIGHUP');
        await eventually(
          'the reload',
          async () => (await status(command.admin)).lastReload?.at !== before.lastReload?.at,
        );
      } else {
        const { message, status: code } = await post(command.admin, 'reload', undefined, { token: TOKEN });
        if ((code === 200) === isBad) throw new Error(`reload ${count}: ${code} ${message}`);
      }
      const { generation, lastReload } = await status(command.admin);
      t.equal(lastReload?.ok, !isBad, `reload ${count}`);
      t.equal(generation, before.generation + (isBad ? 0 : 1));
      outcomes[isBad ? 'refused' : 'ok']++;
      usages.push(command.usage());
      if (loads.some(({ failures }) => failures.length > 0)) break;
      // Sessions begin with each of the configurations.
      const { accepted } = sum(await status(command.admin));
      await eventually(
        'ten sessions',
        async () => sum(await status(command.admin)).accepted >= accepted + 10,
      );
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    const delivered = await Promise.all(loads.map(one => one.stop()));
    t.same(
      loads.flatMap(({ failures }) => failures),
      [],
      'no session failed',
    );
    const messages = delivered.reduce((all, count) => all + count, 0);
    t.comment(
      `${outcomes.ok} reloads and ${outcomes.refused} refused ones in ${seconds.toFixed(1)} s, ${messages} messages`,
    );
    await allAt(sinks, messages);
    await command.idle();

    const warm = usages[WARM - 1]?.rss ?? Number.NaN;
    // The least of the last tenth: what is there until the next collection of garbage is not kept.
    const last = Math.min(...usages.slice(-RELOADS / 10).map(({ rss }) => rss));
    const tenths = usages.filter((_, at) => at % 10 === 9);
    t.comment(`memory after each tenth: ${tenths.map(({ rss }) => megabytes(rss)).join(', ')}`);
    t.comment(`descriptors after each tenth: ${tenths.map(({ descriptors }) => descriptors).join(', ')}`);
    t.comment(`memory grew by ${megabytes(last - warm)} over the last ${RELOADS - WARM}`);
    t.ok(last - warm < 20_000_000, 'memory does not go on growing');

    // At rest, with the configuration it began with, there is what there was.
    await command.configure(first);
    t.equal((await post(command.admin, 'reload', undefined, { token: TOKEN })).status, 200);
    await eventually('descriptors as at the start', () => {
      const { descriptors } = command.usage();
      if (descriptors > atStart.descriptors) throw new Error(`${descriptors}, not ${atStart.descriptors}`);
      return true;
    });
    t.comment(`descriptors at rest: ${command.usage().descriptors}, at the start ${atStart.descriptors}`);
    const document = await status(command.admin);
    t.equal(
      document.pools.flatMap(({ backends }) => backends).reduce((all, { active }) => all + active, 0),
      0,
    );
    const metrics = await command.metrics();
    t.equal(metrics.sum('smtplb_sessions_total', { cause: 'internal' }), 0);
    t.equal((await command.process.stop()).exitCode, 0);
  },
);

t.test('reloads that rename everything do not run out of rows', async t => {
  const command = await startCommand(t, {
    listeners: [{ name: 'mx', pool: 'mx' }],
    pools: [{ name: 'mx', backends: [{ address: '127.0.0.1:9' }] }],
    admin: { token: TOKEN },
  });
  // 30 listeners, 100 pools, 1,000 backends: a third of the rows there are, or more, each time.
  for (let count = 0; count < 15; count++) {
    const pools = Array.from({ length: 100 }, (_, at) => ({
      name: `p${count}-${at}`,
      backends: Array.from({ length: 10 }, (_, nth) => ({ name: `b${nth}`, address: '127.0.0.1:9' })),
    }));
    await command.configure({
      listeners: Array.from({ length: 30 }, (_, at) => ({
        name: `l${count}-${at}`,
        pool: `p${count}-${at}`,
      })),
      pools,
      admin: { token: TOKEN },
    });
    const { message, status: code } = await post(command.admin, 'reload', undefined, { token: TOKEN });
    if (code !== 200) throw new Error(`reload ${count}: ${message}`);
  }
  t.equal((await status(command.admin)).generation, 16);
  t.equal((await command.process.stop()).exitCode, 0);
});

function sum({ listeners }: Awaited<ReturnType<typeof status>>): { accepted: number } {
  return { accepted: listeners.reduce((all, { accepted }) => all + accepted, 0) };
}
