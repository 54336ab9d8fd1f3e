import { randomBytes } from 'node:crypto';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Address } from '../../../lib/core/address.ts';
import {
  CLOSED,
  createDescriptorTable,
  openDescriptorRecord,
} from '../../../lib/transport/linux/descriptor.ts';
import { AGAIN } from '../../../lib/transport/linux/errno.ts';
import { HERE, loadForeign } from '../../../lib/transport/linux/foreign.ts';
import { SOCKET } from '../../../lib/transport/linux/layout.ts';
import { bindLibc } from '../../../lib/transport/linux/libc.ts';
import { Pipe } from '../../../lib/transport/linux/pipe.ts';
import { encodeAddress } from '../../../lib/transport/linux/sockaddr.ts';
import { eventually } from '../../support/eventually.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const MOST = 262_144;

const foreign = await loadForeign(HERE);
if (typeof foreign === 'string') t.comment(foreign);
else {
  const libc = bindLibc(foreign);

  /** A descriptor, and the socket at its other end. */
  async function pair(t: Test, path?: string): Promise<{ descriptor: number; peer: Socket }> {
    const server = createServer();
    const where = path === undefined ? { host: '127.0.0.1', port: 0 } : { path };
    await new Promise<void>(resolve => server.listen(where, resolve));
    const accepted = new Promise<Socket>(resolve => server.once('connection', resolve));
    const { port } = server.address() as AddressInfo;
    const address: Address =
      path === undefined ? { family: 'ipv4', host: '127.0.0.1', port } : { family: 'unix', path };
    const descriptor = libc.socket(path === undefined ? SOCKET.AF_INET : SOCKET.AF_UNIX);
    libc.connect(descriptor, encodeAddress(address) as Uint8Array);
    const peer = await accepted;
    t.teardown(() => {
      peer.destroy();
      libc.close(descriptor);
      server.close();
    });
    return { descriptor, peer };
  }

  t.test('what a full socket does not take is left, and nothing is lost or mixed up', async t => {
    const table = createDescriptorTable(libc, openDescriptorRecord());
    t.teardown(() => table.closeAll());
    const pipe = new Pipe(libc, table);
    const [from, to] = [await pair(t), await pair(t)];
    to.peer.pause();
    const said = randomBytes(16 * 1_048_576);
    from.peer.end(said);

    const kept: Buffer[] = [];
    let passed = 0;
    /** Reads on until there is nothing for now; true at the end. */
    const isOver = (): boolean => {
      for (;;) {
        const count = pipe.fill(from.descriptor, MOST);
        if (count === AGAIN) return false;
        if (count === 0) return true;
        const sent = kept.length > 0 ? AGAIN : pipe.empty(to.descriptor, count);
        passed += Math.max(0, sent);
        if (sent !== count) kept.push(pipe.rest(count - Math.max(0, sent)));
      }
    };
    await eventually('all of it to have been read', isOver);
    const rest = Buffer.concat(kept);
    t.comment(`${passed} octets went to the socket, ${rest.length} were taken out of the pipe again`);
    t.ok(passed > 0 && rest.length > 0, 'both have happened');
    t.equal(pipe.fill(from.descriptor, MOST), 0, 'the end is told as such');
    libc.shutdown(to.descriptor);
    const heard: Buffer[] = [];
    for await (const chunk of to.peer) heard.push(chunk as Buffer);
    t.ok(Buffer.concat([...heard, rest]).equals(said), 'what went and what was left is what was said');
  });

  for (const family of ['ipv4', 'unix'])
    t.test(`${family}: a helping is what the other socket has room for, so that little is left`, async t => {
      const table = createDescriptorTable(libc, openDescriptorRecord());
      t.teardown(() => table.closeAll());
      const pipe = new Pipe(libc, table);
      const path = family === 'unix' ? join(await temporaryDirectory(t), 'to.sock') : undefined;
      const [from, to] = [await pair(t), await pair(t, path)];
      to.peer.pause();
      from.peer.write(Buffer.alloc(16 * 1_048_576));
      const first = pipe.helpingFor(to.descriptor);
      t.ok(first > MOST / 2, `${first}: nothing is in its way yet`);

      let [passed, left, helpings] = [0, 0, 0];
      await eventually('a helping that was not taken whole', () => {
        for (;;) {
          const count = pipe.fill(from.descriptor, pipe.helpingFor(to.descriptor));
          if (count === AGAIN) return false;
          const sent = Math.max(0, pipe.empty(to.descriptor, count));
          [passed, left, helpings] = [passed + sent, count - sent, helpings + 1];
          if (left > 0) return pipe.rest(left).length === left;
        }
      });
      t.comment(`${passed} octets went in ${helpings} helpings, ${left} of the last were left`);
      t.ok(left <= MOST / 8, `${left}`);
      t.ok(pipe.helpingFor(to.descriptor) < MOST / 8, 'nor would more be taken now');
      t.ok(pipe.helpingFor(CLOSED) > 0, 'a socket that is closed has no room, and the next call says so');
    });
}
