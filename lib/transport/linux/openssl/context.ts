import { hkdfSync } from 'node:crypto';
import { DEFAULT_CIPHERS } from 'node:tls';
import { wellKnownAuthorities } from '../../../tls/authorities.ts';
import type { ClientTlsSettings, ServerTlsSettings } from '../../tls-contract.ts';
import {
  type Calls,
  CONTROL,
  MODE_RELEASE_BUFFERS,
  NO_RENEGOTIATION,
  NOWHERE,
  OK,
  type Place,
  VERIFY,
  VERSION,
} from './calls.ts';
import { takeError } from './errors.ts';
import type { NotedAt, Possessions } from './possessions.ts';

/** What clients are asked for a certificate; see TlsServerOptions. */
export type AskClients = 'ignored' | 'optional' | 'required';

/** An SSL_CTX: what sessions with the same certificates have in common. */
export interface TlsContext {
  readonly place: Place;
}

const CERTIFICATES =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[\s\S]+?-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

/** Octets of a ticket key: 16 that name it, 32 for the checksum, 32 for the cipher (SSL_CTX_set_tlsext_ticket_keys). */
const KEY_NAME_OCTETS = 16;
const SECRET_OCTETS = 64;

/** Contexts of one thread. They live as long as their settings, and as long as a session of theirs. */
export class TlsContexts {
  readonly #calls: Calls;
  readonly #servers = new WeakMap<ServerTlsSettings, Map<AskClients, TlsContext>>();
  readonly #clients = new WeakMap<ClientTlsSettings, TlsContext>();
  readonly #owned: Possessions;
  readonly #left: FinalizationRegistry<{ readonly place: Place; readonly at: NotedAt }>;
  /** The authorities that Node knows; they are many, so all contexts share them. */
  #wellKnown: Place = NOWHERE;

  constructor(calls: Calls, owned: Possessions) {
    this.#calls = calls;
    this.#owned = owned;
    this.#left = new FinalizationRegistry(({ place, at }) => {
      owned.strike('context', at);
      calls.contextFree(place);
    });
  }

  /** Throws OpenSSL's reason where there can be none. */
  server(settings: ServerTlsSettings, ask: AskClients): TlsContext {
    const made = this.#servers.get(settings) ?? new Map<AskClients, TlsContext>();
    this.#servers.set(settings, made);
    let context = made.get(ask);
    if (context === undefined) {
      context = this.#noted(settings, serverContext(this.#calls, settings, ask));
      made.set(ask, context);
    }
    return context;
  }

  /** As `server`. Whatever a backend shows, the handshake goes on: it is judged by who asked for it. */
  client(settings: ClientTlsSettings): TlsContext {
    let context = this.#clients.get(settings);
    if (context === undefined) {
      context = this.#noted(
        settings,
        clientContext(this.#calls, settings, () => this.#authorities()),
      );
      this.#clients.set(settings, context);
    }
    return context;
  }

  #noted(settings: ServerTlsSettings | ClientTlsSettings, place: Place): TlsContext {
    this.#left.register(settings, { place, at: this.#owned.note('context', place) });
    return { place };
  }

  #authorities(): Place {
    if (this.#wellKnown === NOWHERE) {
      const calls = this.#calls;
      const store = calls.storeNew();
      for (const pem of wellKnownAuthorities()) addAuthorities(calls, store, pem);
      this.#owned.note('store', store);
      this.#wellKnown = store;
    }
    return this.#wellKnown;
  }
}

/** `fill` says what else there is to it, given a check of what OpenSSL returns. */
function makeContext(
  calls: Calls,
  role: 'server' | 'client',
  minVersion: '1.2' | '1.3',
  ciphers: string,
  fill: (context: Place, must: Must) => void,
): Place {
  const context = calls.contextNew(role);
  const must = (returned: number): void => {
    if (returned < OK) throw new Error(takeError(calls).text);
  };
  try {
    if (context === NOWHERE) must(0);
    calls.contextControl(context, CONTROL.MODE, MODE_RELEASE_BUFFERS, NOWHERE);
    // Tickets are all there is: nothing of a session is kept here.
    calls.contextControl(context, CONTROL.SESSION_CACHE, 0, NOWHERE);
    calls.contextOptions(context, NO_RENEGOTIATION);
    must(calls.contextControl(context, CONTROL.LEAST_VERSION, VERSION[minVersion], NOWHERE));
    must(calls.contextControl(context, CONTROL.MOST_VERSION, VERSION['1.3'], NOWHERE));
    setCiphers(calls, context, ciphers, must);
    fill(context, must);
    return context;
  } catch (error) {
    if (context !== NOWHERE) calls.contextFree(context);
    throw error;
  }
}

function clientContext(calls: Calls, settings: ClientTlsSettings, wellKnown: () => Place): Place {
  const { ca, certificate, minVersion } = settings;
  return makeContext(calls, 'client', minVersion, DEFAULT_CIPHERS, (context, must) => {
    if (ca === null) calls.contextUseStore(context, wellKnown());
    else addAuthorities(calls, calls.contextStore(context), ca);
    if (certificate !== null) usePair(calls, context, certificate.cert, certificate.key, must);
  });
}

function serverContext(calls: Calls, settings: ServerTlsSettings, ask: AskClients): Place {
  return makeContext(calls, 'server', settings.minVersion, settings.ciphers, (context, must) => {
    must(calls.contextControl(context, CONTROL.DH_AUTO, 1, NOWHERE));
    for (const { cert, key } of settings.pairs) usePair(calls, context, cert, key, must);
    const scope = Buffer.from(settings.sessionIdContext, 'latin1');
    must(calls.contextSessionId(context, scope, scope.length));
    if (settings.ticketKey !== null) {
      const keys = ticketKeys(settings.ticketKey);
      must(calls.contextControlBytes(context, CONTROL.TICKET_KEYS, keys.length, keys));
    }
    askClients(calls, context, settings.clientAuthorities, ask, must);
  });
}

type Must = (returned: number) => void;

/** OpenSSL has two lists, operators have one: suites of TLS 1.3 begin with `TLS_`. */
function setCiphers(calls: Calls, context: Place, ciphers: string, must: Must): void {
  const names = ciphers.split(':').filter(name => name !== '');
  const suites = names.filter(name => /^!?TLS_/.test(name));
  const older = names.filter(name => !suites.includes(name));
  // As with Node: who names none for TLS 1.2 does not want it.
  if (older.length > 0) must(calls.contextCiphers(context, older.join(':')));
  else must(calls.contextControl(context, CONTROL.LEAST_VERSION, VERSION['1.3'], NOWHERE));
  if (suites.length > 0) must(calls.contextSuites(context, suites.join(':')));
}

function usePair(calls: Calls, context: Place, cert: string, key: string, must: Must): void {
  const [own, ...chain] = cert.match(CERTIFICATES) ?? [];
  withCertificate(calls, own ?? '', certificate => must(calls.contextCertificate(context, certificate)));
  withMemory(calls, key, memory => {
    const found = calls.readKey(memory);
    if (found === NOWHERE) must(0);
    const used = calls.contextKey(context, found);
    calls.keyFree(found);
    must(used);
  });
  for (const pem of chain) {
    withCertificate(calls, pem, certificate =>
      must(calls.contextControl(context, CONTROL.CHAIN_ADD, 1, certificate)),
    );
  }
}

/**
 * With `optional` a certificate that is not valid does not end the handshake: what is wrong with it is told. With
 * `required` OpenSSL ends it, and the client hears why.
 */
function askClients(
  calls: Calls,
  context: Place,
  authorities: string | null,
  ask: AskClients,
  must: Must,
): void {
  if (ask === 'optional') calls.contextVerify(context, VERIFY.PEER, calls.acceptAll);
  else if (ask === 'required') calls.contextVerify(context, VERIFY.PEER_REQUIRED, 0n);
  const store = calls.contextStore(context);
  for (const pem of authorities?.match(CERTIFICATES) ?? []) {
    withCertificate(calls, pem, certificate => {
      must(calls.storeAdd(store, certificate));
      must(calls.contextClientAuthority(context, certificate));
    });
  }
}

function addAuthorities(calls: Calls, store: Place, pem: string): void {
  for (const one of pem.match(CERTIFICATES) ?? [])
    withCertificate(calls, one, certificate => calls.storeAdd(store, certificate));
  calls.errorClear(); // one that is in it already is none
}

function withCertificate(calls: Calls, pem: string, use: (certificate: Place) => void): void {
  withMemory(calls, pem, memory => {
    const certificate = calls.readCertificate(memory);
    if (certificate === NOWHERE) throw new Error(takeError(calls).text);
    try {
      use(certificate);
    } finally {
      // Whoever uses it has a reference of his own.
      calls.certificateFree(certificate);
    }
  });
}

function withMemory(calls: Calls, text: string, use: (memory: Place) => void): void {
  const bytes = Buffer.from(text, 'latin1');
  const memory = calls.memoryOf(bytes, bytes.length);
  try {
    use(memory);
  } finally {
    calls.memoryFree(memory);
  }
}

/** OpenSSL's own tickets want longer secrets than Node's do. The name stays: contexts are chosen by it. */
function ticketKeys(key: Uint8Array): Uint8Array {
  const name = key.subarray(0, KEY_NAME_OCTETS);
  const secrets = hkdfSync('sha256', key.subarray(KEY_NAME_OCTETS), name, 'session tickets', SECRET_OCTETS);
  return Buffer.concat([name, new Uint8Array(secrets)]);
}
