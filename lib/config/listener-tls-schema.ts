/** What a listener may say of TLS towards its clients. */
import { z } from 'zod';
import {
  choice,
  expecting,
  flag,
  key,
  list,
  optionalKey,
  refuse,
  requiredKey,
  section,
  text,
} from './pieces.ts';
import { filePath, name, serverNamePattern } from './units.ts';

export const certificateSchema = section(
  {
    cert: requiredKey(filePath(), 'PEM file with the certificate and its chain.'),
    key: requiredKey(filePath(), 'PEM file with the private key.'),
  },
  'a mapping with cert and key',
);

export const minTlsVersion = () =>
  key(choice('1.2', '1.3'), '1.2', 'The oldest version of TLS that is spoken.');

const clientCertificates = section(
  {
    ca: requiredKey(filePath(), "PEM file with the authorities that clients' certificates must come from."),
    required: key(flag(), false, 'Whether a client without a valid certificate is turned away.'),
  },
  'a mapping with ca and required',
);

const route = section(
  {
    names: requiredKey(
      list(serverNamePattern(), 'server names', 1, 1_000),
      'The names clients ask for in TLS, such as mail.example.net or *.example.org.',
    ),
    pool: requiredKey(name(), 'The name of the pool that serves them.'),
  },
  'a mapping with names and pool',
);

/** An EHLO keyword with its parameters (RFC 5321 section 4.1.1.1). */
const capability = () =>
  text(
    'an EHLO keyword with its parameters, such as SIZE 52428800',
    // A line of a reply has at most 512 octets (RFC 5321 section 4.5.3.1.5).
    /^(?=.{1,506}$)[A-Za-z0-9][A-Za-z0-9-]{0,63}(?: [\x21-\x7e]{1,128}){0,16}$/,
  );

const WORDS =
  'a mapping with mode, required, certificates, minVersion, ciphers, clientCertificates, routeBy, routes and capabilities';

const tls = section(
  {
    mode: key(
      choice('passthrough', 'starttls', 'implicit'),
      'passthrough',
      'Who speaks TLS with the client: passthrough leaves it to the backend, starttls (RFC 3207) and implicit (RFC 8314) terminate it here.',
    ),
    required: key(flag(), false, 'Whether mail commands are refused before STARTTLS.'),
    certificates: key(
      list(certificateSchema, 'certificates', 0, 256),
      [],
      'What clients are shown, chosen by the name they ask for; the first one where none fits.',
    ),
    minVersion: minTlsVersion(),
    ciphers: optionalKey(
      text('an OpenSSL cipher list', /^[A-Za-z0-9:!+@=_-]{1,2048}$/),
      "Mozilla's intermediate profile",
      'The cipher suites up to TLS 1.2.',
    ),
    clientCertificates: optionalKey(
      clientCertificates,
      'clients are not asked for certificates',
      'Certificates of clients; what they say is passed on by proxy-v2.',
    ),
    routeBy: optionalKey(
      choice('server-name'),
      'the pool of the listener serves all',
      'With passthrough: the server name a client asks for in STARTTLS chooses the pool; nothing is decrypted.',
    ),
    routes: key(
      list(route, 'routes', 0, 1_000),
      [],
      'Which pool serves which server names; the pool of the listener serves all others.',
    ),
    capabilities: key(
      list(capability(), 'EHLO keywords', 0, 32),
      ['PIPELINING', '8BITMIME', 'ENHANCEDSTATUSCODES'],
      'With routeBy: what EHLO is answered before STARTTLS, beside STARTTLS itself.',
    ),
  },
  WORDS,
);

/** Keys that only mean something where TLS ends here, and only where it is routed by server name. */
const TERMINATING = ['required', 'certificates', 'clientCertificates', 'ciphers'] as const;

export const listenerTlsSchema = expecting(
  tls.check(
    z.superRefine((value, context) => {
      const passthrough = value.mode === 'passthrough';
      for (const name of TERMINATING) {
        const given = value[name];
        const switchedOn = Array.isArray(given) ? given.length > 0 : given !== undefined && given !== false;
        if (!passthrough || !switchedOn) continue;
        const verb = name.endsWith('s') ? 'have' : 'has';
        refuse(
          context,
          [name],
          `${name} ${verb} no effect with mode passthrough, expected mode starttls or implicit`,
        );
      }
      if (!passthrough && value.certificates.length === 0) {
        refuse(
          context,
          ['certificates'],
          `missing, expected at least one certificate for mode ${value.mode}`,
        );
      }
      if (!passthrough && value.routeBy !== undefined) {
        refuse(
          context,
          ['routeBy'],
          `routeBy has no effect with mode ${value.mode}, expected mode passthrough`,
        );
      }
      const routed = new Set<string>();
      for (const [at, { names }] of value.routes.entries()) {
        for (const [nth, name] of names.entries()) {
          if (routed.has(name))
            refuse(
              context,
              ['routes', at, 'names', nth],
              `${name} has a route already, expected another name`,
            );
          routed.add(name);
        }
      }
      if (value.routeBy === undefined && value.routes.length > 0) {
        refuse(
          context,
          ['routes'],
          'routes have no effect without routeBy, expected routeBy: server-name beside them',
        );
      }
    }),
  ),
  WORDS,
);
