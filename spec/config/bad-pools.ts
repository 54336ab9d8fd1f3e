import type { BadConfig } from './bad-config.ts';
import { listener, ofBackend, ofPool } from './bad-config.ts';

/** What is wrong with pools and backends. */
export const badPools: readonly BadConfig[] = [
  {
    what: 'no backends',
    yaml: `${listener}\npools: [{name: mx, backends: []}]\n`,
    faults: ['2:30 .*backends: found an empty'],
  },
  {
    what: 'two pools of one name',
    yaml: `${listener}\npools:\n- {name: mx, backends: [{address: "a.b:1"}]}\n- {name: mx, backends: [{address: "a.b:2"}]}\n`,
    faults: ['4:10 pools\\[1\\].name: `mx` is the name of pools\\[0\\] already'],
  },
  {
    what: 'two pools without a name',
    yaml: 'listeners: [{listen: "0.0.0.0:25", pool: default}]\npools:\n- backends: [{address: "a.b:1"}]\n- backends: [{address: "a.b:2"}]\n',
    faults: ['4:3 pools\\[1\\]: its default name `default` is the name of pools\\[0\\] already'],
  },
  {
    what: 'two backends at one address',
    yaml: `${listener}\npools:\n- name: mx\n  backends:\n  - address: a.b:25\n  - address: a.b:25\n`,
    faults: [
      '6:5 pools\\[0\\].backends\\[1\\]: its default name `a.b:25` is the name of pools\\[0\\].backends\\[0\\]',
    ],
  },
  ofPool(
    'a balance',
    'balance: leastconn',
    '4:12 pools\\[0\\].balance: found `leastconn`, expected one of least-conn',
  ),
  ofPool('an identity', 'identity: proxyv2', '4:13 pools\\[0\\].identity: .*; did you mean `proxy-v2`?'),
  ofPool(
    'stickiness',
    'sticky: {by: sender}',
    '4:16 pools\\[0\\].sticky.by: found `sender`, expected one of client-address',
  ),
  {
    what: 'XCLIENT, and TLS of ours, where TLS is passed through and routed',
    yaml:
      'listeners: [{listen: "0.0.0.0:25", pool: mx, tls: {routeBy: server-name}}]\npools:\n- name: mx\n' +
      '  identity: xclient\n  tls: {mode: starttls}\n  backends: [{address: "10.0.0.1:25"}]\n',
    faults: [
      '4:13 pools\\[0\\].identity: clients of listeners\\[0\\] speak TLS with its backends and could say XCLIENT',
      '5:15 pools\\[0\\].tls.mode: clients of listeners\\[0\\] speak TLS with its backends, so that smtplb cannot',
    ],
  },
  ofPool(
    'stickiness by a name that comes too late',
    'sticky: {by: server-name}',
    '4:16 pools\\[0\\].sticky.by: listeners\\[0\\] learns the server name after a backend is chosen',
  ),
  ofPool(
    'warm connections that begin with the client',
    'warm: 3\nidentity: proxy-v2',
    '4:9 pools\\[0\\].warm: warm does not go with identity proxy-v2',
  ),
  ofPool(
    'source addresses beside transparent ones',
    'source: [192.0.2.1]\nidentity: transparent',
    '4:11 pools\\[0\\].source: source has no effect with identity transparent',
  ),
  ofPool(
    'a source that is no address',
    'source: [mx.example.net]',
    '4:12 pools\\[0\\].source\\[0\\]: found `mx.example.net`, expected an IP address',
  ),
  ofPool(
    'a fingerprint',
    'tls: {mode: starttls, fingerprints: ["ab:cd"]}',
    '4:40 pools\\[0\\].tls.fingerprints\\[0\\]: found `ab:cd`, expected the SHA-256',
  ),
  ofPool(
    'no attempts',
    'connect: {attempts: 0}',
    '4:23 pools\\[0\\].connect.attempts: found the number 0, expected a',
  ),
  ofPool(
    'a good greeting',
    'connect: {retryOnGreeting: [220]}',
    '4:31 .*retryOnGreeting\\[0\\]: found the number 220',
  ),
  ofPool(
    'a queue',
    'queue: {size: -1}',
    '4:17 pools\\[0\\].queue.size: found the number -1, expected a whole number',
  ),
  ofPool(
    'a check',
    'check: {type: http}',
    '4:17 pools\\[0\\].check.type: found `http`, expected one of none, tcp, smtp',
  ),
  ofPool(
    'a port to check',
    'check: {port: 70000}',
    '4:17 pools\\[0\\].check.port: found the number 70000, expected a',
  ),
  ofPool(
    'TLS in a check that does not speak',
    'check: {type: tcp, starttls: {}}',
    '4:32 pools\\[0\\].check.starttls: starttls has no effect on these checks, expected type smtp',
  ),
  ofPool(
    'mail in no check',
    'check: {mail: {to: "a@b.test"}}',
    '4:17 pools\\[0\\].check.mail: mail has no effect on these checks, expected type smtp',
  ),
  ofPool(
    'an authority for nothing',
    'check: {type: smtp, starttls: {verify: false, ca: a.pem}}',
    '4:53 pools\\[0\\].check.starttls.ca: ca has no effect where nothing is verified',
  ),
  ofPool(
    'mail to nobody',
    'check: {type: smtp, mail: {from: "a@b.test"}}',
    '4:29 pools\\[0\\].check.mail.to: missing, expected a mail address',
  ),
  ofPool(
    'commands in an address',
    'check: {type: smtp, mail: {to: "a@b.test>\\r\\nDATA"}}',
    '4:34 pools\\[0\\].check.mail.to: found .*, expected a mail address such as',
  ),
  ofPool(
    'pauses',
    'passiveHealth: {pause: 1m}',
    '4:26 pools\\[0\\].passiveHealth.pause: pause is longer than maxPause',
  ),
  ofPool(
    'a start',
    'slowStart: slow',
    '4:14 pools\\[0\\].slowStart: found `slow`, expected a duration from 0s to 1h',
  ),
  ofPool(
    'TLS unasked',
    'tls: {verify: false}',
    '4:17 pools\\[0\\].tls.verify: verify has no effect without TLS',
  ),
  ofBackend(
    'no address',
    '{}',
    '3:14 pools\\[0\\].backends\\[0\\].address: missing, expected an address with a port',
  ),
  ofBackend(
    'no port',
    '{address: 10.0.0.1}',
    '3:24 .*address: found `10.0.0.1`, expected an address with a port',
  ),
  ofBackend(
    'port 0',
    '{address: "10.0.0.1:0"}',
    '3:24 .*address: found `10.0.0.1:0`, expected an address with a port',
  ),
  ofBackend(
    'a number that is no address',
    '{address: "10.0.0.300:25"}',
    '3:24 .*address: found `10.0.0.300:25`',
  ),
  ofBackend(
    'no weight',
    '{address: "a.b:25", weight: 0}',
    '3:42 .*weight: found the number 0, expected a whole number',
  ),
  ofBackend(
    'much weight',
    '{address: "a.b:25", weight: 257}',
    '3:42 .*weight: found the number 257, expected a whole',
  ),
  ofBackend(
    'no connections',
    '{address: "a.b:25", maxConnections: 0}',
    '3:50 .*maxConnections: found the number 0',
  ),
  ofBackend(
    'no count',
    '{address: "a.b:25", maxConnections: {scope: cluster}}',
    '3:50 .*maxConnections.count: missing',
  ),
  ofBackend(
    'a limit over no cluster',
    '{address: "a.b:25", maxConnections: {count: 5, scope: cluster}}',
    '3:68 .*maxConnections.scope: scope cluster needs a Redis',
  ),
  ofBackend(
    'a backup in words',
    '{address: "a.b:25", backup: "true"}',
    '3:42 .*backup: found `true`, expected true or false',
  ),
];
