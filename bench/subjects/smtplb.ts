import { existsSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress } from '../../lib/core/address.ts';
import { freeAddress } from '../programs.ts';
import { type Subject, startProgram } from './subject.ts';

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

interface SmtplbOptions {
  readonly name: string;
  readonly usual: boolean;
  /** Top-level keys of the configuration in which this subject differs. */
  readonly settings: Readonly<Record<string, unknown>>;
}

function smtplbSubject({ name, usual, settings }: SmtplbOptions): Subject {
  return {
    name,
    usual,
    describe() {
      if (!existsSync(join(ROOT, 'bin/smtplb.ts')) && !existsSync(BUILT)) return undefined;
      const keys = Object.entries(settings).map(([key, value]) => `, ${key} ${String(value)}`);
      return `this project ${smtplbCommand().says}; metrics on, access log off${keys.join('')}`;
    },
    async start(surroundings) {
      const [address, admin] = [await freeAddress(), await freeAddress()];
      const configuration = {
        log: { level: 'warn', access: false },
        admin: { listen: formatAddress(admin) },
        listeners: [{ name: 'mx', listen: [formatAddress(address)], pool: 'mx' }],
        pools: [
          { name: 'mx', backends: surroundings.backends.map(one => ({ address: formatAddress(one) })) },
        ],
        ...settings,
      };
      const file = join(mkdtempSync(join(surroundings.folder, `${name}-`)), 'smtplb.yaml');
      // JSON is YAML.
      writeFileSync(file, JSON.stringify(configuration, undefined, 2));
      const args = [...smtplbCommand().args, 'run', '--config', file];
      return startProgram(surroundings, address, process.execPath, args);
    },
  };
}

/** This project with what it chooses by itself. */
export const smtplb = smtplbSubject({ name: 'smtplb', usual: true, settings: {} });
