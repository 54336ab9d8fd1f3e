/** What a pool may say of TLS towards its backends. */
import { z } from 'zod';
import { certificateSchema, minTlsVersion } from './listener-tls-schema.ts';
import { choice, expecting, flag, key, list, optionalKey, refuse, section, text } from './pieces.ts';
import { filePath, host } from './units.ts';

const WORDS = 'a mapping with mode, verify, ca, serverName, fingerprints, certificate and minVersion';

const tls = section(
  {
    mode: key(
      choice('none', 'may', 'starttls', 'implicit'),
      'none',
      'How TLS with the backends begins, where smtplb speaks it; may takes STARTTLS where it is offered, and goes on without where it is not, or fails.',
    ),
    verify: optionalKey(
      flag(),
      'true, but false with mode may',
      "Whether a backend's certificate must be valid for its name.",
    ),
    ca: optionalKey(filePath(), 'the authorities Node knows', 'A PEM file with the authority to trust.'),
    serverName: optionalKey(
      host(),
      "the backend's name, or its address",
      'The name the certificates must be valid for; sent as SNI.',
    ),
    fingerprints: key(
      list(
        text(
          'the SHA-256 fingerprint of a certificate or of its public key, as 64 hexadecimal digits with or without colons',
          /^[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31}$/,
        ),
        'fingerprints',
        0,
        16,
      ),
      [],
      'Certificates, or public keys, that are trusted, and no others, whatever their names and authorities.',
    ),
    certificate: optionalKey(
      certificateSchema,
      'none',
      'A certificate of our own, where backends ask for one.',
    ),
    minVersion: minTlsVersion(),
  },
  WORDS,
);

const WITH_TLS = ['verify', 'ca', 'serverName', 'fingerprints', 'certificate'] as const;

export const poolTlsSchema = expecting(
  tls.check(
    z.superRefine((value, context) => {
      for (const name of WITH_TLS) {
        const given = value[name];
        if (value.mode !== 'none' || given === undefined || (Array.isArray(given) && given.length === 0))
          continue;
        const verb = name === 'fingerprints' ? 'have' : 'has';
        refuse(
          context,
          [name],
          `${name} ${verb} no effect without TLS, expected mode starttls or implicit beside it`,
        );
      }
      if (value.verify === false && value.ca !== undefined) {
        refuse(context, ['ca'], 'ca has no effect where nothing is verified, expected verify true beside it');
      }
    }),
  ),
  WORDS,
);
