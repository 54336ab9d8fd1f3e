import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress, type IpAddress } from '../../lib/core/address.ts';
import { findProgram, freeAddress, programSays } from '../programs.ts';
import { startScript } from '../scripts.ts';
import { type Description, type Subject, type Surroundings, startProgram } from './subject.ts';

/** What HAProxy is, or why it cannot be measured. */
export function describeHaproxy(setUp: string): Description {
  const program = findProgram('haproxy');
  if (program === undefined) return { says: `HAProxy, ${setUp}`, missing: 'not installed' };
  const version = /version (\S+)/.exec(programSays(program, '-v'))?.[1] ?? '?';
  return { says: `HAProxy ${version}, ${setUp}` };
}

export interface HaproxySetup {
  readonly threads: number;
  /** One proxy each: its address, what follows it on the `bind` line, and further lines. */
  readonly proxies: readonly {
    readonly address: IpAddress;
    readonly bind?: string;
    readonly lines?: readonly string[];
  }[];
  /** Lines of the global section. */
  readonly global?: readonly string[];
}

/** Writes a configuration as SMTP wants it; returns the arguments that run HAProxy with it, in the foreground. */
export function haproxyArguments(surroundings: Surroundings, setup: HaproxySetup): readonly string[] {
  const file = join(mkdtempSync(join(surroundings.folder, 'haproxy-')), 'haproxy.cfg');
  const servers = surroundings.backends.map((backend, at) => `  server b${at} ${formatAddress(backend)}`);
  const listens = setup.proxies.flatMap(({ address, bind = '', lines = [] }, at) => [
    `listen mx${at}`,
    `  bind ${formatAddress(address)} backlog 4096 ${bind}`,
    '  balance leastconn',
    ...lines.map(line => `  ${line}`),
    ...servers,
  ]);
  // Without maxconn it takes what the limit of open files allows.
  const text = [
    'global',
    `  nbthread ${setup.threads}`,
    ...(setup.global ?? []).map(line => `  ${line}`),
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 10m',
    '  timeout server 10m',
    ...listens,
  ];
  writeFileSync(file, `${text.join('\n')}\n`);
  return ['-db', '-f', file];
}

interface HaproxyOptions {
  readonly name: string;
  readonly usual?: boolean;
  readonly threads?: number;
  /** Move bytes within the kernel (splice(2)) where HAProxy thinks that it pays. */
  readonly splice?: boolean;
  /** `option tcplog`, to a Unix datagram socket that is read, as syslog would. */
  readonly log?: boolean;
}

function haproxySubject({
  name,
  usual = false,
  threads = 1,
  splice = false,
  log = false,
}: HaproxyOptions): Subject {
  const says = [
    `${threads} thread${threads === 1 ? '' : 's'}, tcp, leastconn`,
    log ? 'tcplog to a socket that is read' : 'no log',
    ...(splice ? ['splice-auto'] : []),
  ].join(', ');
  return {
    name,
    usual,
    describe() {
      const described = describeHaproxy(says);
      return log && findProgram('python3') === undefined
        ? { ...described, missing: 'python3, which reads its log, is not installed' }
        : described;
    },
    async start(surroundings) {
      const address = await freeAddress();
      const lines = [
        ...(splice ? ['option splice-auto'] : []),
        ...(log ? ['log global', 'option tcplog'] : []),
      ];
      const reader = log ? await readLog(surroundings) : undefined;
      const global = reader === undefined ? [] : [`log ${reader.socket} local0`];
      const args = haproxyArguments(surroundings, { threads, global, proxies: [{ address, lines }] });
      const program = findProgram('haproxy') ?? 'haproxy';
      const running = await startProgram(surroundings, { address, program, args });
      return { ...running, stop: () => running.stop().then(() => reader?.stop()) };
    },
  };
}

/** A process of its own that reads what HAProxy logs: what is not read would be dropped, and cost less. */
async function readLog({ children, folder }: Surroundings) {
  const socket = join(mkdtempSync(join(folder, 'log-')), 'log.sock');
  const { child } = await startScript(children, 'read-log.py', [socket]);
  return { socket, stop: () => child.stop() };
}

/** What everyone else is compared with. */
export const haproxy = haproxySubject({ name: 'haproxy', usual: true });

/** Its variants: with splice(2), for large messages; with two threads; with the log an operator would have. */
export const haproxyVariants: readonly Subject[] = [
  haproxySubject({ name: 'haproxy-splice', splice: true }),
  haproxySubject({ name: 'haproxy-2', threads: 2 }),
  haproxySubject({ name: 'haproxy-log', log: true }),
];
