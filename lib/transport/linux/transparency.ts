import { NOT_PERMITTED } from './errno.ts';
import { HERE, loadForeign, type Machine } from './foreign.ts';
import { SOCKET } from './layout.ts';
import { bindLibc } from './libc.ts';

/** Why this process may not connect from addresses of its clients (IP_TRANSPARENT), or null where it may. Never rejects. */
export async function whyNotTransparent(machine: Machine = HERE): Promise<string | null> {
  const foreign = await loadForeign(machine);
  if (typeof foreign === 'string') return `it ${foreign}`;
  const libc = bindLibc(foreign);
  const socket = libc.socket(SOCKET.AF_INET);
  if (socket < 0) return 'no socket can be made to try it with';
  const tried = libc.setOption(socket, SOCKET.SOL_IP, SOCKET.IP_TRANSPARENT, 1);
  libc.close(socket);
  if (tried === NOT_PERMITTED) return 'it needs root, or the capability CAP_NET_ADMIN';
  return tried < 0 ? 'the kernel refuses IP_TRANSPARENT' : null;
}
