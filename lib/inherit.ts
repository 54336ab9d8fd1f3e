import { closeSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import type { SaidOfBackend } from './admin/operator-state.ts';
import { formatAddress, ipAddress, ipFromBytes, parseAddress } from './core/address.ts';
import type { InheritedSocket, TakeInherited } from './shard/sockets.ts';

/** What a predecessor hands down in the environment, under `HANDED_DOWN`: see upgrade.ts. */
export interface HandedDown {
  /** Descriptors that listen, by the address as the configuration has it. */
  readonly sockets: readonly {
    readonly listener: string;
    readonly address: string;
    readonly fd: number;
    readonly foreign: boolean;
  }[];
  /** What operators had said, to that instance and to the cluster. */
  readonly operator: readonly SaidOfBackend[];
}

export const HANDED_DOWN = 'SMTPLB_HANDED_DOWN';
/** systemd's first descriptor (sd_listen_fds(3)). */
const SD_LISTEN_FDS_START = 3;

interface Inherited extends InheritedSocket {
  readonly address: string | undefined;
  readonly name: string;
  /** Given by systemd in this process's environment, and not by a predecessor. */
  readonly activated: boolean;
}

export interface Inheritance {
  /** A predecessor listens on what it has handed down, and carries on if this process does not start. */
  readonly fromPredecessor: boolean;
  readonly takeInherited: TakeInherited;
  readonly operator: HandedDown['operator'];
  /**
   * Sockets that nobody has asked for, as an operator may know them. A predecessor's are closed: nobody would ever
   * accept what the kernel connects there. systemd's wait for a reload that brings their listener.
   */
  leaveUnclaimed(): readonly string[];
}

/**
 * What this process was given at its start: by a predecessor (`smtplb upgrade`) or by systemd (socket activation:
 * LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES). The variables are removed, so that no child takes them for its own.
 *
 * A socket serves the listener's address that it is bound to. One of systemd's that is bound to something else, and is
 * named as a listener (FileDescriptorName=), takes the place of that listener's next address.
 */
export function readInheritance(env: NodeJS.ProcessEnv): Inheritance {
  const { [HANDED_DOWN]: text, LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = env;
  for (const name of [HANDED_DOWN, 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  const handedDown: HandedDown = text === undefined ? { sockets: [], operator: [] } : JSON.parse(text);
  const left: Inherited[] = handedDown.sockets.map(({ fd, address, foreign, listener }) => ({
    descriptor: fd,
    address,
    name: listener,
    foreign,
    activated: false,
  }));
  if (LISTEN_PID === String(process.pid)) {
    const names = LISTEN_FDNAMES.split(':');
    for (let at = 0; at < Number(LISTEN_FDS ?? '0'); at++) {
      const descriptor = SD_LISTEN_FDS_START + at;
      const address = boundAddress(descriptor);
      left.push({ descriptor, address, name: names[at] ?? '', foreign: true, activated: true });
    }
  }

  const take = (fits: (socket: Inherited) => boolean): InheritedSocket | undefined => {
    const at = left.findIndex(fits);
    return at < 0 ? undefined : left.splice(at, 1)[0];
  };
  return {
    fromPredecessor: text !== undefined,
    takeInherited(wanted, again = false) {
      // Who is bound where it is wanted goes first, or a name would take away what another address needs. Port 0 is
      // written as often as there are listeners without a port of their own: there the name tells which.
      const found = wanted.map(({ address, listener }) =>
        take(socket => socket.address === address && socket.name === listener),
      );
      for (const [at, { address }] of wanted.entries()) {
        const sure = !again || !address.endsWith(':0');
        if (sure) found[at] ??= take(socket => socket.address === address);
      }
      if (again) return found;
      for (const [at, { listener }] of wanted.entries())
        found[at] ??= take(({ activated, name }) => activated && name !== '' && name === listener);
      return found;
    },
    operator: handedDown.operator,
    leaveUnclaimed() {
      const unclaimed = [...left];
      for (const socket of unclaimed) {
        if (socket.activated) continue;
        left.splice(left.indexOf(socket), 1);
        discard(socket);
      }
      return unclaimed.map(({ address, name }) =>
        [name, address ?? ''].filter(part => part !== '').join(' on '),
      );
    },
  };
}

function discard({ address, descriptor, foreign }: Inherited): void {
  closeSync(descriptor);
  const bound = parseAddress(address ?? '');
  if (bound?.family === 'unix' && !foreign) rmSync(bound.path, { force: true });
}

/** Where a descriptor listens: Linux tells it by the socket's inode. Undefined where that cannot be found. */
function boundAddress(fd: number): string | undefined {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
    if (inode === undefined) return undefined;
    return (
      boundTcp('/proc/self/net/tcp', inode) ?? boundTcp('/proc/self/net/tcp6', inode) ?? boundPath(inode)
    );
  } catch {
    return undefined;
  }
}

/** `sl local_address rem_address st ... inode`; addresses are 32-bit words in the machine's byte order, in hex. */
function boundTcp(table: string, inode: string): string | undefined {
  for (const line of readFileSync(table, 'latin1').split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[9] !== inode) continue;
    const [words = '', port = ''] = (fields[1] ?? '').split(':');
    const bytes = Buffer.from(words, 'hex').swap32();
    const address = ipAddress(ipFromBytes(bytes), Number.parseInt(port, 16));
    return address && formatAddress(address);
  }
  return undefined;
}

function boundPath(inode: string): string | undefined {
  for (const line of readFileSync('/proc/self/net/unix', 'latin1').split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[6] === inode && fields[7]?.startsWith('/')) return `unix:${fields[7]}`;
  }
  return undefined;
}
