import t from 'tap';
import {
  CLOSED,
  closeAbandoned,
  createDescriptorTable,
  type DescriptorOwner,
  openDescriptorRecord,
} from '../../../lib/transport/linux/descriptor.ts';
import type { Libc } from '../../../lib/transport/linux/libc.ts';

const owner = (): DescriptorOwner => ({ descriptor: CLOSED, generation: 0, onEvents() {}, onFault() {} });

function openTable() {
  const closed: number[] = [];
  const libc = { close: (descriptor: number) => closed.push(descriptor) } as unknown as Libc;
  const record = openDescriptorRecord();
  return { closed, record, table: createDescriptorTable(libc, record) };
}

t.test('an event for a number that was closed and given out again is for nobody', async t => {
  const { table } = openTable();
  const [first, second] = [owner(), owner()];
  table.adopt(first, 9);
  const { generation } = first;
  t.equal(table.ownerOf(9, generation), first);
  table.close(first);
  t.equal(table.ownerOf(9, generation), undefined, 'closed');
  table.adopt(second, 9);
  t.equal(table.ownerOf(9, generation), undefined, 'the old event does not reach the new owner');
  t.equal(table.ownerOf(9, second.generation), second);
});

t.test('a descriptor has one owner, and is closed once', async t => {
  const { closed, table } = openTable();
  const one = owner();
  table.adopt(one, 9);
  t.throws(() => table.adopt(one, 10), /owns a descriptor already/);
  t.throws(() => table.adopt(owner(), 9), /has an owner already/);
  t.throws(() => table.close({ ...owner(), descriptor: 9 }), /is another's/);
  table.close(one);
  table.close(one);
  t.strictSame(closed, [9]);
  t.equal(one.descriptor, CLOSED, 'what comes too late reaches no socket');
  t.equal(table.open, 0);
});

t.test('what a thread that died had open is known, and closed by another', async t => {
  const { record, table } = openTable();
  const numbers = [0, 5, 31, 32, 63, 4_096, 65_535];
  const owners = numbers.map(number => {
    const one = owner();
    table.adopt(one, number);
    return one;
  });
  table.close(owners[1] as DescriptorOwner);
  const closed: number[] = [];
  t.equal(
    closeAbandoned(record, descriptor => closed.push(descriptor)),
    6,
  );
  t.strictSame(closed, [0, 31, 32, 63, 4_096, 65_535]);
  t.equal(
    closeAbandoned(record, () => t.fail('twice')),
    0,
  );
});
