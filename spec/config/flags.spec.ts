import t from 'tap';
import { formatFault } from '../../lib/config/faults.ts';
import { configFromFlags } from '../../lib/config/flags.ts';
import { loadConfigText } from '../../lib/config/load.ts';

const backend = ['127.0.0.1:2601', 'mx2.test:25'];

t.test('flags mean the same as a file', async t => {
  const flags = configFromFlags({ listen: ['127.0.0.1:2525', '[::1]:2525'], backend, admin: '127.0.0.1:0' });
  const file = loadConfigText(
    'admin: { listen: "127.0.0.1:0" }\n' +
      'listeners: [{ listen: ["127.0.0.1:2525", "[::1]:2525"], pool: default }]\n' +
      'pools: [{ backends: [{ address: "127.0.0.1:2601" }, { address: "mx2.test:25" }] }]\n',
    'f',
    {},
  );
  t.ok(flags.ok);
  t.ok(file.ok);
  if (flags.ok && file.ok) t.same(flags.config, file.config);
});

t.test('the admin listener has its default', async t => {
  const loaded = configFromFlags({ listen: ['127.0.0.1:2525'], backend });
  t.match(loaded, { ok: true, config: { admin: { listen: { host: '127.0.0.1', port: 8404 } } } });
  const off = configFromFlags({ listen: ['127.0.0.1:2525'], backend, admin: 'off' });
  t.ok(off.ok && off.config.admin.listen === undefined, 'and can be switched off');
});

t.test('faults name the flag', async t => {
  const faults = (flags: Parameters<typeof configFromFlags>[0]): string[] => {
    const loaded = configFromFlags(flags);
    return loaded.ok ? [] : loaded.faults.map(formatFault);
  };
  const listen = ['127.0.0.1:2525'];
  t.match(faults({ listen: ['2525'], backend }), [
    /^command line: --listen: found `2525`, expected an address/,
  ]);
  t.match(faults({ listen: [], backend }), [/^command line: --listen: missing, expected/]);
  t.match(faults({ listen, backend: [] }), [/^command line: --backend: missing, expected/]);
  t.match(faults({ listen, backend: ['mx1'] }), [/^command line: --backend: found `mx1`, expected/]);
  t.match(faults({ listen, backend, admin: 'x' }), [/^command line: --admin: found `x`, expected off, or/]);
  t.match(faults({ listen, backend: ['a.test:1', 'a.test:1'] }), [/^command line: --backend: .*`a.test:1`/]);
  t.match(faults({ listen: [...listen, ...listen], backend }), [/--listen: `127.0.0.1:2525` .* by --listen/]);
  t.match(faults({ listen, backend, admin: '127.0.0.1:2525' }), [/--admin: `127.0.0.1:2525` .* by --listen/]);
  t.equal(faults({ listen: ['x'], backend: ['y', 'z'], admin: 'w' }).length, 4, 'all at once');
});
