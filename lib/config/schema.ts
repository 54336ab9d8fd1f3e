/** The whole file. What its keys mean is said at each of them; `smtplb schema` and the reference print that. */
import type { z } from 'zod';
import { MAX_LISTENERS, MAX_POOLS, MAX_SHARDS } from '../core/limits.ts';
import { FAST_TRANSPORTS } from '../transport/fast.ts';
import { clusterSchema } from './cluster-schema.ts';
import { listenerSchema } from './listener-schema.ts';
import { DEFAULT_ADMIN_LISTEN } from './names.ts';
import {
  choice,
  either,
  flag,
  integer,
  key,
  list,
  optionalKey,
  requiredKey,
  section,
  text,
} from './pieces.ts';
import { poolSchema } from './pool-schema.ts';
import { duration, heloName, listenAddress, name, socketPath } from './units.ts';

const admin = section(
  {
    listen: key(
      either(choice('off'), listenAddress()),
      DEFAULT_ADMIN_LISTEN,
      'Where status page, metrics, health and API are served over HTTP.',
    ),
    token: optionalKey(
      text('1 to 256 printable characters without spaces', /^[\x21-\x7e]{1,256}$/),
      'no verbs over TCP',
      'What a caller over TCP must show to drain, ready or maint a backend.',
    ),
    socket: optionalKey(socketPath(), 'none', "The command line's way in; file permissions guard it."),
    hosts: key(
      list(heloName(), 'host names', 0, 64),
      [],
      'Names, beside addresses and hostName, by which browsers may call the page and the API.',
    ),
    maxConnections: key(integer(1, 10_000), 64, 'Connections the admin listener serves at once.'),
  },
  'a mapping with listen, token, socket, hosts and maxConnections',
);

export const configSchema = section(
  {
    instance: optionalKey(
      name(),
      'the host name',
      'What this instance is called in logs, on the status page and in the cluster.',
    ),
    hostName: optionalKey(heloName(), 'the host name', 'The name spoken in 421 and 554 replies and in EHLO.'),
    log: key(
      section(
        {
          level: key(
            choice('debug', 'info', 'warn', 'error'),
            'info',
            'The least important kind of line that is written.',
          ),
          access: key(flag(), true, 'Whether every session gets a line.'),
        },
        'a mapping with level and access',
      ),
      {},
      'What is written to standard output, one JSON object a line.',
    ),
    admin: key(admin, {}, 'The way in for operators and Prometheus.'),
    cluster: key(clusterSchema, {}, 'Instances that share connection counts, stickiness and limits.'),
    shards: key(
      either(choice('auto'), integer(1, MAX_SHARDS)),
      1,
      'Threads that carry sessions; auto is one a core.',
    ),
    transport: key(
      choice('auto', 'net', ...FAST_TRANSPORTS),
      'auto',
      "What carries them: Node's sockets, or Linux's own ways; auto takes the fastest that works.",
    ),
    drainTimeout: key(
      duration('0s', '24h'),
      '5m',
      'How long sessions may go on after TERM, before they are ended.',
    ),
    listeners: requiredKey(list(listenerSchema, 'listeners', 1, MAX_LISTENERS), 'Where clients come in.'),
    pools: requiredKey(list(poolSchema, 'pools', 1, MAX_POOLS), 'Where they go.'),
  },
  'a mapping with listeners and pools',
);

/** What the schema makes of a file; `resolve` turns it into a `Config`. */
export type ParsedConfig = z.output<typeof configSchema>;
export type ParsedListener = z.output<typeof listenerSchema>;
export type ParsedPool = z.output<typeof poolSchema>;
