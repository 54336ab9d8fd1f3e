import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress } from '../../lib/core/address.ts';
import { findProgram, freeAddress, programSays } from '../programs.ts';
import { type Subject, startProgram } from './subject.ts';

interface Installed {
  readonly program: string;
  readonly version: string;
  /** The directive that loads the stream module, empty where it is built in. */
  readonly load: string;
}

/** nginx with its stream module, built in or beside it; undefined where either is missing. */
function installed(): Installed | undefined {
  const program = findProgram('nginx');
  if (program === undefined) return undefined;
  const built = programSays(program, '-V');
  const version = /nginx\/(\S+)/.exec(built)?.[1] ?? '?';
  if (/--with-stream(?:\s|$)/.test(built)) return { program, version, load: '' };
  const folder = /--modules-path=(\S+)/.exec(built)?.[1] ?? '/usr/lib/nginx/modules';
  const module = join(folder, 'ngx_stream_module.so');
  return existsSync(module) ? { program, version, load: `load_module ${module};\n` } : undefined;
}

/** nginx's stream proxy, in one process. */
export const nginx: Subject = {
  name: 'nginx',
  usual: true,
  describe() {
    const found = installed();
    return found && `nginx ${found.version} stream, one worker, least_conn, no log`;
  },
  async start(surroundings) {
    const found = installed();
    if (found === undefined) throw new Error('nginx with its stream module is not installed');
    const address = await freeAddress();
    const folder = mkdtempSync(join(surroundings.folder, 'nginx-'));
    const file = join(folder, 'nginx.conf');
    const servers = surroundings.backends.map(backend => `    server ${formatAddress(backend)};`);
    writeFileSync(
      file,
      `${found.load}daemon off;
master_process off;
worker_processes 1;
pid ${join(folder, 'nginx.pid')};
error_log stderr crit;
events { worker_connections 19500; }
stream {
  access_log off;
  upstream mx {
    least_conn;
${servers.join('\n')}
  }
  server {
    listen ${formatAddress(address)} backlog=4096;
    proxy_pass mx;
    proxy_connect_timeout 5s;
    proxy_timeout 10m;
  }
}
`,
    );
    return startProgram(surroundings, address, found.program, ['-p', folder, '-e', 'stderr', '-c', file]);
  },
};
