// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of the configuration look like that
/**
 * Configurations that must be refused, and every fault that must be named: `LINE:COLUMN PATH: ` and a part of the
 * sentence. The list of faults is complete: one more or one less fails.
 */
export interface BadConfig {
  readonly what: string;
  readonly yaml: string;
  readonly faults: readonly string[];
}

const pool = 'pools: [{name: mx, backends: [{address: "10.0.0.1:25"}]}]';
const listener = 'listeners: [{listen: "0.0.0.0:25", pool: mx}]';

/** A bad line at the top level, in line 1. */
function top(what: string, line: string, ...faults: string[]): BadConfig {
  return { what, yaml: `${line}\n${listener}\n${pool}\n`, faults };
}

/** Lines of a listener; the first one is line 4, its keys begin in column 3. */
function ofListener(what: string, lines: string, ...faults: string[]): BadConfig {
  const yaml = `${pool}\nlisteners:\n- listen: 0.0.0.0:25\n  ${lines.replaceAll('\n', '\n  ')}\n  pool: mx\n`;
  return { what, yaml, faults };
}

/** Lines of a pool; the first one is line 4, its keys begin in column 3. */
function ofPool(what: string, lines: string, ...faults: string[]): BadConfig {
  const rest = 'name: mx\n  backends: [{address: "10.0.0.1:25"}]';
  return { what, yaml: `${listener}\npools:\n-\n  ${lines.replaceAll('\n', '\n  ')}\n  ${rest}\n`, faults };
}

/** One backend, in line 3 and from column 14. */
function ofBackend(what: string, backend: string, ...faults: string[]): BadConfig {
  return { what, yaml: `${listener}\npools:\n- backends: [${backend}]\n  name: mx\n`, faults };
}

export const badConfigs: readonly BadConfig[] = [
  {
    what: 'an empty file',
    yaml: '',
    faults: ['1:1 : the file is empty, expected at least the keys listeners and'],
  },
  { what: 'nothing but comments', yaml: '# soon\n', faults: ['1:1 : the file is empty'] },
  {
    what: 'a list',
    yaml: '- a\n',
    faults: ['1:1 : found a list of 1, expected a mapping with listeners and pools'],
  },
  { what: 'text', yaml: 'hello\n', faults: ['1:1 : found `hello`, expected a mapping'] },
  {
    what: 'two documents',
    yaml: `${listener}\n${pool}\n---\na: 1\n`,
    faults: ['3:1 : a second document begins here'],
  },
  { what: 'a tab', yaml: `log:\n\tlevel: info\n`, faults: ['2:1 : not YAML: tabs are not allowed'] },
  { what: 'a list that never ends', yaml: 'listeners: [\n', faults: ['2:1 : not YAML: flow sequence'] },
  { what: 'an unquoted IPv6 address', yaml: 'a: [::]:25\n', faults: ['1:8 : not YAML: .*needs quotes'] },
  { what: 'no anchor', yaml: 'log: *x\n', faults: ['1:6 : no anchor is named `x`'] },
  { what: 'an unknown tag', yaml: 'log: !secret x\n', faults: ['1:6 : not YAML: unresolved tag: !secret'] },
  { what: 'a key that is a list', yaml: '? [a]\n: 1\n', faults: ['1:3 : found a key that is empty, a list'] },
  {
    what: 'half a file',
    yaml: `${listener}\n`,
    faults: ['1:1 pools: missing, expected a list of 1 to 256 pools'],
  },
  top('an unknown key', 'listener: []', '1:1 listener: unknown key `listener`; did you mean `listeners`?'),
  top(
    'a key like nothing else',
    'zebra: 1',
    '1:1 zebra: unknown key `zebra`, expected one of instance, hostName, log',
  ),
  top('a key of objects', '__proto__: {}', '1:1 __proto__: unknown key `__proto__`'),
  top('a key with an escape', '"a\\eb": 1', '1:1 \\["a\\\\u\\{1b\\}b"\\]: unknown key `a\\\\u\\{1b\\}b`'),
  top('a merge key', '<<: {}', '1:1 \\["<<"\\]: unknown key'),
  top('a key given twice', 'shards: 1\nshards: 1', '2:1 shards: `shards` is given twice'),
  top(
    'an unset variable',
    'instance: edge-${NOWHERE}',
    '1:16 instance: the environment variable NOWHERE is not set',
  ),
  top(
    'no name of a variable',
    'instance: ${A-B}',
    '1:11 instance: found `\\$\\{A-B\\}`, expected the name of an env',
  ),
  top(
    'a variable that is no number',
    'shards: ${TEXT}',
    '1:9 shards: found `text`, expected auto, or a whole number',
  ),
  top('a section with nothing in it', 'admin:', '1:1 admin: found nothing, expected a mapping with listen'),
  top(
    'a section that is text',
    'log: debug',
    '1:6 log: found `debug`, expected a mapping with level and access',
  ),
  top(
    'a log level',
    'log: { level: warning }',
    '1:15 log.level: found `warning`, expected one of debug, .* mean `warn`',
  ),
  top('a flag in words', 'log: { access: yes }', '1:16 log.access: found `yes`, expected true or false'),
  top('no shards', 'shards: 0', '1:9 shards: found the number 0, expected a whole number from 1 to 64'),
  top('half a shard', 'shards: 1.5', '1:9 shards: found the number 1.5, expected auto, or a whole number'),
  top('a transport', 'transport: epol', '1:12 transport: found `epol`, .*; did you mean `epoll`?'),
  top(
    'a name with a space',
    'instance: edge 1',
    '1:11 instance: found `edge 1`, expected a name of 1 to 64 letters',
  ),
  top('a name that is a number', 'instance: 7', '1:11 instance: found the number 7, expected a name'),
  top(
    'a host name',
    'hostName: mx_.example..net',
    '1:11 hostName: found `mx_.example..net`, expected a host name',
  ),
  top(
    'a negative duration',
    'drainTimeout: -5s',
    '1:15 drainTimeout: found `-5s`, expected a duration from 0s to 24h',
  ),
  top(
    'a duration without a unit',
    'drainTimeout: 300',
    '1:15 drainTimeout: found the number 300, expected a duration',
  ),
  top('a duration beyond bounds', 'drainTimeout: 25h', '1:15 drainTimeout: found `25h`, expected a duration'),
  top(
    'units in the wrong order',
    'drainTimeout: 5s1m',
    '1:15 drainTimeout: found `5s1m`, expected a duration',
  ),
  top(
    'an admin port alone',
    'admin: { listen: 8404 }',
    '1:18 admin.listen: found the number 8404, expected off, or an',
  ),
  top(
    'an admin socket',
    'admin: { socket: run/x }',
    '1:18 admin.socket: found `run/x`, expected an absolute path',
  ),
  top('an empty token', 'admin: { token: "" }', '1:17 admin.token: found empty text, expected 1 to 256'),
  top(
    'a token, not repeated',
    'admin: { token: "se cret" }',
    '1:17 admin.token: found a value that is not shown',
  ),
  top(
    'a Redis URL',
    'cluster: { redis: "http://:pw@h" }',
    '1:19 cluster.redis: found a value that is not shown, expected a',
  ),
  top(
    'a Sentinel',
    'cluster: { redis: { sentinels: ["a:1"] } }',
    '1:19 cluster.redis.master: missing, expected the name',
  ),
  top(
    'a node',
    'cluster: { redis: { cluster: [a] } }',
    '1:31 cluster.redis.cluster\\[0\\]: found a value that is not',
  ),

  {
    what: 'no listeners',
    yaml: `listeners: []\n${pool}\n`,
    faults: ['1:12 listeners: found an empty list, expected a'],
  },
  {
    what: 'a listener without keys',
    yaml: `${pool}\nlisteners:\n- {}\n`,
    faults: [
      '3:3 listeners\\[0\\].listen: missing, expected an address',
      '3:3 listeners\\[0\\].pool: missing',
    ],
  },
  {
    what: 'a port for all addresses',
    yaml: `listeners: [{listen: "*:25", pool: mx}]\n${pool}\n`,
    faults: ['1:22 listeners\\[0\\].listen: found `\\*:25`, expected an address such as 0.0.0.0:25'],
  },
  {
    what: 'one bad address among good ones',
    yaml: `listeners: [{listen: ["0.0.0.0:25", "mx:25"], pool: mx}]\n${pool}\n`,
    faults: ['1:37 listeners\\[0\\].listen\\[1\\]: found `mx:25`, expected an address'],
  },
  {
    what: 'an address listened on twice',
    yaml: `listeners: [{listen: "[::]:25", pool: mx}, {listen: "[::]:25", name: b, pool: mx}]\n${pool}\n`,
    faults: ['1:53 listeners\\[1\\].listen: `\\[::\\]:25` is listened on already by listeners\\[0\\].listen'],
  },
  {
    what: 'the address of the admin listener',
    yaml: `admin: {}\nlisteners: [{listen: "127.0.0.1:8404", pool: mx}]\n${pool}\n`,
    faults: ['1:8 admin.listen: `127.0.0.1:8404` is listened on already by listeners\\[0\\].listen'],
  },
  {
    what: 'a name given twice',
    yaml: `listeners:\n- {name: a, listen: "0.0.0.0:25", pool: mx}\n- {name: a, listen: "0.0.0.0:26", pool: mx}\n${pool}\n`,
    faults: ['3:10 listeners\\[1\\].name: `a` is the name of listeners\\[0\\] already'],
  },
  {
    what: 'a pool that does not exist',
    yaml: `listeners: [{listen: "0.0.0.0:25", pool: mz}]\n${pool}\n`,
    faults: ['1:42 listeners\\[0\\].pool: no pool is named `mz`; did you mean `mx`'],
  },
  ofListener(
    'an unknown key',
    'lisen: x',
    '4:3 listeners\\[0\\].lisen: unknown key `lisen`; did you mean `listen`?',
  ),
  ofListener(
    'no room to wait',
    'backlog: 0',
    '4:12 listeners\\[0\\].backlog: found the number 0, expected a whole',
  ),
  ofListener(
    'a network',
    'clients: {deny: [10.0.0.0/33]}',
    '4:20 listeners\\[0\\].clients.deny\\[0\\]: found `10.0.0.0/33`',
  ),
  ofListener(
    'a network by name',
    'clients: {allow: [lan]}',
    '4:21 listeners\\[0\\].clients.allow\\[0\\]: found `lan`, exp',
  ),
  ofListener(
    'no senders',
    'proxyProtocol: {from: []}',
    '4:25 listeners\\[0\\].proxyProtocol.from: found an empty list',
  ),
  ofListener(
    'a flag for senders',
    'proxyProtocol: true',
    '4:18 listeners\\[0\\].proxyProtocol: found the boolean true',
  ),
  ofListener(
    'a limit of 0',
    'limits: {connections: 0}',
    '4:25 listeners\\[0\\].limits.connections: found the number 0',
  ),
  ofListener(
    'a rate',
    'limits: {perClient: {rate: 60/m}}',
    '4:30 listeners\\[0\\].limits.perClient.rate: found `60/m`',
  ),
  ofListener(
    'a rate of none',
    'limits: {perClient: {rate: 0/1m}}',
    '4:30 .*rate: found `0/1m`, expected a count',
  ),
  ofListener(
    'a prefix',
    'limits: {perClient: {ipv6Prefix: 129}}',
    '4:36 .*ipv6Prefix: found the number 129, expected a',
  ),
  ofListener(
    'a mode of TLS',
    'tls: {mode: start-tls}',
    '4:15 listeners\\[0\\].tls.mode: .*did you mean `starttls`?',
  ),
  ofListener(
    'no certificate',
    'tls: {mode: implicit}',
    '4:8 listeners\\[0\\].tls.certificates: missing, expected at least',
  ),
  ofListener(
    'half a certificate',
    'tls: {mode: implicit, certificates: [{cert: a}]}',
    '4:40 .*\\[0\\].key: missing',
  ),
  ofListener(
    'TLS it has not',
    'tls: {required: true}',
    '4:19 listeners\\[0\\].tls.required: required has no effect with mode',
  ),
  ofListener(
    'no time',
    'timeouts: {idle: 0s}',
    '4:20 listeners\\[0\\].timeouts.idle: found `0s`, expected a duration',
  ),

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
    '4:16 pools\\[0\\].sticky.by: found `sender`, expected client-address',
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
    'a backup in words',
    '{address: "a.b:25", backup: "true"}',
    '3:42 .*backup: found `true`, expected true or false',
  ),
];
