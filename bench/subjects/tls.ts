import { formatAddress } from '../../lib/core/address.ts';
import { findProgram } from '../programs.ts';
import { startServer } from '../scripts.ts';
import { CERTIFICATE_KINDS, certificateFiles, tlsDoors } from './certificates.ts';
import { describeHaproxy, haproxyArguments } from './haproxy.ts';
import { findNginx, nginxCommand } from './nginx.ts';
import { smtplbSubject } from './smtplb.ts';
import { accepts, type Running, type Subject, startProgram } from './subject.ts';

/** Subjects at which TLS ends; behind them the backends speak plainly. Each has a door a kind of certificate. */

/** The first of a subject's doors, which is there by construction. */
function firstOf<T>(doors: ReadonlyMap<string, T>): T {
  for (const door of doors.values()) return door;
  throw new Error('no door');
}

const haproxySsl: Subject = {
  name: 'haproxy-ssl',
  usual: true,
  tls: 'implicit',
  describe: () => describeHaproxy('1 thread, bind ... ssl, TLS 1.3, leastconn, no log'),
  async start(surroundings) {
    const doors = await tlsDoors();
    const address = firstOf(doors);
    const proxies = CERTIFICATE_KINDS.map(kind => ({
      address: doors.get(kind) ?? address,
      bind: `ssl crt ${certificateFiles(surroundings.folder, kind).both} ssl-min-ver TLSv1.3`,
    }));
    return startProgram(surroundings, {
      address,
      doors,
      program: findProgram('haproxy') ?? 'haproxy',
      args: haproxyArguments(surroundings, { threads: 1, proxies }),
      ready: signal => accepts(address, signal),
    });
  },
};

const nginxMail: Subject = {
  name: 'nginx-mail',
  usual: true,
  tls: 'starttls',
  describe() {
    const found = findNginx('mail');
    if (found === undefined)
      return { says: 'nginx mail', missing: 'nginx with its mail module is not installed' };
    return {
      says: `nginx ${found.version} mail, one worker, STARTTLS, TLS 1.3, asks an auth_http once a session`,
    };
  },
  async start(surroundings): Promise<Running> {
    const found = findNginx('mail');
    if (found === undefined) throw new Error('nginx with its mail module is not installed');
    const auth = await startServer(
      surroundings.children,
      'auth-http.ts',
      surroundings.backends.map(formatAddress),
    );
    const doors = await tlsDoors();
    const servers = [...doors].map(([kind, door]) => {
      const { cert, key } = certificateFiles(surroundings.folder, kind);
      return `  server {
    listen ${formatAddress(door)} backlog=4096;
    protocol smtp;
    smtp_auth none;
    starttls on;
    ssl_protocols TLSv1.3;
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
  }`;
    });
    const sections = `mail {
  server_name bench.example;
  auth_http ${formatAddress(auth.address)}/;
  xclient off;
${servers.join('\n')}
}
`;
    const command = nginxCommand(found, surroundings, sections);
    const running = await startProgram(surroundings, { address: firstOf(doors), doors, ...command });
    return { ...running, stop: () => running.stop().then(() => auth.child.stop()) };
  },
};

/** In the order in which a round visits them. */
export const TLS_SUBJECTS: readonly Subject[] = [
  smtplbSubject({ name: 'smtplb-implicit', usual: true, tls: 'implicit', settings: { shards: 1 } }),
  haproxySsl,
  smtplbSubject({
    name: 'smtplb-starttls',
    usual: true,
    tls: 'starttls',
    base: nginxMail.name,
    settings: { shards: 1 },
  }),
  nginxMail,
];

export const TLS_BASE = haproxySsl.name;
