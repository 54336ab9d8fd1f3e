/** What real backends make of checks: their verdict, and what is in their logs afterwards. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import type { Outcome } from '../../lib/health/outcome.ts';
import { freeAddress } from '../support/free-port.ts';
import { needs, needsRoot } from '../support/needs.ts';
import { type Postfix, type PostfixOptions, startPostfix } from '../support/postfix.ts';
import { startSmtpSink } from '../support/postfix-tools.ts';
import { start } from '../support/processes.ts';
import { selfSigned } from './certificates.ts';
import { probed } from './probing.ts';

/** The log without Postfix's own start. */
async function logOf(postfix: Postfix): Promise<string> {
  return (await postfix.log()).replaceAll(/^.*(?:master|postlogd|pickup|qmgr)\[.*\n/gm, '');
}

const COMPLAINTS = /lost connection|warning|error|improper|timeout|PREGREET|HANGUP|BARE NEWLINE|SSL_/i;
const MISUNDERSTOOD = /^PROXY header not understood: .*smtpd_upstream_proxy_protocol/;

t.test(
  'checks that pass leave nothing but connect and disconnect in the log',
  needsRoot('postfix', 'openssl'),
  async t => {
    const folder = t.testdir();
    const certificate = await selfSigned(t, folder, 'IP:127.0.0.1');
    const tls = [
      `smtpd_tls_cert_file = ${certificate.cert}`,
      `smtpd_tls_key_file = ${certificate.key}`,
      'smtpd_tls_security_level = may',
    ];
    const kinds = [false, true].flatMap(postscreen =>
      (['none', 'proxy-v1', 'proxy-v2'] as const).map(identity => ({ postscreen, identity })),
    );
    await Promise.all(
      kinds.map(async ({ postscreen, identity }) => {
        const proxyProtocol = identity !== 'none';
        const main = postscreen ? [] : tls;
        const postfix = await startPostfix(t, { postscreen, proxyProtocol, main });
        const what = `${postscreen ? 'postscreen' : 'smtpd'}, ${identity}`;
        const found = await probed(postfix.address, {
          identity,
          ...(!postscreen && {
            starttls: { verify: true, serverName: undefined, ca: certificate.cert },
            mail: { from: 'probe@example.org', to: 'box@example.net' },
          }),
        });
        t.equal(found.outcome, 'ok', `${what}: ${found.detail}`);
        await postfix.logged(/disconnect from .*quit=1/);
        const log = await logOf(postfix);
        t.notMatch(log, COMPLAINTS, what);
        t.same(
          await postfix.clients(),
          ['127.0.0.1'],
          `${what}: the check comes from this machine, not from a client`,
        );
        if (postscreen) t.ok(found.durationMs > 900, 'its pause is sat out');
        t.equal(await postfix.delivered(), 0, 'and nothing was sent');
        t.comment(`${what}:\n${log.replaceAll(/^.*?postfix\//gm, '')}`);
        await postfix.stop();
      }),
    );
  },
);

t.test(
  'a TCP check is a lost connection to Postfix, and no more than that',
  needsRoot('postfix'),
  async t => {
    await Promise.all(
      (['none', 'proxy-v1', 'proxy-v2'] as const).map(async identity => {
        const postfix = await startPostfix(t, { proxyProtocol: identity !== 'none' });
        t.match(await probed(postfix.address, { type: 'tcp', identity }), { outcome: 'ok' });
        await postfix.logged(/disconnect from/);
        const log = await logOf(postfix);
        t.match(log, /lost connection after CONNECT/);
        t.notMatch(log, /warning|error/, identity);
        await postfix.stop();
      }),
    );
  },
);

t.test(
  'Postfix that expects no PROXY header is told apart from one that is ill',
  needsRoot('postfix'),
  async t => {
    const kinds: readonly [string, PostfixOptions][] = [
      ['smtpd', {}],
      ['smtpd that forbids pipelining', { main: ['smtpd_forbid_unauth_pipelining = yes'] }],
      ['postscreen that ignores haste', { postscreen: true }],
      ['postscreen that drops', { postscreen: true, main: ['postscreen_greet_action = drop'] }],
      ['postscreen that enforces', { postscreen: true, main: ['postscreen_greet_action = enforce'] }],
    ];
    await Promise.all(
      kinds.map(async ([what, options]) => {
        const postfix = await startPostfix(t, options);
        for (const identity of ['proxy-v1', 'proxy-v2'] as const) {
          const found = await probed(postfix.address, { identity });
          t.equal(found.outcome, 'proxy-not-understood', `${what}, ${identity}: ${found.detail}`);
          t.match(found.detail, MISUNDERSTOOD);
        }
        await postfix.stop();
      }),
    );

    const picky = await startPostfix(t, {
      proxyProtocol: true,
      main: ['smtpd_delay_reject = no', 'smtpd_helo_restrictions = reject'],
    });
    for (const identity of ['proxy-v1', 'proxy-v2'] as const) {
      const found = await probed(picky.address, { identity });
      t.match(
        found,
        { outcome: 'bad-ehlo', detail: /"554 5\.7\.1 / },
        'one that understands, and refuses EHLO',
      );
    }
  },
);

t.test(
  'Postfix that expects a PROXY header and gets none is silent, then busy',
  needsRoot('postfix'),
  async t => {
    await Promise.all(
      [false, true].map(async postscreen => {
        const main = [`${postscreen ? 'postscreen' : 'smtpd'}_upstream_proxy_timeout = 3s`];
        const postfix = await startPostfix(t, { proxyProtocol: true, postscreen, main });
        t.match(await probed(postfix.address, { timeoutMs: 1_000 }), {
          outcome: 'timeout',
          detail:
            /no end of the greeting in time; a backend that expects a PROXY header.* compare the identity of the pool/,
        });
        t.match(await probed(postfix.address), {
          outcome: 'busy',
          detail: /"421 4\.3\.[02] .*; Postfix says that too where it expects a PROXY header and gets none/,
        });
        await postfix.stop();
      }),
    );
  },
);

t.test('smtp-sink and HAProxy', needs('smtp-sink', 'haproxy'), async t => {
  const sink = await startSmtpSink(t);
  const [expecting, plain] = [await freeAddress(), await freeAddress()];
  const file = join(t.testdir(), 'haproxy.cfg');
  writeFileSync(
    file,
    `
defaults
  mode tcp
  timeout connect 5s
  timeout client 500ms
  timeout server 5s
listen expecting
  bind ${formatAddress(expecting)} accept-proxy
  server sink ${formatAddress(sink.address)}
listen plain
  bind ${formatAddress(plain)}
  server sink ${formatAddress(sink.address)}
`,
  );
  const haproxy = start(t, 'haproxy', ['-db', '-f', file]);
  await haproxy.accepting(plain);

  const cases: readonly [string, typeof plain, 'none' | 'proxy-v1' | 'proxy-v2', Outcome, RegExp][] = [
    ['smtp-sink', sink.address, 'none', 'ok', /./],
    ['smtp-sink', sink.address, 'proxy-v1', 'proxy-not-understood', MISUNDERSTOOD],
    ['smtp-sink', sink.address, 'proxy-v2', 'proxy-not-understood', MISUNDERSTOOD],
    ['HAProxy', plain, 'none', 'ok', /./],
    ['HAProxy', plain, 'proxy-v1', 'proxy-not-understood', MISUNDERSTOOD],
    ['HAProxy', plain, 'proxy-v2', 'proxy-not-understood', MISUNDERSTOOD],
    ['HAProxy with accept-proxy', expecting, 'none', 'closed', /expects a PROXY header/],
    ['HAProxy with accept-proxy', expecting, 'proxy-v1', 'ok', /./],
    ['HAProxy with accept-proxy', expecting, 'proxy-v2', 'ok', /./],
  ];
  for (const [what, address, identity, outcome, detail] of cases) {
    const found = await probed(address, { identity });
    t.equal(found.outcome, outcome, `${what}, ${identity}: ${found.detail}`);
    t.match(found.detail, detail);
  }
});
