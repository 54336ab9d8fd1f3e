import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress } from '../../lib/core/address.ts';
import { findProgram, freeAddress, programSays } from '../programs.ts';
import { type Subject, startProgram } from './subject.ts';

interface HaproxyOptions {
  readonly name: string;
  readonly usual: boolean;
  readonly threads: number;
  /** Move bytes within the kernel (splice(2)) where HAProxy thinks that it pays. */
  readonly splice: boolean;
}

function haproxySubject({ name, usual, threads, splice }: HaproxyOptions): Subject {
  return {
    name,
    usual,
    describe() {
      const program = findProgram('haproxy');
      if (program === undefined) return undefined;
      const version = /version (\S+)/.exec(programSays(program, '-v'))?.[1] ?? '?';
      return `HAProxy ${version}, ${threads} thread(s), tcp, leastconn, no log${splice ? ', splice-auto' : ''}`;
    },
    async start(surroundings) {
      const address = await freeAddress();
      const file = join(mkdtempSync(join(surroundings.folder, `${name}-`)), 'haproxy.cfg');
      const servers = surroundings.backends.map((backend, at) => `  server b${at} ${formatAddress(backend)}`);
      // Without maxconn it takes what the limit of open files allows.
      writeFileSync(
        file,
        `global
  nbthread ${threads}
defaults
  mode tcp
  timeout connect 5s
  timeout client 10m
  timeout server 10m
${splice ? '  option splice-auto\n' : ''}listen mx
  bind ${formatAddress(address)} backlog 4096
  balance leastconn
${servers.join('\n')}
`,
      );
      return startProgram(surroundings, address, findProgram('haproxy') ?? 'haproxy', ['-db', '-f', file]);
    },
  };
}

/** What everyone else is compared with. */
export const haproxy = haproxySubject({ name: 'haproxy', usual: true, threads: 1, splice: false });

/** The same with splice(2); for `large`. */
export const haproxySplice = haproxySubject({
  name: 'haproxy-splice',
  usual: false,
  threads: 1,
  splice: true,
});
