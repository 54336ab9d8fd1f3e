// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of the configuration look like that
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { ConfigFault } from '../../lib/config/faults.ts';
import { formatFault } from '../../lib/config/faults.ts';
import type { Loaded } from '../../lib/config/load.ts';
import { loadConfigFile, loadConfigText } from '../../lib/config/load.ts';
import { CONFIG_FILE_OCTETS, MAX_BACKENDS } from '../../lib/core/limits.ts';
import { badFiles } from './bad-files.ts';
import { badListeners } from './bad-listeners.ts';
import { badPools } from './bad-pools.ts';

const badConfigs = [...badFiles, ...badListeners, ...badPools];

function faultsOf(loaded: Loaded): readonly ConfigFault[] {
  return loaded.ok ? [] : loaded.faults;
}

function load(text: string, env: NodeJS.ProcessEnv = {}): Loaded {
  return loadConfigText(text, 'smtplb.yaml', env);
}

t.test('a bad configuration is refused with all its faults and their places', async t => {
  t.ok(badConfigs.length >= 50, `${badConfigs.length} of them`);
  for (const { what, yaml, faults: wanted } of badConfigs) {
    const found = faultsOf(load(yaml, { TEXT: 'text' })).map(
      ({ line, column, path, expected }) => `${line}:${column} ${path}: ${expected}`,
    );
    t.equal(found.length, wanted.length, `${what}: as many faults as wanted`, { found });
    wanted.forEach((pattern, at) => {
      t.match(found[at], new RegExp(`^${pattern}`), what);
    });
  }
});

t.test('faults in different parts do not hide each other and come in the order of the file', async t => {
  const yaml = [
    'listeners:',
    '- lisen: 0.0.0.0:25',
    '  pool: x',
    '- listen: 0.0.0.0:26',
    '  pool: mx',
    '  timeouts: { idle: 5 }',
    'shards: none',
    'pools:',
    '- name: mx',
    '  backends: [{ address: "${BACKEND}" }, { address: mx1:25, weight: heavy }]',
  ];
  const found = faultsOf(load(yaml.join('\n'))).map(formatFault);
  t.same(
    found.map(text => text.split(': ').slice(0, 2).join(' ')),
    [
      'smtplb.yaml:2:3 listeners[0].lisen',
      'smtplb.yaml:2:3 listeners[0].listen',
      'smtplb.yaml:3:9 listeners[0].pool',
      'smtplb.yaml:6:21 listeners[1].timeouts.idle',
      'smtplb.yaml:7:9 shards',
      'smtplb.yaml:10:26 pools[0].backends[0].address',
      'smtplb.yaml:10:68 pools[0].backends[1].weight',
    ],
  );
});

t.test('a fault is one line, whatever the file holds', async t => {
  const fault = faultsOf(load('log: "a\\nb\\e[31m\\u009b"\n')).find(({ path }) => path === 'log');
  t.ok(fault);
  if (fault !== undefined) t.match(formatFault(fault), /found `a\\u\{a\}b\\u\{1b\}\[31m\\u\{9b\}`/);
  const long = faultsOf(load(`log: ${'x'.repeat(100_000)}\n`)).find(({ path }) => path === 'log');
  t.ok((long?.expected.length ?? 1000) < 300, 'and a short one');
});

t.test('bounds', async t => {
  const long = `# ${'x'.repeat(CONFIG_FILE_OCTETS)}`;
  t.match(faultsOf(load(long)), [{ line: 1, column: 1, expected: /longer than/ }]);
  const backends = Array.from(
    { length: MAX_BACKENDS / 2 + 1 },
    (_, at) => `{address: "b${at}.test:25"}`,
  ).join(',');
  const pools = `pools: [{name: a, backends: [${backends}]}, {name: b, backends: [${backends}]}]`;
  t.match(faultsOf(load(`listeners: [{listen: "0.0.0.0:25", pool: a}]\n${pools}`)), [
    { path: 'pools', line: 2, column: 1, expected: /2050 backends in all pools, expected at most 2048/ },
  ]);
  t.match(faultsOf(load('['.repeat(50_000))), [{ line: 1 }], 'brackets without end');
  const deep = `a: ${'['.repeat(2_000)}${']'.repeat(2_000)}`;
  t.match(faultsOf(load(deep)), [{ line: 1 }], 'nested deeply');
  const laughs = Array.from(
    { length: 9 },
    (_, at) => `a${at}: &a${at} [${Array(9).fill(at === 0 ? 'x' : `*a${at - 1}`)}]`,
  );
  t.match(faultsOf(load(laughs.join('\n'))), [{ expected: /aliases are used too often/ }]);
  t.ok(faultsOf(load('a: &a [*a]\n')).length > 0, 'an alias within its anchor');
});

t.test('anchors serve', async t => {
  const loaded = load(
    'listeners:\n- {listen: "0.0.0.0:25", pool: a, timeouts: &t {idle: 20m}}\n- {listen: "0.0.0.0:26", pool: b, timeouts: *t}\n' +
      'pools:\n- {name: a, backends: &b [{address: "a.test:25"}]}\n- {name: b, backends: *b}\n',
  );
  t.match(loaded, { ok: true, config: { listeners: [{}, { timeouts: { idleMs: 1_200_000 } }] } });
});

t.test('files', async t => {
  const folder = t.testdir({ 'latin.yaml': Buffer.from('log: \xe9', 'latin1') });
  t.match(faultsOf(await loadConfigFile(join(folder, 'none.yaml'), {})), [
    { file: join(folder, 'none.yaml'), line: 1, column: 1, path: '', expected: /cannot be read \(ENOENT/ },
  ]);
  t.match(faultsOf(await loadConfigFile(folder, {})), [{ expected: /cannot be read \(EISDIR/ }]);
  t.match(faultsOf(await loadConfigFile(join(folder, 'latin.yaml'), {})), [{ expected: /not UTF-8/ }]);
  await writeFile(join(folder, 'long.yaml'), '#'.repeat(CONFIG_FILE_OCTETS + 1));
  t.match(faultsOf(await loadConfigFile(join(folder, 'long.yaml'), {})), [{ expected: /longer than/ }]);
  const text = await readFile('examples/quick-start.yaml', 'utf8');
  await writeFile(join(folder, 'bom.yaml'), `\ufeff${text.replaceAll('\n', '\r\n')}`);
  t.match(await loadConfigFile(join(folder, 'bom.yaml'), {}), { ok: true }, 'byte order mark and CRLF');
});
