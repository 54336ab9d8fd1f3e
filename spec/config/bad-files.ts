// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of the configuration look like that
import type { BadConfig } from './bad-config.ts';
import { listener, pool, top } from './bad-config.ts';

/** What is wrong with a file as a whole, or with its keys at the top. */
export const badFiles: readonly BadConfig[] = [
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
];
