import { parseAddress } from '../../lib/core/address.ts';
import { openIdle } from '../generator.ts';

/** idle-clients.ts ADDRESS COUNT: opens sessions that wait, says so, and resets them all when it is told to end. */

const [address, count] = [parseAddress(process.argv[2] ?? ''), Number(process.argv[3])];
if (address === undefined || address.family === 'unix') throw new Error('idle-clients.ts ADDRESS COUNT');
const clients = await openIdle(address, count);
process.once('SIGTERM', () => {
  for (const client of clients) client.reset();
  process.exit(0);
});
process.stdout.write('ready\n');
// A session that does not last is no idle session: whoever measures beside it must hear of it.
await Promise.race(clients.map(client => client.closed));
process.stderr.write('an idle session was closed\n');
process.exit(1);
