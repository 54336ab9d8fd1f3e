import { once } from 'node:events';
import { createConnection } from 'node:net';
import type { IpAddress } from '../../lib/core/address.ts';
import type { Children, ProgramOptions } from '../children.ts';
import { openClient } from '../smtp-client.ts';

/** What a subject is started with. */
export interface Surroundings {
  readonly children: Children;
  /** A folder for configuration files, removed after the run. */
  readonly folder: string;
  /** Where the SMTP servers listen that the load is to reach; at least one. */
  readonly backends: readonly [IpAddress, ...IpAddress[]];
  /** The same servers behind TLS from the first byte, in suites that have them. */
  readonly tlsBackends?: readonly IpAddress[];
}

/** A subject that accepts sessions. */
export interface Running {
  readonly address: IpAddress;
  /** Further addresses of the same process, by what is special about them; for TLS, the kind of certificate. */
  readonly doors?: ReadonlyMap<string, IpAddress>;
  /** The process whose CPU and memory count, with all that it started; undefined where there is none. */
  readonly pid: number | undefined;
  /** Ends it; resolves when it is gone. */
  stop(): Promise<void>;
}

/** What a subject is and how it is set up, in a line; `missing` says why it cannot be measured on this machine. */
export interface Description {
  readonly says: string;
  readonly missing?: string;
}

/** Something to measure: a way from a client to a backend. */
export interface Subject {
  /** As given to `--subjects` and printed. */
  readonly name: string;
  /** Measured where `--subjects` is not given. */
  readonly usual: boolean;
  /** The subject its ratios refer to, where that is not the suite's base. */
  readonly base?: string;
  /** How TLS begins at its doors, where it ends there. */
  readonly tls?: 'implicit' | 'starttls';
  /** May read files and ask programs for their version. */
  describe(): Description;
  /** Starts it; resolves when a session through it has been greeted. Rejects with a Refusal where it will not run. */
  start(surroundings: Surroundings): Promise<Running>;
}

const [READY_MS, RETRY_MS] = [15_000, 25];

/** Resolves when a session at `address` has been greeted; rejects when none was in time, or `signal` says stop. */
export function greeted(address: IpAddress, signal?: AbortSignal): Promise<void> {
  return eventually(signal, async () => {
    const client = openClient(address);
    try {
      await client.greeting();
      await client.quit();
    } finally {
      client.destroy();
    }
  });
}

/** Resolves when somebody listens at `address`, for doors behind which TLS begins at once. */
export function accepts(address: IpAddress, signal?: AbortSignal): Promise<void> {
  return eventually(signal, async () => {
    const socket = createConnection({ host: address.host, port: address.port });
    try {
      await once(socket, 'connect');
    } finally {
      socket.destroy();
    }
  });
}

async function eventually(signal: AbortSignal | undefined, attempt: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline || signal?.aborted === true) throw error;
      await new Promise(resolve => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** A program to start as a subject. */
export interface Launch extends ProgramOptions {
  readonly address: IpAddress;
  readonly program: string;
  readonly args: readonly string[];
  readonly doors?: ReadonlyMap<string, IpAddress>;
  /** Told when it is up, where that is not a greeting at `address`. */
  readonly ready?: (signal: AbortSignal) => Promise<void>;
}

/** Starts one program as a subject: what all of them but `direct` do. */
export async function startProgram({ children }: Surroundings, launch: Launch): Promise<Running> {
  const { address, program, args, doors } = launch;
  const ready = launch.ready ?? (signal => greeted(address, signal));
  const child = await children.tryStart(program, args, ready, launch);
  return { address, pid: child.pid, stop: () => child.stop(), ...(doors === undefined ? {} : { doors }) };
}
