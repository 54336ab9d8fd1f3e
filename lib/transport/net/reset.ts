import type { Socket } from 'node:net';

/**
 * Sends RST and closes. `over` is what is spoken through, TLS or the socket itself.
 *
 * Node cannot reset a socket while its end is on the way to the kernel, which takes one round of the event loop: it emits
 * EINVAL, never closes the descriptor, and waits for that for ever when the process ends. So the end is awaited first;
 * where it is TLS's, and might wait for a peer that does not read, the socket is closed without RST.
 */
export function resetSocket(socket: Socket, over: Socket = socket): void {
  const isEnding = over.writableEnded && !over.writableFinished && over.writableLength === 0;
  if (!isEnding) socket.resetAndDestroy();
  else if (over === socket) socket.once('finish', () => socket.resetAndDestroy());
  else over.destroy();
}
