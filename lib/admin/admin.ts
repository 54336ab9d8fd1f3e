import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Address } from '../core/address.ts';
import { formatAddress, ipAddress } from '../core/address.ts';

export interface AdminOptions {
  readonly listen: Address;
  /** Connections at a time; more are closed unheard. They come out of the descriptors that sessions do not get. */
  readonly maxConnections: number;
  readonly metrics: { readonly contentType: string; scrape(): Promise<string> };
  /** Why new sessions should go elsewhere, or null while this instance takes them. */
  readonly unready: () => string | null;
}

/** The operator's door: HTTP, for machines so far. */
export interface Admin {
  readonly address: Address;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** A scraper that stalls gives its connection up after this many milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Rejects with a sentence that names the address where it cannot be listened on. */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    answer(request, options).then(
      found => send(response, request, found),
      error => send(response, request, text(500, `${error instanceof Error ? error.message : error}\n`)),
    );
  });
  server.maxConnections = options.maxConnections;
  const { listen } = options;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new Error(
          `the admin listener cannot listen on ${formatAddress(listen)}: ${error.code ?? error.message}`,
        ),
      ),
    );
    server.listen(
      listen.family === 'unix' ? { path: listen.path } : { host: listen.host, port: listen.port },
      resolve,
    );
  });
  const bound = server.address() as AddressInfo | string;
  return {
    address: typeof bound === 'string' ? listen : (ipAddress(bound.address, bound.port) ?? listen),
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, options: AdminOptions): Promise<Answer> {
  const path = (request.url ?? '/').split('?', 1)[0];
  const known = path === '/metrics' || path === '/healthz' || path === '/readyz';
  if (!known) return text(404, 'There is /metrics, /healthz and /readyz here.\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'Only GET is answered here.\n');
  if (path === '/metrics')
    return { status: 200, type: options.metrics.contentType, body: await options.metrics.scrape() };
  if (path === '/healthz') return text(200, 'ok\n');
  const unready = options.unready();
  return unready === null ? text(200, 'ready\n') : text(503, `${unready}\n`);
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}

function send(response: ServerResponse, request: IncomingMessage, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
