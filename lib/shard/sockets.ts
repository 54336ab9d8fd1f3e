/** What the parts of a data plane tell each other of listening sockets: plain values. */
import { closeSync } from 'node:fs';
import { type Address, formatAddress } from '../core/address.ts';
import type { ListenerSnapshot } from '../session/snapshot.ts';

/** An address that a listener wants. */
export interface WantedSocket {
  /** What makes it the same one after a reload, and in every shard. */
  readonly key: string;
  readonly listener: ListenerSnapshot;
  readonly address: Address;
}

/** A socket that a shard listens on. */
export interface BoundSocket {
  readonly key: string;
  /** Who is served there now. */
  readonly listener: string;
  /** The address as the configuration has it. */
  readonly configured: string;
  /** With the port that was given where 0 was asked for. */
  readonly address: Address;
  /** Undefined where the runtime does not tell it. */
  readonly descriptor: number | undefined;
  /** See `InheritedSocket`. */
  readonly foreign: boolean;
}

/** What a successor may inherit. */
export interface InheritableSocket {
  readonly listener: string;
  /** The address as the configuration has it. */
  readonly address: string;
  readonly descriptor: number | undefined;
  /** See `InheritedSocket`. */
  readonly foreign: boolean;
}

/** A listening socket that was handed down to this process, or from one shard to another. */
export interface InheritedSocket {
  readonly descriptor: number;
  /** Whoever made it (systemd) goes on holding it: the path of a Unix socket is his to remove, never ours. */
  readonly foreign: boolean;
}

/** Closes listening sockets that nobody has taken over, or will. */
export function closeUntaken(sockets: Iterable<{ readonly descriptor: number | undefined }>): void {
  for (const { descriptor } of sockets) {
    if (descriptor === undefined) continue;
    try {
      closeSync(descriptor);
    } catch {
      // Closed already, in the moment before its thread was gone.
    }
  }
}

/** An address as the configuration has it, and the listener that wants it. */
export interface WantedAddress {
  readonly listener: string;
  readonly address: string;
}

/**
 * A socket, or none, for each address; a socket is given out once. All that are wanted are asked for together, and
 * `again` for those that have one and would take another that is bound to the same address.
 */
export type TakeInherited = (
  wanted: readonly WantedAddress[],
  again?: boolean,
) => readonly (InheritedSocket | undefined)[];

/** How a shard comes by the sockets it does not have yet. */
export interface SocketPlaces {
  /** Sockets to listen on instead of binding new ones, by key. */
  readonly inherited: ReadonlyMap<string, readonly InheritedSocket[]>;
  /** Ports that another shard was given where 0 is written, by key. */
  readonly ports: ReadonlyMap<string, number>;
  /** Keys that other shards serve alone. */
  readonly left: ReadonlySet<string>;
  /** Whether other shards listen on the same addresses, each with a socket of its own. */
  readonly shared: boolean;
}

export const NO_PLACES: SocketPlaces = {
  inherited: new Map(),
  ports: new Map(),
  left: new Set(),
  shared: false,
};

export function wantedSockets(listeners: readonly ListenerSnapshot[]): WantedSocket[] {
  return listeners.flatMap(listener =>
    listener.addresses.map((address, at) => ({ key: keyOf(address, listener.name, at), listener, address })),
  );
}

/** Port 0 is a port of its own each time it is written. */
function keyOf(address: Address, listener: string, at: number): string {
  const text = formatAddress(address);
  return address.family !== 'unix' && address.port === 0 ? `${text} ${listener} ${at}` : text;
}

/** The sentence for an operator whose listener cannot have its address. */
export function cannotListen({ listener, address }: WantedSocket, error: unknown): Error {
  return new Error(
    `listener ${listener.name} cannot listen on ${formatAddress(address)}: ${reasonOf(error)}`,
  );
}

function reasonOf(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return 'another process listens there (EADDRINUSE)';
    case 'EACCES':
      return 'it needs root, or the capability CAP_NET_BIND_SERVICE (EACCES)';
    case 'EADDRNOTAVAIL':
      return 'this host has no such address (EADDRNOTAVAIL)';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
