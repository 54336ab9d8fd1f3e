import type { Address, IpAddress } from '../core/address.ts';
import type { FaultCode } from '../core/fault.ts';
import type { PoolSnapshot } from '../pool/snapshot.ts';
import type { DialOptions } from '../transport/contract.ts';

/** How often a list of sources has been used in this thread: each connection takes the next one. */
const turns = new WeakMap<readonly IpAddress[], number>();

/** Null where it is the kernel's choice. */
export function originOf(
  pool: PoolSnapshot,
  backend: Address,
  client: { readonly address: Address },
): Origin | null {
  if (pool.identity !== 'transparent' && pool.source.length === 0) return null;
  return new Origin(pool, backend, client);
}

/**
 * Where connections to one backend come from: the addresses of the pool in turn, or, with identity transparent, the client's
 * own. Made anew for each backend that is dialled.
 */
export class Origin {
  readonly #sources: readonly IpAddress[];
  readonly #client: IpAddress | null;
  readonly #fault: FaultCode | null;
  readonly #turn: number;
  #tried = 0;

  constructor(pool: PoolSnapshot, backend: Address, client: { readonly address: Address }) {
    const seen = pool.identity === 'transparent' ? client.address : null;
    // A client on a Unix socket has no address, and no packet has a source of one family and a destination of another.
    this.#fault = seen !== null && seen.family !== backend.family ? 'other-family' : null;
    this.#client = seen === null || seen.family === 'unix' ? null : { ...seen, port: 0 };
    this.#sources =
      pool.source.length === 0 ? pool.source : pool.source.filter(({ family }) => family === backend.family);
    const turn = turns.get(pool.source) ?? 0;
    if (this.#sources.length > 0) turns.set(pool.source, turn + 1);
    this.#turn = turn;
  }

  /** What to dial with; undefined leaves it to the kernel, and a fault says that the backend cannot be reached so. */
  options(): DialOptions | FaultCode | undefined {
    if (this.#fault !== null) return this.#fault;
    if (this.#client !== null) return { source: this.#client, transparent: true };
    const source = this.#sources[(this.#turn + this.#tried) % Math.max(1, this.#sources.length)];
    return source && { source };
  }

  /** The source that was used has no ports left; whether there is another that has not been tried. */
  another(): boolean {
    this.#tried++;
    return this.#tried < this.#sources.length;
  }
}
