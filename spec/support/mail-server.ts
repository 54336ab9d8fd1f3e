/** smtp-server (npm) as a backend with a certificate. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { IpAddress } from '../../lib/core/address.ts';
import type { TestCertificate } from './certificates.ts';
import { loopback } from './free-port.ts';
import type { Owner } from './owner.ts';

export interface MailServer {
  readonly address: IpAddress;
  readonly messages: { readonly secure: boolean; readonly cipher: string; readonly client: string }[];
}

/** smtp-server with a certificate, over STARTTLS or with TLS from the first byte. */
export async function startMailServer(owner: Owner, options: SMTPServerOptions): Promise<MailServer> {
  const messages: MailServer['messages'] = [];
  const server = new SMTPServer({
    authOptional: true,
    disableReverseLookup: true,
    ...options,
    onData(stream, session, callback) {
      stream.resume();
      stream.on('end', () => {
        const { standardName = '' } = (session.tlsOptions || {}) as { standardName?: string };
        messages.push({ secure: session.secure, cipher: standardName, client: session.clientHostname });
        callback();
      });
    },
  });
  server.on('error', () => {});
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  owner.teardown(() => new Promise<void>(resolve => server.close(() => resolve())));
  return { address: loopback((server.server.address() as AddressInfo).port), messages };
}

export const pair = ({ cert, key }: TestCertificate) => ({ cert, key });
