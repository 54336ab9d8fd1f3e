import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress } from '../../lib/core/address.ts';
import { findProgram, freeAddress, programSays } from '../programs.ts';
import { type Subject, type Surroundings, startProgram } from './subject.ts';

export interface Installed {
  readonly program: string;
  readonly version: string;
  /** The directive that loads the module, empty where it is built in. */
  readonly load: string;
}

/** nginx with one of its modules, built in or beside it; `undefined` where either is missing. */
export function findNginx(module: 'stream' | 'mail'): Installed | undefined {
  const program = findProgram('nginx');
  if (program === undefined) return undefined;
  const built = programSays(program, '-V');
  const version = /nginx\/(\S+)/.exec(built)?.[1] ?? '?';
  if (new RegExp(`--with-${module}(?:\\s|$)`).test(built)) return { program, version, load: '' };
  const folder = /--modules-path=(\S+)/.exec(built)?.[1] ?? '/usr/lib/nginx/modules';
  const file = join(folder, `ngx_${module}_module.so`);
  return existsSync(file) ? { program, version, load: `load_module ${file};` } : undefined;
}

/** Writes a configuration for one worker around `sections`; returns the program and the arguments to run it with. */
export function nginxCommand(found: Installed, surroundings: Surroundings, sections: string) {
  const folder = mkdtempSync(join(surroundings.folder, 'nginx-'));
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `${found.load}
daemon off;
master_process off;
worker_processes 1;
pid ${join(folder, 'nginx.pid')};
error_log stderr crit;
events { worker_connections 19500; }
${sections}`,
  );
  return { program: found.program, args: ['-p', folder, '-e', 'stderr', '-c', file] };
}

/** nginx's stream proxy, in one process. */
export const nginx: Subject = {
  name: 'nginx',
  usual: true,
  describe() {
    const found = findNginx('stream');
    if (found === undefined)
      return { says: 'nginx stream', missing: 'nginx with its stream module is not installed' };
    return { says: `nginx ${found.version} stream, one worker, least_conn, no log` };
  },
  async start(surroundings) {
    const found = findNginx('stream');
    if (found === undefined) throw new Error('nginx with its stream module is not installed');
    const address = await freeAddress();
    const servers = surroundings.backends.map(backend => `    server ${formatAddress(backend)};`);
    const command = nginxCommand(
      found,
      surroundings,
      `stream {
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
    return startProgram(surroundings, { address, ...command });
  },
};
