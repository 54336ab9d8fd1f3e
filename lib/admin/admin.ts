import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Address, formatAddress, ipAddress } from '../core/address.ts';
import { type Answer, failure, text } from './answer.ts';
import { answerApi } from './api.ts';
import type { Control } from './control.ts';
import { createEvents } from './events.ts';
import { type GuardOptions, refuseHost } from './guard.ts';

export interface AdminOptions {
  /** TCP or Unix; null for no such door. */
  readonly listen: Address | null;
  /** Path of the Unix socket that needs no token; null for none. */
  readonly socket: string | null;
  /** The token for verbs on TCP, and the names by which the TCP door may be called: as they are now. */
  readonly access: () => Pick<GuardOptions, 'token' | 'hosts'>;
  /** Connections at a time; more are closed unheard. They come out of the descriptors that sessions do not get. */
  readonly maxConnections: number;
  readonly metrics: { readonly contentType: string; scrape(): Promise<string> };
  /** Why new sessions should go elsewhere, or null while this instance takes them. */
  readonly unready: () => string | null;
  readonly control: Control;
}

/** The operator's doors: HTTP on TCP and on a Unix socket. */
export interface Admin {
  /** Where the TCP door is, with the port that was given where 0 was asked for; null where there is none. */
  readonly address: Address | null;
  close(): Promise<void>;
}

/** A caller that stalls gives its connection up after this many milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Owner and group: the file's permissions are all that guards it. */
const SOCKET_MODE = 0o660;

/** Rejects with a sentence that names the address where one cannot be listened on. */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const events = createEvents(options.control);
  const doors: Server[] = [];
  const open = async (address: Address, guardOf: () => GuardOptions): Promise<Server> => {
    const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      const url = urlOf(request);
      const guard = guardOf();
      if (
        url.pathname === '/api/v1/events' &&
        request.method === 'GET' &&
        refuseHost(request, guard) === null
      ) {
        return events.subscribe(request, response);
      }
      answer(request, url, options, guard).then(
        found => send(response, request, found),
        error =>
          send(response, request, failure(500, error instanceof Error ? error.message : String(error))),
      );
    });
    server.maxConnections = options.maxConnections;
    await listening(server, address);
    doors.push(server);
    return server;
  };

  const close = async (): Promise<void> => {
    events.close();
    await Promise.all(doors.map(closed));
  };
  try {
    const { access, listen, socket } = options;
    let address: Address | null = null;
    if (listen !== null) {
      address = boundTo(await open(listen, () => ({ trusted: false, ...access() })), listen);
    }
    if (socket !== null) {
      rmSync(socket, { force: true }); // left behind by a process that was killed
      await open({ family: 'unix', path: socket }, () => ({ trusted: true, token: null, hosts: [] }));
      chmodSync(socket, SOCKET_MODE);
    }
    return { address, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function answer(
  request: IncomingMessage,
  url: URL,
  options: AdminOptions,
  guard: GuardOptions,
): Promise<Answer> {
  const { pathname } = url;
  if (pathname === '/metrics' || pathname === '/healthz' || pathname === '/readyz') {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return text(405, 'Only GET is answered here.\n');
    return forMachines(pathname, options);
  }
  const refusal = refuseHost(request, guard);
  if (refusal !== null) return failure(refusal.status, refusal.message);
  if (pathname.startsWith('/api/v1/')) return answerApi(request, url, options.control, guard);
  return text(404, 'There is /metrics, /healthz, /readyz and /api/v1/status here.\n');
}

async function forMachines(
  pathname: '/metrics' | '/healthz' | '/readyz',
  options: AdminOptions,
): Promise<Answer> {
  if (pathname === '/metrics') {
    return { status: 200, type: options.metrics.contentType, body: await options.metrics.scrape() };
  }
  if (pathname === '/healthz') return text(200, 'ok\n');
  const unready = options.unready();
  return unready === null ? text(200, 'ready\n') : text(503, `${unready}\n`);
}

function urlOf(request: IncomingMessage): URL {
  try {
    return new URL(request.url ?? '/', 'http://admin');
  } catch {
    return new URL('http://admin/-');
  }
}

function send(
  response: ServerResponse,
  request: IncomingMessage,
  { status, type, body, headers }: Answer,
): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function listening(server: Server, address: Address): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code ?? error.message;
      reject(new Error(`the admin listener cannot listen on ${formatAddress(address)}: ${why}`));
    });
    const where =
      address.family === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
    server.listen(where, resolve);
  });
}

function boundTo(server: Server, asked: Address): Address {
  const bound = server.address() as AddressInfo | string | null;
  return (
    (typeof bound === 'object' && bound !== null ? ipAddress(bound.address, bound.port) : undefined) ?? asked
  );
}

function closed(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
