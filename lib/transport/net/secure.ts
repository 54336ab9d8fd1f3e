import type { Socket } from 'node:net';
import { TLSSocket, type TLSSocketOptions } from 'node:tls';
import { readClientHello } from '../../tls/client-hello.ts';
import { backendContext, secureContextOf } from '../../tls/secure-context.ts';
import type { TlsClientOptions, TlsServerOptions } from '../tls-contract.ts';
import { tlsFaultOf } from '../tls-fault.ts';
import type { NetConnection } from './connection.ts';
import { backendInfo, startTls } from './tls-client.ts';
import { infoOf } from './tls-info.ts';

/** TLS on a `net` connection; see `Transport.secure`. `highWaterMark` bounds what is held for a slow peer. */
export function secure(
  connection: NetConnection,
  options: TlsServerOptions | TlsClientOptions,
  highWaterMark: number,
): void {
  if (options.role === 'client') secureAsClient(connection, options);
  else new ServerHandshake(connection, options, highWaterMark).begin();
}

function secureAsClient(connection: NetConnection, options: TlsClientOptions): void {
  const { onSession, serverName, session, settings } = options;
  const context = backendContext(settings);
  connection.beginSecuring(() => {});
  connection.adopt(plain => {
    const socket = startTls(plain, { context, serverName, session });
    if (onSession !== undefined) socket.on('session', onSession);
    socket.once('secureConnect', () => connection.secured(backendInfo(socket, serverName)));
    return told(socket, connection);
  });
}

/**
 * The server's side. Node chooses a certificate by server name with a callback that swaps a single certificate and keeps
 * the rest of the first context: RSA and ECDSA side by side, authorities and tickets would get mixed up. So the
 * ClientHello is read here, in the clear, and the TLS socket is made with the right context from the start.
 */
class ServerHandshake {
  readonly #connection: NetConnection;
  readonly #options: TlsServerOptions;
  readonly #highWaterMark: number;
  #hello: Uint8Array;
  #isWhole = false;

  constructor(connection: NetConnection, options: TlsServerOptions, highWaterMark: number) {
    this.#connection = connection;
    this.#options = options;
    this.#highWaterMark = highWaterMark;
    this.#hello = Uint8Array.from(options.first ?? []);
  }

  begin(): void {
    this.#connection.beginSecuring(bytes => {
      // Nearly always it comes in one piece, or two: nothing is joined twice.
      this.#hello = this.#hello.length === 0 ? Uint8Array.from(bytes) : Buffer.concat([this.#hello, bytes]);
      this.#look();
    });
    this.#connection.resume();
    if (this.#hello.length > 0) setImmediate(() => this.#look());
  }

  #look(): void {
    if (this.#connection.destroyed || this.#isWhole) return;
    const hello = readClientHello(this.#hello);
    if (hello.status === 'incomplete') return;
    if (hello.status === 'invalid') {
      this.#connection.tlsFailed({
        code: 'not-tls',
        text: `the client began no TLS handshake: ${hello.reason}`,
      });
      return;
    }
    this.#isWhole = true;
    const secureContext = secureContextOf(this.#options.settingsFor(hello));
    this.#connection.adopt(plain => this.#over(plain, { secureContext }, hello.serverName));
  }

  #over(plain: Socket, { secureContext }: TLSSocketOptions, serverName: string | null): Socket {
    const { clientCertificates } = this.#options;
    plain.pause();
    plain.unshift(this.#hello);
    const options = {
      isServer: true,
      secureContext,
      requestCert: clientCertificates !== 'ignored',
      rejectUnauthorized: clientCertificates === 'required',
      highWaterMark: this.#highWaterMark,
    };
    const socket = new TLSSocket(plain, options);
    socket.once('secure', () => {
      const info = infoOf(socket, serverName, () => verifyError(socket));
      if (clientCertificates !== 'required' || info.peer?.verified === true) this.#connection.secured(info);
      else {
        const why = info.peer === null ? 'it has none' : info.peer.fault;
        this.#connection.tlsFailed({
          code: 'certificate',
          text: `the client's certificate is not accepted: ${why}`,
        });
      }
    });
    return told(socket, this.#connection);
  }
}

/** Errors of a handshake that has not been handed over are told by an event of their own, and never as `error`. */
function told(socket: TLSSocket, connection: NetConnection): Socket {
  const failed = (error: NodeJS.ErrnoException): void => {
    // What the kernel says is the connection's business, not the handshake's.
    if (error.syscall === undefined) connection.tlsFailed(tlsFaultOf(error));
  };
  socket.on('_tlsError', failed);
  socket.prependListener('error', failed);
  return socket;
}

/** What OpenSSL says of a client's certificate; Node asks it for servers of its own only. */
function verifyError(socket: TLSSocket): NodeJS.ErrnoException | string | null {
  const { ssl } = socket as unknown as { ssl: { verifyError(): NodeJS.ErrnoException | null } | null };
  return ssl === null ? 'CLOSED' : ssl.verifyError();
}
