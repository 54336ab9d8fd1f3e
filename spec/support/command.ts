/** The real command, `smtplb run`, as a process of its own: for signals, limits of the system, and memory. */
import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Address, formatAddress, parseAddress } from '../../lib/core/address.ts';
import { LOADER, modulePath } from './checkout.ts';
import { eventually } from './eventually.ts';
import { freeAddress } from './free-port.ts';
import type { Settings } from './instance.ts';
import { type Metrics, scrape } from './metrics.ts';
import type { Owner } from './owner.ts';
import { type Running, start } from './processes.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** The program of this checkout. */
export const COMMAND: readonly [string, ...string[]] = [
  process.execPath,
  ...LOADER,
  modulePath('bin/smtplb'),
];

/** Milliseconds it may take to start: a second of computing, on a machine that gives it little. */
export const START_MS = 60_000;

export interface Command {
  readonly process: Running;
  /** The configuration file. */
  readonly file: string;
  /** Writes the file anew, completed as at the start; the instance does not know yet. */
  configure(settings: Settings): Promise<void>;
  /** The first listener's first address. */
  readonly address: Address;
  /** The first address of a listener. */
  addressOf(listener: string): Address;
  readonly admin: Address;
  /** Session records so far. */
  sessions(): Readonly<Record<string, unknown>>[];
  metrics(): Promise<Metrics>;
  /** Resolves when every count is back at zero; rejects with what is not. */
  idle(deadlineMs?: number): Promise<void>;
  /** What the kernel says of the process: open descriptors, and resident memory in octets. */
  usage(): Usage;
}

export interface Usage {
  readonly descriptors: number;
  readonly rss: number;
}

export interface CommandOptions {
  /** A program that ends by running its arguments: `['prlimit', '--nofile=200']`. */
  readonly under?: readonly string[];
  /** More flags for Node: `--expose-gc`. */
  readonly command?: readonly [string, ...string[]];
}

/** Starts `smtplb run` with these settings (ports of their own where they name none) and resolves when it is ready. */
export async function startCommand(
  owner: Owner,
  settings: Settings,
  options: CommandOptions = {},
): Promise<Command> {
  const admin = await freeAddress();
  const file = join(await temporaryDirectory(owner), 'smtplb.yaml');
  const configure = async ({ listeners, ...rest }: Settings): Promise<void> => {
    const whole = {
      instance: 'test',
      hostName: 'lb.example',
      drainTimeout: '5s',
      ...rest,
      admin: { listen: formatAddress(admin), ...(rest['admin'] as object | undefined) },
      listeners: listeners.map(listener => ({ listen: '127.0.0.1:0', ...listener })),
    };
    await writeFile(file, JSON.stringify(whole)); // JSON is YAML
  };
  await configure(settings);

  const [program, ...args] = [...(options.under ?? []), ...(options.command ?? COMMAND)];
  const running = start(owner, program as string, [...args, 'run', '--config', file]);
  const [line] = await running.printed(/^.*"msg":"ready".*$/m, START_MS);
  const ready = JSON.parse(line) as { readonly listeners: Readonly<Record<string, readonly string[]>> };
  const parsed = (listener: readonly string[] | undefined): Address => {
    const address = parseAddress(listener?.[0] ?? '');
    if (address === undefined) throw new Error(`no address in ${line}`);
    return address;
  };

  const command: Command = {
    process: running,
    file,
    configure,
    address: parsed(Object.values(ready.listeners)[0]),
    addressOf: listener => parsed(ready.listeners[listener]),
    admin,
    sessions: () =>
      running.stdout
        .split('\n')
        .filter(text => text.includes('"msg":"session"') && text.endsWith('}'))
        .map(text => JSON.parse(text)),
    metrics: () => scrape(admin),
    idle: deadlineMs =>
      eventually(
        'all counts at zero',
        async () => {
          const metrics = await command.metrics();
          for (const gauge of [
            'smtplb_sessions_active',
            'smtplb_backend_sessions_active',
            'smtplb_queue_length',
          ])
            if (metrics.sum(gauge) !== 0) throw new Error(`${gauge} is ${metrics.sum(gauge)}`);
          return true;
        },
        deadlineMs,
      ).then(() => {}),
    usage: () => usageOf(running.pid),
  };
  return command;
}

/** Of any process, where there is /proc. */
export function usageOf(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    rss: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) * 1_024,
  };
}

/** Megabytes, for comments. */
export function megabytes(octets: number): string {
  return `${(octets / 1e6).toFixed(1)} MB`;
}
