import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * Puts a distance between a subject and a backend on this machine: `far-backend.ts HOST PORT MS`. What either says arrives MS
 * later. The kernel here answers a SYN at once, so that the three segments that open a connection are added to the first
 * bytes: over a wire the greeting is there after two round trips, and so it is here.
 */
const [host = '', port = '', ms = ''] = process.argv.slice(2);
const ONE_WAY_MS = Number(ms);

const server = createServer({ allowHalfOpen: true }, near => {
  const far = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
  near.setNoDelay(true);
  const openedAt = performance.now() + 3 * ONE_WAY_MS;
  pass(near, far, openedAt);
  pass(far, near, openedAt);
});

/** Nothing overtakes what was said before: timers of equal or growing deadlines fire in order. */
function pass(from: Socket, to: Socket, openedAt: number): void {
  const later = (act: () => void): void => {
    const wait = Math.max(performance.now(), openedAt) + ONE_WAY_MS - performance.now();
    setTimeout(act, wait);
  };
  from.on('data', chunk => later(() => to.write(chunk)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => to.destroy());
  from.on('close', () => later(() => to.destroy()));
}

server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  process.stdout.write(`127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
