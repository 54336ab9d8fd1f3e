/** What the file may say of the instances that share state, and of the Redis that holds it. */
import {
  either,
  expecting,
  flag,
  integer,
  key,
  list,
  optionalKey,
  requiredKey,
  section,
  text,
} from './pieces.ts';
import { filePath, host, hostPort, name } from './units.ts';

const nodes = () => list(hostPort(), 'hosts with ports', 1, 64);

const url = () =>
  text(
    'a URL such as redis://127.0.0.1:6379/0 or rediss://user:password@redis.example.net',
    /^rediss?:\/\/[^\s/]+(?:\/\d*)?$/,
  );

const secret = () => text('1 to 512 characters without spaces', /^[^\s]{1,512}$/);

const tls = section(
  {
    ca: optionalKey(filePath(), 'the authorities Node knows', 'A PEM file with the authority to trust.'),
    verify: key(flag(), true, 'Whether the certificate must be valid: its chain, its dates and its name.'),
    serverName: optionalKey(host(), 'the host connected to', 'The name the certificate must be valid for.'),
    cert: optionalKey(
      filePath(),
      'none',
      'A PEM file with a certificate of our own, where Redis asks for one.',
    ),
    key: optionalKey(filePath(), 'none', 'Its private key.'),
  },
  'a mapping with ca, verify, serverName, cert and key',
);

/** What every way to reach Redis may say beside it. */
const common = {
  username: optionalKey(secret(), 'the default user', 'The ACL user.'),
  password: optionalKey(
    secret(),
    'none',
    'Its password; better taken from the environment than written here.',
  ),
  tls: optionalKey(
    tls,
    'no TLS, or as the URL says',
    'TLS towards Redis; an empty mapping takes the defaults.',
  ),
};

const redis = either(
  url(),
  section({ url: requiredKey(url(), 'Where Redis is.'), ...common }, 'a mapping with url'),
  section(
    {
      sentinels: requiredKey(nodes(), 'The Sentinels to ask for the primary.'),
      master: requiredKey(
        text('the name Sentinel gives the primary', /^[^\s]{1,256}$/),
        'Which primary to ask for.',
      ),
      sentinelUsername: optionalKey(secret(), 'the default user', 'The ACL user at the Sentinels.'),
      sentinelPassword: optionalKey(secret(), 'none', 'Its password.'),
      database: key(integer(0, 1_023), 0, 'The number of the database.'),
      ...common,
    },
    'a mapping with sentinels and master',
  ),
  section(
    { cluster: requiredKey(nodes(), 'Some nodes of a Redis Cluster.'), ...common },
    'a mapping with cluster',
  ),
);

export const clusterSchema = expecting(
  section(
    {
      name: key(
        name(),
        'smtplb',
        'What the instances that share state have in common; part of every Redis key.',
      ),
      redis: optionalKey(redis, 'this instance is alone', 'The Redis that holds the shared state.'),
    },
    'a mapping with name and redis',
  ),
  'a mapping with name and redis',
);
