import t from 'tap';
import { eventuallyEqual } from './eventually.ts';
import { needs, needsRoot } from './needs.ts';
import { startPostfix } from './postfix.ts';
import { smtpSource, startSmtpSink } from './postfix-tools.ts';
import { accepts } from './processes.ts';
import { connectClient } from './smtp-client.ts';
import { swaks } from './swaks.ts';

t.test(
  'Postfix takes mail, the log counts it, and stop leaves nothing',
  needsRoot('postfix', 'swaks'),
  async t => {
    const postfix = await startPostfix(t);
    const result = await swaks(t, { server: postfix.address });
    t.equal(result.exitCode, 0, result.stdout);
    t.same(result.greeting, [`220 ${postfix.hostName} ESMTP Postfix`]);
    await smtpSource(t, { address: postfix.address, messages: 3, sessions: 2 });
    await eventuallyEqual('deliveries', () => postfix.delivered(), 4);
    t.same(await postfix.clients(), ['127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1']);
    await postfix.stop();
    t.equal(await accepts(postfix.address), false);
  },
);

t.test('behind PROXY, Postfix sees the client it is told of', needsRoot('postfix', 'swaks'), async t => {
  const postfix = await startPostfix(t, { proxyProtocol: true });
  for (const version of ['1', '2']) {
    const told = ['--proxy-version', version, '--proxy-family', version === '1' ? 'TCP4' : 'AF_INET'];
    const more = ['--proxy-source', `192.0.2.${version}`, '--proxy-source-port', '4711'];
    const to = ['--proxy-dest', '198.51.100.1', '--proxy-dest-port', '25'];
    const result = await swaks(t, { server: postfix.address, extra: [...told, ...more, ...to] });
    t.equal(result.exitCode, 0, result.stdout);
  }
  await eventuallyEqual('clients', async () => (await postfix.clients()).join(), '192.0.2.1,192.0.2.2');
  // Without the header it must not be taken: a fixture that did would prove nothing.
  const plain = await connectClient(t, postfix.address);
  await plain.send('EHLO client.example');
  t.not(await plain.closed, 'open');
  t.notMatch(plain.pending(), /^250/);
});

t.test('postscreen sends its first line and makes the client wait', needsRoot('postfix'), async t => {
  const postfix = await startPostfix(t, {
    postscreen: true,
    main: ['postscreen_greet_banner = wait for it'],
  });
  const client = await connectClient(t, postfix.address);
  const first = await client.until('\r\n');
  t.equal(first, '220-wait for it\r\n');
  t.equal(client.pending(), '', 'and not the whole greeting');
  await client.expect(220);
});

t.test('smtp-source and smtp-sink meet', needs('smtp-source', 'smtp-sink'), async t => {
  const sink = await startSmtpSink(t);
  const { address } = sink;
  const result = await smtpSource(t, { address, sessions: 4, messages: 20, keepConnections: true });
  t.match(result, { exitCode: 0, messages: 20 });
  await sink.stop();
  const refused = await smtpSource(t, { address });
  t.not(refused.exitCode, 0);
  t.equal(refused.messages, 0);
});
