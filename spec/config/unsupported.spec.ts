import t from 'tap';
import { loadConfigText } from '../../lib/config/load.ts';
import { unsupported } from '../../lib/config/unsupported.ts';
import { warnings } from '../../lib/config/warnings.ts';

/** A configuration with these additions. */
function config(additions: { top?: string; listener?: string; pool?: string; backend?: string }) {
  const { top = '', listener = '', pool = '', backend = '' } = additions;
  const yaml =
    `${top}\nlisteners:\n- { listen: "127.0.0.1:0", pool: mx, ${listener} }\n` +
    `pools:\n- { name: mx, ${pool} backends: [{ address: "10.0.0.1:25", ${backend} }] }\n`;
  const loaded = loadConfigText(yaml, 'f', {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.faults));
  return loaded.config;
}

t.test('each of what is not there yet is named when it is switched on', async t => {
  const cases: [Parameters<typeof config>[0], string][] = [[{ pool: 'warm: 2,' }, 'pools[0].warm']];
  for (const [additions, path] of cases) {
    t.match(unsupported(config(additions)), [{ path, feature: /\w/ }], path);
    t.equal(unsupported(config(additions)).length, 1, 'and nothing else');
  }
});

t.test('what is switched off, left to choose, or done is fine', async t => {
  const fine = config({
    top: 'shards: auto\ntransport: auto\ncluster: { name: edge, redis: redis://127.0.0.1 }\nadmin: { listen: off }',
    listener: 'tls: { mode: starttls, certificates: [{ cert: a, key: b }] }',
    pool: 'sticky: {}, check: { type: smtp, rise: 9, instances: 3 }, slowStart: 0s, identity: proxy-v1, tls: { mode: none },',
    backend: 'maxConnections: { count: 5, scope: cluster }',
  });
  t.same(unsupported(fine), []);
  t.equal(fine.admin.listen, undefined, 'off means no listener');
});

t.test('who may become an open relay is warned', async t => {
  const open = 'name: open, listen: "0.0.0.0:25"';
  const yaml = (listener: string, pool = '') =>
    `listeners: [{ ${listener}, pool: mx }]\npools: [{ name: mx, ${pool} backends: [{ address: "a.test:25" }] }]\n`;
  const texts = (text: string) => {
    const loaded = loadConfigText(text, 'f', {});
    return loaded.ok ? warnings(loaded.config) : undefined;
  };
  t.match(texts(yaml(open)), [{ path: 'pools[0].identity', text: /open relay .* open;/ }]);
  t.same(texts(yaml(open, 'identity: proxy-v2,')), []);
  t.same(texts(yaml(`${open}, clients: { allow: [10.0.0.0/8] }`)), []);
  t.equal(
    texts(yaml(`${open}, clients: { deny: [10.0.0.0/8] }`))?.length,
    1,
    'a list of some who may not is no help',
  );
  for (const local of ['127.0.0.1:25', '[::1]:25', 'unix:/run/mx'])
    t.same(texts(yaml(`listen: "${local}"`)), []);
});

t.test('who cannot have STARTTLS because of XCLIENT is told', async t => {
  const text = (identity: string, tls: string) =>
    `listeners: [{ name: in, listen: "127.0.0.1:25", pool: mx, tls: ${tls} }]\n` +
    `pools: [{ name: mx, identity: ${identity}, backends: [{ address: "a.test:25" }] }]\n`;
  const found = (identity: string, tls: string) => {
    const loaded = loadConfigText(text(identity, tls), 'f', {});
    return loaded.ok ? warnings(loaded.config) : undefined;
  };
  const passthrough = '{ mode: passthrough }';
  t.match(found('xclient', passthrough), [
    { path: 'pools[0].identity', text: /STARTTLS is neither offered .* in nor/ },
  ]);
  t.same(found('xclient', '{ mode: starttls, certificates: [{ cert: a, key: b }] }'), []);
  t.same(found('proxy-v2', passthrough), []);
});
