import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Address, formatAddress } from '../core/address.ts';
import { monotonicMs } from '../core/clock.ts';
import { descriptorOf, listenOn, stopListening } from '../transport/net/listen.ts';
import { type Answer, failure, json, text } from './answer.ts';
import { answerApi } from './api.ts';
import type { Control } from './control.ts';
import { createEvents } from './events.ts';
import { type GuardOptions, refuseHost } from './guard.ts';
import { type History, startHistory } from './history.ts';
import { readPage } from './page.ts';

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
  /** A socket that listens on this address already, handed down to this process. `foreign`: its path is not ours. */
  readonly takeInherited: (
    address: string,
  ) => { readonly descriptor: number; readonly foreign: boolean } | undefined;
}

/** The operator's doors: HTTP on TCP and on a Unix socket. */
export interface Admin {
  /** Where the TCP door is, with the port that was given where 0 was asked for; null where there is none. */
  readonly address: Address | null;
  /** What a successor may inherit. */
  readonly inheritable: readonly {
    readonly address: string;
    readonly descriptor: number | undefined;
    readonly foreign: boolean;
  }[];
  /** Ends all calls; `handedOver` if a successor listens on the same sockets. */
  close(handedOver?: boolean): Promise<void>;
}

interface Door {
  readonly server: Server;
  /** As the configuration has it, and as it is bound. */
  readonly configured: string;
  readonly bound: Address;
  readonly inherited: ReturnType<AdminOptions['takeInherited']>;
}

/** A caller that stalls gives its connection up after this many milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Owner and group: the file's permissions are all that guards it. */
const SOCKET_MODE = 0o660;

/** Rejects with a sentence that names the address where one cannot be listened on. */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const { control } = options;
  const events = createEvents(control);
  const behind: Behind = {
    ...options,
    page: readPage(),
    history: startHistory(() => control.status(), monotonicMs),
  };
  const doors: Door[] = [];
  const open = async (address: Address, guardOf: () => GuardOptions): Promise<Address> => {
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
      answer(request, url, behind, guard).then(
        found => send(response, request, found),
        error =>
          send(response, request, failure(500, error instanceof Error ? error.message : String(error))),
      );
    });
    server.maxConnections = options.maxConnections;
    const configured = formatAddress(address);
    const inherited = options.takeInherited(configured);
    const bound = await listenOn(server, address, { inherited: inherited?.descriptor }).catch(
      (error: NodeJS.ErrnoException) => {
        throw new Error(`the admin listener cannot listen on ${configured}: ${error.code ?? error.message}`);
      },
    );
    doors.push({ server, configured, bound, inherited });
    return bound;
  };

  const close = async (staysOpen: (door: Door) => boolean): Promise<void> => {
    events.close();
    behind.history.close();
    await Promise.all(doors.map(door => closed(door, staysOpen(door))));
  };
  try {
    const { access, listen, socket } = options;
    const address = listen === null ? null : await open(listen, () => ({ trusted: false, ...access() }));
    if (socket !== null) {
      await open({ family: 'unix', path: socket }, () => ({ trusted: true, token: null, hosts: [] }));
      chmodSync(socket, SOCKET_MODE);
    }
    const inheritable = doors.map(({ configured, server, inherited }) => ({
      address: configured,
      descriptor: descriptorOf(server),
      foreign: inherited?.foreign === true,
    }));
    return {
      address,
      inheritable,
      close: handedOver => close(door => handedOver === true || door.inherited?.foreign === true),
    };
  } catch (error) {
    // Whoever handed a socket down carries on with it.
    await close(door => door.inherited !== undefined);
    throw error;
  }
}

/** What the doors open to. */
interface Behind extends AdminOptions {
  readonly page: ReadonlyMap<string, Answer>;
  readonly history: History;
}

async function answer(
  request: IncomingMessage,
  url: URL,
  behind: Behind,
  guard: GuardOptions,
): Promise<Answer> {
  const { pathname } = url;
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  const onlyRead = text(405, 'Only GET is answered here.\n');
  if (pathname === '/metrics' || pathname === '/healthz' || pathname === '/readyz') {
    return isRead ? forMachines(pathname, behind) : onlyRead;
  }
  const refusal = refuseHost(request, guard);
  if (refusal !== null) return failure(refusal.status, refusal.message);
  if (pathname === '/api/v1/history' && isRead) return json(200, behind.history.read());
  if (pathname.startsWith('/api/v1/')) return answerApi(request, url, behind.control, guard);
  const file = behind.page.get(pathname);
  if (file !== undefined) return isRead ? file : onlyRead;
  return text(404, 'There is a status page at /, and /metrics, /healthz, /readyz and /api/v1/status.\n');
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

function closed({ server, bound }: Door, handedOver: boolean): Promise<void> {
  return new Promise(resolve => {
    server.on('close', () => resolve());
    stopListening(server, bound, handedOver);
    server.closeAllConnections();
  });
}
