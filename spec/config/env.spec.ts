// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of the configuration look like that
import t from 'tap';
import { expand } from '../../lib/config/env.ts';
import { loadConfigText } from '../../lib/config/load.ts';

t.test('variables within text', async t => {
  const env = { A: 'one', EMPTY: '', NESTED: '${A}' };
  t.same(expand('x ${A}-${A} y', env), { text: 'x one-one y', unset: [] });
  t.same(expand('${EMPTY}', env), { text: '', unset: [] }, 'set but empty is set');
  t.same(expand('${NESTED}', env), { text: '${A}', unset: [] }, 'a value is not looked into');
  t.same(expand('$${A} $A {A} ${', env), { text: '${A} $A {A} ${', unset: [] });
  t.same(expand('${B} ${toString} ${A B} ${}', env), {
    text: '${B} ${toString} ${A B} ${}',
    unset: ['B', 'toString', 'A B', ''],
  });
});

const yaml = `
instance: \${NAME}
hostName: "mx.\${DOMAIN}"
admin: { token: "\${TOKEN}" }
shards: \${SHARDS}
log:
  access: \${ACCESS}
listeners: [{ listen: "127.0.0.1:\${PORT}", pool: mx }]
pools:
- name: mx
  queue:
    size: \${SIZE}
  backends:
  - address: \${BACKEND}
    maxConnections:
      count: \${SIZE}
`;
const env = {
  NAME: '7',
  DOMAIN: 'example.net',
  TOKEN: '12345',
  SHARDS: '1',
  ACCESS: 'false',
  PORT: '2525',
  SIZE: '20',
  BACKEND: '10.0.0.1:25',
};

t.test('variables in a file may stand for text, numbers and flags', async t => {
  t.match(loadConfigText(yaml, 'f', env), {
    ok: true,
    config: {
      instance: '7',
      hostName: 'mx.example.net',
      admin: { token: '12345' },
      shards: 1,
      log: { access: false },
      listeners: [{ listen: [{ port: 2525 }] }],
      pools: [{ queue: { size: 20 }, backends: [{ address: { port: 25 }, maxConnections: { count: 20 } }] }],
    },
  });
});

t.test('what is not set is named once, where it stands, and nothing that follows from it', async t => {
  const loaded = loadConfigText(yaml, 'f', { ...env, DOMAIN: undefined, BACKEND: undefined });
  t.equal(loaded.ok, false);
  t.same(loaded.ok || loaded.faults, [
    {
      file: 'f',
      line: 3,
      column: 15,
      path: 'hostName',
      expected: 'the environment variable DOMAIN is not set',
    },
    {
      file: 'f',
      line: 14,
      column: 14,
      path: 'pools[0].backends[0].address',
      expected: 'the environment variable BACKEND is not set',
    },
  ]);
});

t.test('a secret from the environment is in no fault', async t => {
  const loaded = loadConfigText(yaml, 'f', { ...env, TOKEN: 'a secret' });
  t.equal(loaded.ok, false);
  t.notMatch(JSON.stringify(loaded), 'a secret');
});
