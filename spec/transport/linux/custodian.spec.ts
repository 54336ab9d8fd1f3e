import { closeSync } from 'node:fs';
import { createServer } from 'node:net';
import t from 'tap';
import { loadCustodian } from '../../../lib/transport/linux/custodian.ts';
import {
  closeAbandoned,
  noteMapping,
  openDescriptorRecord,
  unmapAbandoned,
} from '../../../lib/transport/linux/descriptor.ts';
import { HERE } from '../../../lib/transport/linux/foreign.ts';
import type { MemoryAddress } from '../../../lib/transport/linux/libc.ts';

t.test('a duplicate listens on when the first descriptor is closed', async t => {
  const custodian = await loadCustodian();
  if (custodian === null) return t.fail('there is none here');
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const copy = custodian.duplicate(fd);
  t.ok(copy > 2 && copy !== fd);
  closeSync(copy);
  t.throws(() => custodian.duplicate(-1), { code: 'EBADF' });
});

t.test('without the C library there is none', async t => {
  t.equal(await loadCustodian({ ...HERE, platform: 'darwin' }), null);
});

t.test('what a thread has mapped is given back once, and what is to be kept is kept', async t => {
  const record = openDescriptorRecord();
  const bits = new Int32Array(record, 0, 1);
  bits[0] = (1 << 5) | (1 << 9);
  noteMapping(record, 4096 as MemoryAddress, 100);
  noteMapping(record, 8192 as MemoryAddress, 200);
  const given: number[][] = [];
  const unmap = (address: MemoryAddress, octets: number) => void given.push([address, octets]);
  unmapAbandoned(record, unmap);
  unmapAbandoned(record, unmap);
  t.strictSame(given, [
    [4096, 100],
    [8192, 200],
  ]);
  const closed: number[] = [];
  t.equal(
    closeAbandoned(record, descriptor => closed.push(descriptor), new Set([5])),
    1,
  );
  t.strictSame(closed, [9]);
  t.equal(
    closeAbandoned(record, () => t.fail('it is empty')),
    0,
  );
});
