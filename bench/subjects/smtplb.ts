import { existsSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress } from '../../lib/core/address.ts';
import { freeAddress } from '../programs.ts';
import { certificateFiles, tlsDoors } from './certificates.ts';
import { accepts, type Subject, startProgram } from './subject.ts';

const ROOT = join(import.meta.dirname, '../..');
const BUILT = join(ROOT, 'dist/bin/smtplb.js');

/** The arguments with which `node` runs this project, and what those are. */
export interface Command {
  readonly args: readonly string[];
  readonly says: string;
}

/**
 * What `npm run build` made, as it is installed, unless a source is newer: a figure of yesterday's program would
 * be taken for today's. Then the sources, through tsx, in the same single process; what tsx does, it has done
 * before the first session.
 */
export function smtplbCommand(): Command {
  const built = existsSync(BUILT) ? statSync(BUILT).mtimeMs : undefined;
  if (built !== undefined && newest() <= built) return { args: [BUILT], says: 'as built' };
  const why = built === undefined ? 'not built' : 'a source is newer than dist';
  return {
    args: ['--import', import.meta.resolve('tsx'), join(ROOT, 'bin/smtplb.ts')],
    says: `from source through tsx: ${why}`,
  };
}

/** When a source was last written, in milliseconds of the epoch. */
function newest(): number {
  const times = ['bin', 'lib'].flatMap(folder =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .map(name => statSync(join(ROOT, folder, name)).mtimeMs),
  );
  return Math.max(...times, 0);
}

export interface SmtplbOptions {
  readonly name: string;
  readonly usual?: boolean;
  readonly base?: string;
  /** Top-level keys of the configuration in which this subject differs. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Keys of its pool in which it differs. */
  readonly pool?: Readonly<Record<string, unknown>>;
  /** One JSON line a session, on a pipe that is read. */
  readonly accessLog?: boolean;
  /** TLS ends here: a listener, and a door, for each kind of certificate. */
  readonly tls?: 'starttls' | 'implicit';
  /** The backends that speak TLS are its backends. */
  readonly backendsOverTls?: boolean;
}

/** This project with some of its keys set. */
export function smtplbSubject(options: SmtplbOptions): Subject {
  const { name, usual = false, base, settings = {}, pool = {}, accessLog = false, tls } = options;
  return {
    name,
    usual,
    ...(base !== undefined && { base }),
    ...(tls !== undefined && { tls }),
    describe() {
      const keys = Object.entries({ ...settings, ...pool, ...(tls && { tls }) }).map(
        ([key, value]) => `, ${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`,
      );
      const says = `this project ${smtplbCommand().says}; metrics on, access log ${accessLog ? 'on, read' : 'off'}${keys.join('')}`;
      const there = existsSync(join(ROOT, 'bin/smtplb.ts')) || existsSync(BUILT);
      return there ? { says } : { says, missing: 'neither sources nor dist' };
    },
    async start(surroundings) {
      const [plain, admin] = [await freeAddress(), await freeAddress()];
      const doors = tls === undefined ? undefined : await tlsDoors();
      const address = doors?.values().next().value ?? plain;
      const listeners =
        doors === undefined
          ? [{ name: 'mx', listen: [formatAddress(address)], pool: 'mx' }]
          : [...doors].map(([kind, door]) => {
              const { cert, key } = certificateFiles(surroundings.folder, kind);
              const listen = [formatAddress(door)];
              return { name: kind, listen, pool: 'mx', tls: { mode: tls, certificates: [{ cert, key }] } };
            });
      const { backends, tlsBackends = [] } = surroundings;
      const its = options.backendsOverTls === true ? tlsBackends : backends;
      const configuration = {
        log: { level: accessLog ? 'info' : 'warn', access: accessLog },
        admin: { listen: formatAddress(admin) },
        listeners,
        pools: [{ name: 'mx', backends: its.map(one => ({ address: formatAddress(one) })), ...pool }],
        ...settings,
      };
      const file = join(mkdtempSync(join(surroundings.folder, `${name}-`)), 'smtplb.yaml');
      // JSON is YAML.
      writeFileSync(file, JSON.stringify(configuration, undefined, 2));
      return startProgram(surroundings, {
        address,
        program: process.execPath,
        args: [...smtplbCommand().args, 'run', '--config', file],
        ...(doors && { doors }),
        ...(tls === 'implicit' && { ready: signal => accepts(address, signal) }),
        ...(accessLog && { stdout: 'read' as const }),
      });
    },
  };
}

/** This project with what it chooses by itself. */
export const smtplb = smtplbSubject({ name: 'smtplb' });

const transports = ['net', 'epoll', 'io_uring'] as const;

/** Each transport, in one thread and in two, and with the log an operator would have. */
export const smtplbVariants: readonly Subject[] = transports.flatMap(transport => [
  smtplbSubject({ name: nameOf(transport), usual: true, settings: { transport, shards: 1 } }),
  smtplbSubject({ name: `${nameOf(transport)}-2`, settings: { transport, shards: 2 } }),
  smtplbSubject({
    name: `${nameOf(transport)}-log`,
    base: 'haproxy-log',
    settings: { transport, shards: 1 },
    accessLog: true,
  }),
]);

function nameOf(transport: (typeof transports)[number]): string {
  return `smtplb-${transport === 'io_uring' ? 'uring' : transport}`;
}
