import t from 'tap';
import { loadEpoll } from '../../../lib/transport/epoll/load.ts';
import type { Machine } from '../../../lib/transport/linux/foreign.ts';

const koffi = () => import('koffi');
const machine = (differs: Partial<Machine>): Machine => ({
  platform: 'linux',
  arch: process.arch,
  importKoffi: koffi,
  ...differs,
});

t.test('where it can be had it works, and where not a sentence says why', async t => {
  const here = await loadEpoll();
  t.equal(here.reason, undefined);
  if (here.reason !== undefined) return;
  const transport = here.create(() => {});
  t.ok(transport.wakeDescriptor > 2);
  transport.close();
  t.doesNotThrow(transport.close, 'twice');

  const reasonFor = async (differs: Partial<Machine>) => (await loadEpoll(machine(differs))).reason;
  t.equal(await reasonFor({ platform: 'darwin' }), 'the epoll transport needs Linux, and this is darwin');
  t.match(await reasonFor({ arch: 's390x' }), /knows x64 and arm64 processors, and this is s390x/);
  t.equal(
    await reasonFor({ importKoffi: () => Promise.reject(new Error("Cannot find package 'koffi'\nat x")) }),
    "the epoll transport needs the package koffi, which cannot be loaded: Cannot find package 'koffi'",
  );
  const real = await koffi();
  const withLoad = (load: typeof real.load) => ({ ...real, load }) as typeof real;
  t.match(
    await reasonFor({
      importKoffi: async () =>
        withLoad(name => {
          throw new Error(`no ${name}`);
        }),
    }),
    /cannot be used here: no C library: no libc\.so\.6; no libc\.musl-/,
  );
  // A sandbox that forbids the call, as seccomp does.
  const forbidding = withLoad(((name: string) => {
    const library = real.load(name);
    const func = (symbol: string, ...rest: [string, string[]]) =>
      symbol === 'epoll_create1'
        ? () => {
            real.errno(1);
            return -1;
          }
        : library.func(symbol, ...rest);
    return { func };
  }) as unknown as typeof real.load);
  t.match(
    await reasonFor({ importKoffi: async () => forbidding }),
    /cannot be used here: epoll_create1 EPERM/,
  );
});
