/** What a pool may say of the active checks of its backends. */
import { z } from 'zod';
import {
  choice,
  expecting,
  flag,
  integer,
  key,
  optionalKey,
  refuse,
  requiredKey,
  section,
} from './pieces.ts';
import { duration, filePath, heloName, host, mailbox, reversePath } from './units.ts';

const starttls = section(
  {
    verify: key(flag(), true, 'Whether the certificate must be valid: its chain, its dates and its name.'),
    serverName: optionalKey(
      host(),
      "the backend's name, or its address",
      'The name the certificate must be valid for; sent as SNI.',
    ),
    ca: optionalKey(
      filePath(),
      'the authorities Node knows',
      'A PEM file with the authority to trust; read at each check.',
    ),
  },
  'a mapping with verify, serverName and ca',
);

const mail = section(
  {
    from: key(reversePath(), '', 'The address given in MAIL FROM; empty for the null sender of bounces.'),
    to: requiredKey(mailbox(), 'The address given in RCPT TO; it must be one the backend takes mail for.'),
  },
  'a mapping with from and to',
);

const WORDS =
  'a mapping with type, interval, timeout, rise, fall, helo, address, port, proxyHeader, starttls, instances and mail';

const check = section(
  {
    type: key(
      choice('none', 'tcp', 'smtp'),
      'none',
      'What a check does: open a connection, or greet in SMTP and take leave with QUIT; for LMTP backends, tcp.',
    ),
    interval: key(duration('100ms', '1h'), '5s', 'From one check of a backend to the next.'),
    timeout: key(
      duration('10ms', '5m'),
      '5s',
      'How long a check may take; a postscreen that does not know this client pauses for 6s.',
    ),
    rise: key(integer(1, 100), 2, 'Good checks in a row that bring a backend up.'),
    fall: key(
      integer(1, 100),
      3,
      'Bad checks in a row that take it down; after a start the first bad one does.',
    ),
    helo: optionalKey(heloName(), 'hostName', 'The name given in EHLO.'),
    address: optionalKey(host(), "the backend's own", 'The host to check instead.'),
    port: optionalKey(integer(1, 65_535), "the backend's own", 'The port to check instead.'),
    proxyHeader: key(
      flag(),
      true,
      'Whether checks open with a PROXY header where the identity of the pool is proxy-v1 or proxy-v2.',
    ),
    starttls: optionalKey(
      starttls,
      'no TLS',
      'Whether a check goes on over TLS, with what certificate; only for type smtp.',
    ),
    instances: optionalKey(
      integer(1, 64),
      'all of them',
      'How many instances of the cluster check each backend; the others take over what those find.',
    ),
    mail: optionalKey(
      mail,
      'no transaction',
      'Envelope of a mail that is begun and reset, so that nothing is sent; only for type smtp.',
    ),
  },
  WORDS,
);

export const checkSchema = expecting(
  check.check(
    z.superRefine((value, context) => {
      for (const name of ['starttls', 'mail'] as const) {
        if (value.type !== 'smtp' && value[name] !== undefined)
          refuse(context, [name], `${name} has no effect on these checks, expected type smtp beside it`);
      }
      if (value.starttls?.verify === false && value.starttls.ca !== undefined)
        refuse(
          context,
          ['starttls', 'ca'],
          'ca has no effect where nothing is verified, expected verify true beside it',
        );
    }),
  ),
  WORDS,
);
