import { readdirSync } from 'node:fs';
import type { Address } from '../../lib/core/address.ts';
import type { Connection, DialOptions, ListenOptions } from '../../lib/transport/contract.ts';
import { loadEpoll } from '../../lib/transport/epoll/load.ts';
import { loadUring } from '../../lib/transport/uring/load.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import type { Owner } from '../support/owner.ts';
import { type ErrorName, faultyKoffi } from './faulty-koffi.ts';
import { LOOPBACK, type Recorder, recorder } from './peers.ts';

export type { ErrorName };

/** A transport on a kernel that fails, and a listener of it. */
export interface FaultyWorld {
  /** By the names of `FailsWith`: each of these calls takes the next error of its list, while there are any. */
  readonly fails: Map<string, ErrorName[]>;
  /** How often each call was made. */
  readonly calls: ReadonlyMap<string, number>;
  /** What the transport says is its own fault. */
  readonly faults: readonly unknown[];
  readonly address: Address;
  dial(to?: Address, options?: DialOptions): { readonly connection: Connection; readonly told: Recorder };
  /** The next connection that the listener accepted. */
  accept(): Promise<{ readonly connection: Connection; readonly told: Recorder }>;
  /** Resolves when this process has as many descriptors open as at the start: none too few, none too many. */
  tidy(): Promise<void>;
}

const LISTEN: ListenOptions = { backlog: 128 };

const open = (): number => readdirSync('/proc/self/fd').length;

export async function openFaultyWorld(
  owner: Owner,
  name: 'epoll' | 'io_uring',
  failing: Readonly<Record<string, readonly ErrorName[]>> = {},
): Promise<FaultyWorld> {
  const fails = new Map<string, ErrorName[]>();
  const calls = new Map<string, number>();
  const failsWith = (call: string): ErrorName | undefined => {
    calls.set(call, (calls.get(call) ?? 0) + 1);
    return fails.get(call)?.shift();
  };
  const load = name === 'epoll' ? loadEpoll : loadUring;
  const importKoffi = () => faultyKoffi(failsWith);
  const loaded = await load({ platform: 'linux', arch: process.arch, importKoffi });
  if (loaded.reason !== undefined) throw new Error(loaded.reason);
  const faults: unknown[] = [];
  const transport = loaded.create(error => faults.push(error), { longestWaitMs: 1 });
  transport.start();
  owner.teardown(() => transport.close());
  for (const [call, errors] of Object.entries(failing)) fails.set(call, [...errors]);
  const accepted: { connection: Connection; told: Recorder }[] = [];
  const { address } = await transport.listen(LOOPBACK, LISTEN, connection => {
    const told = recorder();
    connection.handler = told;
    accepted.push({ connection, told });
  });
  const before = open();
  return {
    fails,
    calls,
    faults,
    address,
    dial(to = address, options) {
      const told = recorder();
      return { connection: transport.connect(to, told, options), told };
    },
    accept: () => eventually('a client', () => accepted.shift()),
    tidy: () => eventuallyEqual('open descriptors', async () => open(), before),
  };
}
