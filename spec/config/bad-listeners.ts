import type { BadConfig } from './bad-config.ts';
import { ofListener, pool } from './bad-config.ts';

/** What is wrong with listeners. */
export const badListeners: readonly BadConfig[] = [
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
    'routes without routing',
    'tls: {routes: [{names: [a.example], pool: mx}]}',
    '4:17 listeners\\[0\\].tls.routes: routes have no effect without routeBy',
  ),
  ofListener(
    'a route to nowhere',
    'tls: {routeBy: server-name, routes: [{names: [a.example], pool: my}]}',
    '4:67 listeners\\[0\\].tls.routes\\[0\\].pool: no pool is named `my`',
  ),
  ofListener(
    'a star in the wrong place',
    'tls: {routeBy: server-name, routes: [{names: ["mx.*"], pool: mx}]}',
    '4:49 listeners\\[0\\].tls.routes\\[0\\].names\\[0\\]: found `mx.\\*`, expected a host name',
  ),
  ofListener(
    'a name with two routes',
    'tls: {routeBy: server-name, routes: [{names: [a.example, "*.b.example", A.example], pool: mx}]}',
    '4:75 listeners\\[0\\].tls.routes\\[0\\].names\\[2\\]: a.example has a route already',
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
];
