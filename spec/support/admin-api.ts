/** The admin listener as a caller meets it: any header, any body, over TCP or a Unix socket. */
import { request } from 'node:http';
import type { StatusDocument } from '../../lib/admin/status.ts';
import type { Address } from '../../lib/core/address.ts';

export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body as JSON; undefined where it is none. */
  readonly json: unknown;
  /** The `message` of a verb's outcome. */
  readonly message: string;
}

export interface CallOptions {
  readonly method?: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text goes as it is, anything else as JSON. */
  readonly body?: unknown;
}

/** One call on a connection of its own. */
export function call(admin: Address, path: string, options: CallOptions = {}): Promise<Answered> {
  const { body, method = 'GET', token } = options;
  const to = admin.family === 'unix' ? { socketPath: admin.path } : { host: admin.host, port: admin.port };
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...options.headers,
  };
  return new Promise((resolve, reject) => {
    const sent = request({ ...to, method, path, headers, agent: false }, response => {
      const chunks: Buffer[] = [];
      response.on('data', chunk => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const json = parsed(text);
        const { message } = (json ?? {}) as { message?: unknown };
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json,
          message: typeof message === 'string' ? message : '',
        });
      });
    });
    sent.on('error', reject);
    sent.end(body === undefined || typeof body === 'string' ? body : JSON.stringify(body));
  });
}

/** A verb; `token` where the door is guarded by one. */
export function post(
  admin: Address,
  path: string,
  body?: unknown,
  options: CallOptions = {},
): Promise<Answered> {
  return call(admin, `/api/v1/${path}`, { ...options, method: 'POST', body });
}

export async function status(admin: Address): Promise<StatusDocument> {
  return (await call(admin, '/api/v1/status')).json as StatusDocument;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
