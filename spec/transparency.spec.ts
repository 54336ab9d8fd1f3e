import t from 'tap';
import { loadConfigText } from '../lib/config/load.ts';
import type { SeatKind } from '../lib/shard/seat.ts';
import { checkTransparency } from '../lib/transparency.ts';
import { whyNotTransparent } from '../lib/transport/linux/transparency.ts';

const FAST: readonly SeatKind[] = [{ transport: 'epoll', speaksTls: true, inThread: false }];
const WITHOUT_TLS: readonly SeatKind[] = [{ transport: 'epoll', speaksTls: false, inThread: false }];
const NET: readonly SeatKind[] = [{ transport: 'net', speaksTls: true, inThread: true }];

function config(pool: string, listener = '') {
  const loaded = loadConfigText(
    `listeners: [{ listen: "127.0.0.1:0", pool: mx, ${listener} }]\n` +
      `pools: [{ name: mx, ${pool}, backends: [{ address: "10.0.0.1:25" }] }]\n`,
    'f',
    {},
  );
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.faults));
  return loaded.config;
}

t.test('what transparent addresses need is said by name', async t => {
  const may = async () => null;
  await checkTransparency(config('identity: transparent'), FAST, may);
  await checkTransparency(config('identity: none'), NET, may);
  await checkTransparency(
    config(
      'identity: transparent, tls: { mode: starttls }',
      'tls: { mode: implicit, certificates: [{ cert: a, key: b }] }',
    ),
    FAST,
    may,
  );
  for (const [pool, listener, seats, why, words] of [
    ['identity: transparent', '', NET, may, /needs the transport io_uring or epoll/],
    ['identity: transparent, tls: { mode: starttls }', '', WITHOUT_TLS, may, /TLS towards the backends/],
    [
      'identity: transparent',
      'tls: { mode: implicit, certificates: [{ cert: a, key: b }] }',
      WITHOUT_TLS,
      may,
      /listener mx, whose TLS is served by net/,
    ],
    ['identity: transparent', '', FAST, async () => 'no capability', /cannot be had: no capability/],
  ] as const) {
    await t.rejects(checkTransparency(config(pool, listener), seats, why), { message: words });
  }
});

t.test('the kernel is asked', async t => {
  const { getuid } = process;
  const reason = await whyNotTransparent();
  t.equal(reason, getuid?.() === 0 ? null : 'it needs root, or the capability CAP_NET_ADMIN');
  const elsewhere = { platform: 'darwin', arch: 'x64', importKoffi: () => import('koffi') };
  t.match(await whyNotTransparent(elsewhere), /it needs Linux/);
});
