/** What a listener may say in the file. */
import { MAX_LISTEN_ADDRESSES, MAX_NETWORKS } from '../core/limits.ts';
import { listenerTlsSchema } from './listener-tls-schema.ts';
import { choice, either, integer, key, list, optionalKey, requiredKey, section } from './pieces.ts';
import { duration, listenAddress, name, network, rate } from './units.ts';

const networks = (min: number) => list(network(), 'networks', min, MAX_NETWORKS);

const listen = either(
  listenAddress(),
  list(listenAddress(), 'addresses to listen on', 1, MAX_LISTEN_ADDRESSES),
);

const perClient = section(
  {
    connections: optionalKey(integer(1, 1_000_000), 'no limit', 'Connections one client may have open here.'),
    rate: optionalKey(rate(), 'no limit', 'Connections one client may make in a span of time.'),
    ipv6Prefix: key(integer(1, 128), 64, 'How many bits of an IPv6 address make one client.'),
    scope: key(
      choice('instance', 'cluster'),
      'instance',
      'Whose sessions are counted; over the cluster the limits hold roughly, see docs/cluster.md.',
    ),
  },
  'a mapping of limits per client',
);

const limits = section(
  {
    connections: optionalKey(integer(1, 1_000_000), 'no limit', 'Connections open on this listener.'),
    perClient: key(perClient, {}, 'Limits on each client, known by its address.'),
  },
  'a mapping of limits',
);

const timeouts = section(
  {
    proxyHeader: key(
      duration('10ms', '1m'),
      '5s',
      'How long the sender of a PROXY header may take for all of it.',
    ),
    handshake: key(
      duration('10ms', '1h'),
      '5m',
      'How long a session may take from its greeting until it is relayed; not renewed by what is sent (RFC 5321 section 4.5.3.2.7: 5 minutes).',
    ),
    idle: key(
      duration('10ms', '24h'),
      '11m',
      'How long a relayed session may be silent both ways (RFC 5321 section 4.5.3.2.6: a client waits 10 minutes for the reply to its message).',
    ),
  },
  'a mapping of timeouts',
);

export const listenerSchema = section(
  {
    name: optionalKey(
      name(),
      'the name of its pool, or listener-N where that is taken',
      'What this listener is called in logs, metrics and commands.',
    ),
    listen: requiredKey(listen, 'Where clients connect.'),
    pool: requiredKey(name(), 'The name of the pool that serves this listener.'),
    backlog: key(integer(1, 65_535), 4_096, 'Connections the kernel may hold until they are accepted.'),
    proxyProtocol: optionalKey(
      section(
        {
          from: requiredKey(
            networks(1),
            'Where every connection must begin with a PROXY header; from elsewhere none is looked for.',
          ),
        },
        'a mapping with from',
      ),
      'no PROXY header is expected',
      'The PROXY protocol, versions 1 and 2, from balancers in front of this one.',
    ),
    clients: key(
      section(
        {
          allow: key(networks(0), [], 'Clients that may connect; an empty list allows all.'),
          deny: key(networks(0), [], 'Clients that may not connect, even where allow lists them.'),
        },
        'a mapping with allow and deny',
      ),
      {},
      'Who may connect.',
    ),
    limits: key(limits, {}, 'How many sessions it takes, in all and from one client.'),
    tls: key(listenerTlsSchema, {}, 'TLS towards clients.'),
    timeouts: key(timeouts, {}, 'How long clients may take.'),
  },
  'a mapping with listen and pool',
);
