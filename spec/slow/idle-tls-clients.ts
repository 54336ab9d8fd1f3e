/** idle-tls-clients.ts ADDRESS COUNT: for each line it reads, opens so many TLS sessions that wait, and says so. */
import { createInterface } from 'node:readline';
import { connect } from 'node:tls';
import { parseAddress } from '../../lib/core/address.ts';

const [address, count] = [parseAddress(process.argv[2] ?? ''), Number(process.argv[3])];
if (address === undefined || address.family === 'unix') throw new Error('idle-tls-clients.ts ADDRESS COUNT');
const { host, port } = address;

function greeted(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false });
    socket.once('data', () => resolve());
    // Sooner or later the far end dies, which is what it is all about.
    socket.on('error', reject);
  });
}

let rounds = 0;
for await (const _ of createInterface({ input: process.stdin })) {
  await Promise.all(Array.from({ length: count }, greeted));
  process.stdout.write(`open ${++rounds};\n`);
}
