import type { IpAddress } from '../../lib/core/address.ts';
import type { Children } from '../children.ts';
import { openClient } from '../smtp-client.ts';

/** What a subject is started with. */
export interface Surroundings {
  readonly children: Children;
  /** A folder for configuration files, removed after the run. */
  readonly folder: string;
  /** Where the SMTP servers listen that the load is to reach; at least one. */
  readonly backends: readonly [IpAddress, ...IpAddress[]];
}

/** A subject that accepts sessions. */
export interface Running {
  readonly address: IpAddress;
  /** The process whose CPU and memory count, with all that it started; undefined where there is none. */
  readonly pid: number | undefined;
  /** Ends it; resolves when it is gone. */
  stop(): Promise<void>;
}

/** Something to measure: a way from a client to a backend. */
export interface Subject {
  /** As given to `--subjects` and printed. */
  readonly name: string;
  /** Measured where `--subjects` is not given. */
  readonly usual: boolean;
  /** What it is and how it is set up, in a line. May read files; undefined where it is not installed. */
  describe(): string | undefined;
  /** Starts it; resolves when a session through it has been greeted. */
  start(surroundings: Surroundings): Promise<Running>;
}

const [READY_MS, RETRY_MS] = [15_000, 25];

/** Resolves when a session at `address` has been greeted; rejects when none was in time. */
export async function greeted(address: IpAddress): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const client = openClient(address);
    try {
      await client.greeting();
      return await client.quit();
    } catch (error) {
      client.destroy();
      if (performance.now() > deadline) throw error;
      await new Promise(resolve => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** Starts one program as a subject: what all of them but `direct` do. */
export async function startProgram(
  { children }: Surroundings,
  address: IpAddress,
  program: string,
  args: readonly string[],
): Promise<Running> {
  const child = children.start(program, args);
  await greeted(address);
  return { address, pid: child.pid, stop: () => child.stop() };
}
