/** What a pool and its backends may say in the file. */
import { z } from 'zod';
import { MAX_BACKENDS } from '../core/limits.ts';
import { checkSchema } from './check-schema.ts';
import {
  choice,
  either,
  expecting,
  flag,
  integer,
  key,
  list,
  optionalKey,
  refuse,
  requiredKey,
  section,
} from './pieces.ts';
import { poolTlsSchema } from './pool-tls-schema.ts';
import { backendAddress, duration, ipAddressText, name } from './units.ts';

const connectionCount = () => integer(1, 1_000_000);

const maxConnections = either(
  connectionCount(),
  section(
    {
      count: requiredKey(connectionCount(), 'The limit.'),
      scope: key(choice('instance', 'cluster'), 'instance', 'Whose sessions are counted.'),
    },
    'a mapping with count and scope',
  ),
);

const backend = section(
  {
    name: optionalKey(name(), 'its address', 'What this backend is called in logs, metrics and commands.'),
    address: requiredKey(
      backendAddress(),
      'Where it is; host names are resolved at start and at each reload.',
    ),
    weight: key(integer(1, 256), 1, 'Its share, relative to the others in the pool.'),
    maxConnections: optionalKey(
      maxConnections,
      'no limit',
      'Sessions it may have; beyond them others are chosen, or clients wait.',
    ),
    backup: key(flag(), false, 'Whether it serves only while no other backend can.'),
  },
  'a mapping with address',
);

const warmSize = () => integer(0, 1_000);
/** Half of the shortest that a mail server in use gives a silent client by itself: a minute, on Exchange's edge. */
export const WARM_MAX_AGE_MS = 30_000;

const warm = section(
  {
    size: requiredKey(warmSize(), 'How many are kept to each backend, over all shards.'),
    maxAge: key(
      duration('1s', '1h'),
      `${WARM_MAX_AGE_MS / 1_000}s`,
      'When they are renewed at the latest; well below the time after which the backends close silent connections.',
    ),
  },
  'a mapping with size and maxAge',
);

const connect = section(
  {
    timeout: key(duration('10ms', '5m'), '5s', 'How long a connection to a backend may take to open.'),
    greetingTimeout: key(
      duration('10ms', '10m'),
      '30s',
      'How long an open connection may stay without a greeting, TLS and XCLIENT of ours included (RFC 5321 section 4.5.3.2.1 gives a client 5 minutes).',
    ),
    attempts: key(integer(1, 16), 3, 'Backends tried for one session, the first one included.'),
    retryOnGreeting: key(
      list(integer(400, 599), 'reply codes', 0, 16),
      [],
      'Greetings after which another backend is tried; all others are passed on to the client.',
    ),
  },
  'a mapping with timeout, greetingTimeout, attempts and retryOnGreeting',
);

const queue = section(
  {
    size: key(
      integer(0, 100_000),
      1_000,
      'Sessions that may wait while every backend is full; 0 refuses them at once.',
    ),
    timeout: key(duration('10ms', '5m'), '10s', 'How long one may wait before it hears 421.'),
  },
  'a mapping with size and timeout',
);

const passiveHealth = section(
  {
    failures: key(
      integer(1, 1_000),
      3,
      'Failed connects or bad greetings in a row after which a backend is left alone.',
    ),
    pause: key(
      duration('10ms', '1h'),
      '1s',
      'For how long, the first time; doubled each time it fails again.',
    ),
    maxPause: key(duration('10ms', '24h'), '30s', 'For how long at most.'),
  },
  'a mapping with failures, pause and maxPause',
);

const checkedPassiveHealth = expecting(
  passiveHealth.check(
    z.superRefine((value, context) => {
      if (value.pause > value.maxPause) {
        refuse(context, ['pause'], `pause is longer than maxPause, expected at most ${value.maxPause}ms`);
      }
    }),
  ),
  'a mapping with failures, pause and maxPause',
);

const pool = section(
  {
    name: key(name(), 'default', 'What this pool is called in logs, metrics, commands and listeners.'),
    balance: key(
      choice('least-connections', 'round-robin', 'source-hash'),
      'least-connections',
      'How a backend is chosen: the least loaded by weight, in turn by weight, or by the address of the client.',
    ),
    sticky: optionalKey(
      section(
        {
          by: key(
            choice('client-address', 'client-network', 'server-name', 'hello-name'),
            'client-address',
            'What is remembered of a client; the names only where the listener knows them before a backend is chosen.',
          ),
          ttl: key(duration('1s', '7d'), '30m', 'For how long after its last session.'),
          timeout: key(
            duration('1ms', '1s'),
            '20ms',
            'How long a session waits for what the cluster remembers; then its backend follows from a hash.',
          ),
          ipv4Prefix: key(
            integer(8, 32),
            24,
            'With client-network: bits of an IPv4 address that make a network.',
          ),
          ipv6Prefix: key(
            integer(16, 128),
            64,
            'With client-network: bits of an IPv6 address that make a network.',
          ),
        },
        'a mapping with by, ttl, timeout, ipv4Prefix and ipv6Prefix',
      ),
      'clients are not remembered',
      'Sends a client to the backend that served it before.',
    ),
    identity: key(
      choice('none', 'proxy-v1', 'proxy-v2', 'xclient', 'transparent'),
      'none',
      'How backends learn the address of the client. With none they see the address of smtplb, and one that trusts it relays for everybody.',
    ),
    xclient: key(
      section(
        {
          required: key(flag(), false, 'Whether a backend that does not offer XCLIENT is left for another.'),
        },
        'a mapping with required',
      ),
      {},
      'With identity xclient: what holds where a backend does not offer it.',
    ),
    source: key(
      list(ipAddressText(), 'IP addresses', 0, 64),
      [],
      'Addresses of this host to connect to the backends from, in turn; none leaves it to the kernel.',
    ),
    warm: key(
      either(warmSize(), warm),
      0,
      'Connections to each backend that are opened ahead of clients, greeting read and TLS done; not with proxy-v1, proxy-v2 or transparent.',
    ),
    connect: key(connect, {}, 'Reaching a backend; all of it before the client has seen a byte.'),
    queue: key(queue, {}, 'Where sessions wait while every backend is at its maxConnections.'),
    check: key(checkSchema, {}, 'Active health checks.'),
    passiveHealth: key(checkedPassiveHealth, {}, 'What sessions that fail say about a backend.'),
    slowStart: key(
      duration('0s', '1h'),
      '0s',
      'How long the share of a backend that returns grows until it is full.',
    ),
    tls: key(poolTlsSchema, {}, 'TLS towards backends.'),
    backends: requiredKey(list(backend, 'backends', 1, MAX_BACKENDS), 'Who serves the sessions.'),
  },
  'a mapping with backends',
);

export const poolSchema = expecting(
  pool.check(
    z.superRefine((value, context) => {
      const { identity, source, xclient } = value;
      const size = typeof value.warm === 'number' ? value.warm : value.warm.size;
      if (size > 0 && identity !== 'none' && identity !== 'xclient') {
        refuse(
          context,
          ['warm'],
          `warm does not go with identity ${identity}, whose connections begin with the client`,
        );
      }
      if (source.length > 0 && identity === 'transparent') {
        refuse(
          context,
          ['source'],
          "source has no effect with identity transparent, which connects from the client's address",
        );
      }
      if (xclient.required && identity !== 'xclient') {
        refuse(
          context,
          ['xclient'],
          'xclient has no effect beside another identity, expected identity xclient',
        );
      }
    }),
  ),
  'a mapping with backends',
);
