/** Two instances behind a virtual address, a backend and clients, each in a network namespace of its own. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../lib/core/package.ts';
import { modulePath } from '../support/checkout.ts';
import { COMMAND, START_MS } from '../support/command.ts';
import { lastResort } from '../support/last-resort.ts';
import type { Owner } from '../support/owner.ts';
import { type Running, start } from '../support/processes.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

export const VIRTUAL = '10.0.0.25';
const PORT = 25;
const BACKEND = '10.0.0.100';
const ADDRESSES = { one: '10.0.0.1', two: '10.0.0.2', client: '10.0.0.50', hub: BACKEND } as const;
const EXAMPLES = fileURLToPath(new URL('examples/keepalived/', packageRoot));

export type Host = 'one' | 'two';
type Place = keyof typeof ADDRESSES;

/** What the clients tell. */
export interface ClientEvent {
  readonly atMs: number;
  /** `held` and `lost`: of the sessions that are kept open. `failed`: of the others. */
  readonly kind: 'greeting' | 'accepted' | 'failed' | 'held' | 'lost';
  /** Error code, reply, or `end`. */
  readonly how?: string;
  /** Lines the client had said by then. */
  readonly said?: number;
}

export interface Network {
  /** Starts a program in a namespace. */
  start(place: Place, program: string, args: readonly string[]): Running;
  /** Runs `ip` for a namespace and returns what it prints; throws where it fails. */
  ip(place: Place, ...args: readonly string[]): string;
  /** Whether the host has the virtual address. */
  holds(host: Host): boolean;
  /** The processes in a namespace. */
  pids(place: Place): number[];
  /** Cuts or mends the cable between a host and the bridge. */
  cable(host: Host, state: 'up' | 'down'): void;
}

/** Makes the namespaces, joined by a bridge in one of them; they and all that runs in them are gone with the test. */
export function startNetwork(owner: Owner): Network {
  const name = (place: Place) => `smtplb-${process.pid}-${place}`;
  const places = Object.keys(ADDRESSES) as Place[];
  const pids = (place: Place): number[] =>
    spawnSync('ip', ['netns', 'pids', name(place)], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter(text => text !== '')
      .map(Number);
  const clear = (): void => {
    for (const place of places) {
      for (const pid of pids(place)) kill(pid);
      spawnSync('ip', ['netns', 'del', name(place)]);
    }
  };
  const callOff = lastResort(clear);
  owner.teardown(() => {
    callOff();
    clear();
  });

  const ip = (place: Place, ...args: readonly string[]): string => command('ip', '-n', name(place), ...args);
  for (const place of places) {
    command('ip', 'netns', 'add', name(place));
    ip(place, 'link', 'set', 'lo', 'up');
  }
  ip('hub', 'link', 'add', 'bridge0', 'type', 'bridge');
  ip('hub', 'link', 'set', 'bridge0', 'up');
  ip('hub', 'addr', 'add', `${BACKEND}/24`, 'dev', 'bridge0');
  for (const place of places.filter(place => place !== 'hub')) {
    ip('hub', 'link', 'add', place, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name(place));
    ip('hub', 'link', 'set', place, 'master', 'bridge0', 'up');
    ip(place, 'addr', 'add', `${ADDRESSES[place]}/24`, 'dev', 'eth0');
    ip(place, 'link', 'set', 'eth0', 'up');
  }
  return {
    start: (place, program, args) => start(owner, 'ip', ['netns', 'exec', name(place), program, ...args]),
    ip,
    pids,
    holds: host => ip(host, '-o', 'addr', 'show', 'dev', 'eth0').includes(` ${VIRTUAL}/`),
    cable: (host, state) => void ip('hub', 'link', 'set', host, state),
  };
}

/** smtplb on a host, as it would be there: port 25 on every address. Resolves when it is ready. */
export async function startSmtplb(owner: Owner, network: Network, host: Host): Promise<Running> {
  const file = join(await temporaryDirectory(owner), 'smtplb.yaml');
  const settings = {
    instance: host,
    hostName: 'mx.example.net',
    admin: { listen: '127.0.0.1:8404' },
    drainTimeout: '30s',
    listeners: [{ name: 'mx', listen: `0.0.0.0:${PORT}`, pool: 'mx' }],
    pools: [{ name: 'mx', backends: [{ name: 'sink', address: `${BACKEND}:2525` }] }],
  };
  await writeFile(file, JSON.stringify(settings)); // JSON is YAML
  const [program, ...args] = COMMAND;
  const running = network.start(host, program, [...args, 'run', '--config', file]);
  await running.printed(/"msg":"ready"/, START_MS);
  return running;
}

/** The backend of both. */
export async function startSink(network: Network): Promise<Running> {
  const [program, ...args] = COMMAND;
  const running = network.start('hub', program, [...args, 'sink', '--listen', `${BACKEND}:2525`]);
  await running.printed(/listening on/, 30_000);
  return running;
}

/** keepalived with the example's configuration, changed as the example says, and only where a test has to. */
export async function startKeepalived(owner: Owner, network: Network, host: Host): Promise<Running> {
  const folder = await temporaryDirectory(owner);
  const example = await readFile(join(EXAMPLES, 'keepalived.conf'), 'utf8');
  const file = join(folder, 'keepalived.conf');
  const here = example
    // A checkout lies in folders that others may write to, which script security refuses.
    .replace(/^.*(?:enable_script_security|script_user).*\n/gm, '')
    .replace('/etc/keepalived/smtplb-ready', join(EXAMPLES, 'smtplb-ready'));
  await writeFile(file, host === 'one' ? here : asSecond(here));
  const pids = ['pid', 'vrrp_pid', 'checkers_pid'].map(flag => `--${flag}=${join(folder, flag)}`);
  const running = network.start(host, 'keepalived', [
    ...['--dont-fork', '--log-console', '--vrrp', `--use-file=${file}`],
    ...pids,
  ]);
  await running.printed(/Entering BACKUP STATE/);
  return running;
}

/** Does what the comments of the example say of edge-2. */
function asSecond(text: string): string {
  return text.replace(
    /^(\s*)(\S+ )?\S+(\s+)# edge-2: (\S+)$/gm,
    (_, indent: string, key = '', space: string, value: string) => `${indent}${key}${value}${space}`,
  );
}

/** The clients, with so many sessions kept open; see fail-over-client.ts. */
export function startClients(
  network: Network,
  held: number,
): { readonly process: Running; events(): ClientEvent[] } {
  const [node, ...loader] = COMMAND.slice(0, -1);
  const script = modulePath('spec/slow/fail-over-client');
  const running = network.start('client', node as string, [
    ...loader,
    script,
    `${VIRTUAL}:${PORT}`,
    `${held}`,
  ]);
  return {
    process: running,
    events: () =>
      running.stdout
        .split('\n')
        .slice(0, -1)
        .map(line => JSON.parse(line) as ClientEvent),
  };
}

/** Ends a program on a host as a crash would, its children with it. */
export function killAll(network: Network, host: Host, program: string): void {
  const named = network.pids(host).filter(pid => nameOf(pid) === program);
  for (const pid of named) kill(pid);
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
  } catch {
    return ''; // it has gone already
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has gone already.
  }
}

function command(program: string, ...args: readonly string[]): string {
  const { status, stderr, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}
