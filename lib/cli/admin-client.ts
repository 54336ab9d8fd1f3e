import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { type Address, formatAddress, parseAddress } from '../core/address.ts';

/** Where the command line looks for an instance when it is told nothing. */
const SOCKET = '/run/smtplb/admin.sock';
const TCP = '127.0.0.1:8404';
/** An upgrade may take half a minute to be given up. */
const TIMEOUT_MS = 40_000;

export const ADMIN_HELP = `  --admin ADDR   where the instance's admin listener is: unix:/path or 127.0.0.1:8404
                 (default: $SMTPLB_ADMIN, else ${SOCKET}, else ${TCP})
Verbs over TCP send the token in $SMTPLB_ADMIN_TOKEN; the socket needs none.
`;

/** An instance that can be asked. */
export interface AdminClient {
  readonly address: Address;
  get(path: string): Promise<unknown>;
  post(path: string, body?: Readonly<Record<string, unknown>>): Promise<{ ok: boolean; message: string }>;
}

/** Undefined where the address cannot be read as one. */
export function adminClient(told: string | undefined, env: NodeJS.ProcessEnv): AdminClient | undefined {
  const { SMTPLB_ADMIN, SMTPLB_ADMIN_TOKEN } = env;
  const address = parseAddress(told ?? SMTPLB_ADMIN ?? (existsSync(SOCKET) ? `unix:${SOCKET}` : TCP));
  if (address === undefined) return undefined;
  const call = (method: string, path: string, body?: string) =>
    send(address, SMTPLB_ADMIN_TOKEN, method, path, body);
  return {
    address,
    async get(path) {
      const { status, value } = await call('GET', path);
      if (status !== 200) throw new Error(messageOf(value) ?? `the instance answered ${status}`);
      return value;
    },
    async post(path, body) {
      const { status, value } = await call(
        'POST',
        path,
        body === undefined ? undefined : JSON.stringify(body),
      );
      return { ok: status === 200, message: messageOf(value) ?? `the instance answered ${status}` };
    },
  };
}

interface Response {
  readonly status: number;
  readonly value: unknown;
}

/** Rejects with a sentence where nobody answers. */
function send(
  address: Address,
  token: string | undefined,
  method: string,
  path: string,
  body: string | undefined,
): Promise<Response> {
  const target =
    address.family === 'unix' ? { socketPath: address.path } : { host: address.host, port: address.port };
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  return new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(
        new Error(`no instance answers on ${formatAddress(address)} (${why}); is it running? see --admin`),
      );
    const call = request({ ...target, method, path, headers, timeout: TIMEOUT_MS }, response => {
      const chunks: Buffer[] = [];
      response.on('data', chunk => chunks.push(chunk));
      response.on('error', error => fail(error.message));
      response.on('end', () => {
        try {
          const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
          resolve({ status: response.statusCode ?? 0, value });
        } catch {
          fail('what it says is not the API of smtplb');
        }
      });
    });
    call.on('timeout', () => call.destroy(new Error('it takes too long')));
    call.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    call.end(body);
  });
}

function messageOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('message' in value)) return undefined;
  return typeof value.message === 'string' ? value.message : undefined;
}
