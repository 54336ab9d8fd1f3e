import type { KoffiFunc } from 'koffi';
import type { Program } from '../foreign.ts';

/** Where an object of OpenSSL is; 0: nowhere. Only the files of this folder know any. */
export type Place = number & { readonly of: 'openssl' };
export const NOWHERE = 0 as Place;

/**
 * OpenSSL, as far as TLS needs it: the one that Node itself is made with, whose functions Node offers to
 * native add-ons (nodejs.org, "C++ addons": "Linking to libraries included with Node.js"). Its own manual pages say what
 * each does; macros of its headers are `contextControl` and the like here, with the numbers of `CONTROL`.
 */
export interface Calls extends Releases {
  readonly contextNew: (role: 'server' | 'client') => Place;
  readonly contextControl: (context: Place, command: number, number: number, place: Place) => number;
  readonly contextControlBytes: (
    context: Place,
    command: number,
    number: number,
    bytes: Uint8Array,
  ) => number;
  readonly contextOptions: (context: Place, options: number) => void;
  readonly contextCiphers: (context: Place, list: string) => number;
  readonly contextSuites: (context: Place, list: string) => number;
  readonly contextCertificate: (context: Place, certificate: Place) => number;
  readonly contextKey: (context: Place, key: Place) => number;
  readonly contextStore: (context: Place) => Place;
  readonly contextClientAuthority: (context: Place, certificate: Place) => number;
  readonly contextVerify: (context: Place, mode: number, callback: bigint) => void;
  readonly contextSessionId: (context: Place, bytes: Uint8Array, length: number) => number;
  /** The context has a reference of its own from now on. */
  readonly contextUseStore: (context: Place, store: Place) => void;
  readonly storeNew: () => Place;
  readonly storeAdd: (store: Place, certificate: Place) => number;
  readonly readCertificate: (from: Place) => Place;
  readonly readKey: (from: Place) => Place;
  readonly certificateFree: (certificate: Place) => void;
  readonly certificateDer: (certificate: Place, out: Uint8Array | null) => number;
  readonly keyFree: (key: Place) => void;
  readonly memory: () => Place;
  readonly memoryOf: (bytes: Uint8Array, length: number) => Place;
  readonly memoryWrite: (memory: Place, bytes: Uint8Array, length: number) => number;
  readonly memoryRead: (memory: Place, bytes: Uint8Array, length: number) => number;
  readonly memoryPending: (memory: Place) => number;
  readonly memoryFree: (memory: Place) => number;
  readonly sslNew: (context: Place) => Place;
  /** Both memories are its own from now on. */
  readonly sslMemories: (ssl: Place, read: Place, write: Place) => void;
  readonly sslAccept: (ssl: Place) => void;
  readonly sslConnect: (ssl: Place) => void;
  /** `name`: octets that end with a zero. */
  readonly sslAskFor: (ssl: Place, name: Uint8Array) => void;
  readonly sslSession: (ssl: Place) => Place;
  readonly sslResume: (ssl: Place, session: Place) => number;
  readonly sessionResumable: (session: Place) => number;
  readonly sessionDer: (session: Place, out: Uint8Array | null) => number;
  readonly sessionOf: (der: Uint8Array) => Place;
  readonly sessionFree: (session: Place) => void;
  readonly sslHandshake: (ssl: Place) => number;
  readonly sslRead: (ssl: Place, into: Uint8Array, length: number) => number;
  readonly sslWrite: (ssl: Place, bytes: Uint8Array, length: number) => number;
  readonly sslShutdown: (ssl: Place) => number;
  readonly sslError: (ssl: Place, returned: number) => number;
  readonly sslVersion: (ssl: Place) => string;
  readonly sslCipher: (ssl: Place) => Place;
  readonly cipherName: (cipher: Place) => string;
  readonly sslReused: (ssl: Place) => number;
  readonly sslPeer: (ssl: Place) => Place;
  readonly sslVerified: (ssl: Place) => number;
  readonly verifyText: (result: number) => string;
  readonly errorTake: () => number;
  readonly errorReason: (error: number) => string | null;
  readonly errorClear: () => void;
  /** Something C can call that says yes to every certificate; what was wrong with it is remembered all the same. */
  readonly acceptAll: bigint;
}

/** What gives objects back: for any thread, once nobody uses them. */
export interface Releases {
  readonly contextFree: (context: Place) => void;
  readonly sslFree: (ssl: Place) => void;
  readonly storeFree: (store: Place) => void;
}

/** Commands of SSL_CTX_ctrl (ssl.h); the same in OpenSSL 1.1 to 3.5. */
export const CONTROL = {
  MODE: 33,
  SESSION_CACHE: 44,
  TICKET_KEYS: 59,
  CHAIN_ADD: 89,
  DH_AUTO: 118,
  LEAST_VERSION: 123,
  MOST_VERSION: 124,
} as const;

export const VERSION = { '1.2': 0x303, '1.3': 0x304 } as const;
/** SSL_MODE_RELEASE_BUFFERS: an idle connection holds none. */
export const MODE_RELEASE_BUFFERS = 0x10;
/** SSL_OP_NO_RENEGOTIATION. */
export const NO_RENEGOTIATION = 1 << 30;
export const VERIFY = { NONE: 0, PEER: 1, PEER_REQUIRED: 3 } as const;
export const ERROR = { WANT_READ: 2, WANT_WRITE: 3, ZERO_RETURN: 6 } as const;
/** SSL_shutdown and an end of the peer need no more than these two values. */
export const OK = 1;

/** BIO_CTRL_PENDING (bio.h), SSL_CTRL_SET_TLSEXT_HOSTNAME (ssl.h). */
const PENDING = 10;
const SET_HOST_NAME = 55;

/** Binds these functions; throws as below. */
export function bindReleases({ library }: Pick<Program, 'library'>): Releases {
  const release = (name: string) =>
    library.func(name, 'void', ['uintptr_t']) as KoffiFunc<(place: Place) => void>;
  return {
    contextFree: release('SSL_CTX_free'),
    sslFree: release('SSL_free'),
    storeFree: release('X509_STORE_free'),
  };
}

/** Binds the functions; throws what koffi throws where the program lacks one. */
export function bindCalls(program: Program): Calls {
  const { library, addressOf, callback } = program;
  const bound = <A extends unknown[], R = number>(name: string, returns: string, ...args: string[]) =>
    library.func(name, returns, args) as KoffiFunc<(...args: A) => R>;
  const place = <A extends unknown[]>(name: string, ...args: string[]) =>
    bound<A, number | bigint>(name, 'uintptr_t', ...args);

  const serverMethod = place<[]>('TLS_server_method');
  const clientMethod = place<[]>('TLS_client_method');
  const contextNew = place<[Place]>('SSL_CTX_new', 'uintptr_t');
  const control = ['uintptr_t', 'int', 'long'] as const;
  const options = bound<[Place, number]>('SSL_CTX_set_options', 'uint64_t', 'uintptr_t', 'uint64_t');
  const store = place<[Place]>('SSL_CTX_get_cert_store', 'uintptr_t');
  const pem = ['uintptr_t', 'uintptr_t', 'uintptr_t', 'string'] as const;
  const readCertificate = place<[Place, number, number, string]>('PEM_read_bio_X509_AUX', ...pem);
  const readKey = place<[Place, number, number, string]>('PEM_read_bio_PrivateKey', ...pem);
  const certificateDer = bound<[Place, Uint8Array | null]>('i2d_X509', 'int', 'uintptr_t', 'void *');
  const sessionDer = bound<[Place, Uint8Array | null]>('i2d_SSL_SESSION', 'int', 'uintptr_t', 'void *');
  const sessionOf = place<[number, Uint8Array, number]>('d2i_SSL_SESSION', 'uintptr_t', 'void *', 'long');
  const storeNew = place<[]>('X509_STORE_new');
  const session = place<[Place]>('SSL_get_session', 'uintptr_t');
  const sslControl = bound<[Place, number, number, Uint8Array]>(
    'SSL_ctrl',
    'long',
    'uintptr_t',
    'int',
    'long',
    'void *',
  );
  const memoryMethod = place<[]>('BIO_s_mem');
  const memoryNew = place<[Place]>('BIO_new', 'uintptr_t');
  const memoryOf = place<[Uint8Array, number]>('BIO_new_mem_buf', 'void *', 'int');
  const memoryControl = bound<[Place, number, number, number]>(
    'BIO_ctrl',
    'long',
    'uintptr_t',
    'int',
    'long',
    'uintptr_t',
  );
  const sslNew = place<[Place]>('SSL_new', 'uintptr_t');
  const cipher = place<[Place]>('SSL_get_current_cipher', 'uintptr_t');
  const peer = place<[Place]>('SSL_get1_peer_certificate', 'uintptr_t');
  /** The address of an address, which is moved on. */
  const cursorAt = (bytes: Uint8Array): Uint8Array =>
    new Uint8Array(new BigUint64Array([addressOf(bytes)]).buffer);
  const at = (returned: number | bigint): Place => Number(returned) as Place;
  const octets = ['uintptr_t', 'void *', 'int'] as const;

  const methods = { server: at(serverMethod()), client: at(clientMethod()) };
  const memoryKind = at(memoryMethod());
  /** Without it a locked key would have OpenSSL ask for its password at the terminal. */
  const NO_PASSWORD = '';

  return {
    ...bindReleases(program),
    contextNew: role => at(contextNew(methods[role])),
    contextControl: bound('SSL_CTX_ctrl', 'long', ...control, 'uintptr_t'),
    contextControlBytes: bound('SSL_CTX_ctrl', 'long', ...control, 'void *'),
    contextOptions: (context, wanted) => void options(context, wanted),
    contextCiphers: bound('SSL_CTX_set_cipher_list', 'int', 'uintptr_t', 'string'),
    contextSuites: bound('SSL_CTX_set_ciphersuites', 'int', 'uintptr_t', 'string'),
    contextCertificate: bound('SSL_CTX_use_certificate', 'int', 'uintptr_t', 'uintptr_t'),
    contextKey: bound('SSL_CTX_use_PrivateKey', 'int', 'uintptr_t', 'uintptr_t'),
    contextStore: context => at(store(context)),
    contextClientAuthority: bound('SSL_CTX_add_client_CA', 'int', 'uintptr_t', 'uintptr_t'),
    contextVerify: bound<[Place, number, bigint], void>(
      'SSL_CTX_set_verify',
      'void',
      'uintptr_t',
      'int',
      'uintptr_t',
    ),
    contextSessionId: bound('SSL_CTX_set_session_id_context', 'int', 'uintptr_t', 'void *', 'uint'),
    contextUseStore: bound<[Place, Place], void>('SSL_CTX_set1_cert_store', 'void', 'uintptr_t', 'uintptr_t'),
    storeNew: () => at(storeNew()),
    storeAdd: bound('X509_STORE_add_cert', 'int', 'uintptr_t', 'uintptr_t'),
    readCertificate: from => at(readCertificate(from, 0, 0, NO_PASSWORD)),
    readKey: from => at(readKey(from, 0, 0, NO_PASSWORD)),
    certificateFree: bound<[Place], void>('X509_free', 'void', 'uintptr_t'),
    certificateDer: (certificate, out) => certificateDer(certificate, out && cursorAt(out)),
    keyFree: bound<[Place], void>('EVP_PKEY_free', 'void', 'uintptr_t'),
    memory: () => at(memoryNew(memoryKind)),
    memoryOf: (bytes, length) => at(memoryOf(bytes, length)),
    memoryWrite: bound('BIO_write', 'int', ...octets),
    memoryRead: bound('BIO_read', 'int', ...octets),
    memoryPending: memory => memoryControl(memory, PENDING, 0, 0),
    memoryFree: bound('BIO_free', 'int', 'uintptr_t'),
    sslNew: context => at(sslNew(context)),
    sslMemories: bound<[Place, Place, Place], void>(
      'SSL_set_bio',
      'void',
      'uintptr_t',
      'uintptr_t',
      'uintptr_t',
    ),
    sslAccept: bound<[Place], void>('SSL_set_accept_state', 'void', 'uintptr_t'),
    sslConnect: bound<[Place], void>('SSL_set_connect_state', 'void', 'uintptr_t'),
    sslAskFor: (ssl, name) => void sslControl(ssl, SET_HOST_NAME, 0, name),
    sslSession: ssl => at(session(ssl)),
    sslResume: bound('SSL_set_session', 'int', 'uintptr_t', 'uintptr_t'),
    sessionResumable: bound('SSL_SESSION_is_resumable', 'int', 'uintptr_t'),
    sessionDer: (from, out) => sessionDer(from, out && cursorAt(out)),
    sessionOf: bytes => at(sessionOf(0, cursorAt(bytes), bytes.length)),
    sessionFree: bound<[Place], void>('SSL_SESSION_free', 'void', 'uintptr_t'),
    sslHandshake: bound('SSL_do_handshake', 'int', 'uintptr_t'),
    sslRead: bound('SSL_read', 'int', ...octets),
    sslWrite: bound('SSL_write', 'int', ...octets),
    sslShutdown: bound('SSL_shutdown', 'int', 'uintptr_t'),
    sslError: bound('SSL_get_error', 'int', 'uintptr_t', 'int'),
    sslVersion: bound<[Place], string>('SSL_get_version', 'string', 'uintptr_t'),
    sslCipher: ssl => at(cipher(ssl)),
    cipherName: bound<[Place], string>('SSL_CIPHER_get_name', 'string', 'uintptr_t'),
    sslReused: bound('SSL_session_reused', 'int', 'uintptr_t'),
    sslPeer: ssl => at(peer(ssl)),
    sslVerified: bound('SSL_get_verify_result', 'long', 'uintptr_t'),
    verifyText: bound<[number], string>('X509_verify_cert_error_string', 'string', 'long'),
    errorTake: bound<[]>('ERR_get_error', 'ulong'),
    errorReason: bound<[number], string | null>('ERR_reason_error_string', 'string', 'ulong'),
    errorClear: bound<[], void>('ERR_clear_error', 'void'),
    acceptAll: callback(() => OK),
  };
}
