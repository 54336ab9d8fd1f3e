/** TLS clients that say what no TLS library lets them say, on every transport: what becomes of them is the same. */
import { once } from 'node:events';
import t from 'tap';
import { within } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import { TRANSPORTS } from './peers.ts';
import { type Attacker, CLOSE_NOTIFY, data, openAttacked, RECORD } from './tls-attacker.ts';

const MIB = 1_048_576;
const text = (said: string): Buffer => Buffer.from(said);
const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

/** What is said inside of TLS, what of it is heard, and what becomes of the connection: null where it lives on. */
type Case = readonly [
  name: string,
  say: (attacker: Attacker) => readonly Uint8Array[],
  heard: string,
  becomes: 'end' | 'close reset' | null,
];

const alert = ({ seal }: Attacker, ...said: readonly number[]): Buffer =>
  seal(RECORD.ALERT, Uint8Array.from(said));

const CASES: readonly Case[] = [
  ['empty records', by => [data(by, 'one'), data(by, ''), data(by, 'two'), data(by, '')], 'onetwo', null],
  [
    'empty records without end',
    by => [data(by, 'one'), ...times(40, () => data(by, ''))],
    'one',
    'close reset',
  ],
  ['the longest record', by => [data(by, 'a'.repeat(16_384)), data(by, 'b')], `${'a'.repeat(16_384)}b`, null],
  ['one octet more', by => [data(by, 'one'), data(by, 'a'.repeat(16_385))], 'one', 'close reset'],
  ['plaintext', by => [data(by, 'one'), text('MAIL FROM:<a@example.org>\r\n')], 'one', 'close reset'],
  ['one wrong bit', by => [data(by, 'one'), flipped(data(by, 'two'))], 'one', 'close reset'],
  ['warnings', by => [...times(3, () => alert(by, 1, 90)), data(by, 'one')], 'one', null],
  [
    'warnings without end',
    by => [data(by, 'one'), ...times(10, () => alert(by, 1, 90))],
    'one',
    'close reset',
  ],
  ['a fatal alert', by => [data(by, 'one'), alert(by, 2, 80), data(by, 'two')], 'one', 'close reset'],
  [
    'data behind the end',
    by => [data(by, 'one'), by.seal(RECORD.ALERT, CLOSE_NOTIFY), data(by, 'two')],
    'one',
    'end',
  ],
];

const MODERN: readonly Case[] = [
  ['padding', by => [data(by, 'a', 16_000), data(by, 'b', 16_383), data(by, 'c')], 'abc', null],
  [
    'new keys',
    by => [by.updateKeys(false), data(by, 'one'), by.updateKeys(true), data(by, 'two')],
    'onetwo',
    null,
  ],
  [
    'new keys again and again',
    by => [...times(300, () => by.updateKeys(true)), data(by, 'one')],
    'one',
    null,
  ],
];

for (const name of TRANSPORTS)
  t.test(`${name}: clients that bend TLS`, needs('openssl'), async t => {
    const { begin, world } = await openAttacked(t, name);
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
      t.test(version, async t => {
        for (const [what, say, heard, becomes] of version === 'TLSv1.3' ? [...CASES, ...MODERN] : CASES)
          for (const cut of ['in one', 'record by record']) {
            const { attacker, accepted } = await begin(version);
            const said = say(attacker);
            if (cut === 'in one') attacker.socket.write(Buffer.concat(said));
            else for (const record of said) attacker.socket.write(record);
            await accepted.told.received(heard.length);
            if (becomes !== null) await accepted.told.came(becomes);
            else {
              attacker.socket.write(data(attacker, '.'));
              await accepted.told.received(heard.length + 1);
            }
            t.equal(String(accepted.told.bytes), heard + (becomes === null ? '.' : ''), `${what}, ${cut}`);
            t.strictSame(accepted.told.events, ['secure', ...(becomes === null ? [] : [becomes])], what);
            accepted.connection.destroy();
          }
        t.strictSame(world.faults, []);
      });

    t.test('what comes behind the end is kept by nobody', async t => {
      const { attacker, accepted } = await begin('TLSv1.3');
      attacker.socket.write(attacker.seal(RECORD.ALERT, CLOSE_NOTIFY));
      await accepted.told.came('end');
      const before = process.memoryUsage.rss();
      const junk = Buffer.alloc(MIB, 'x');
      for (let sent = 0; sent < 64; sent++)
        if (!attacker.socket.write(junk)) await within('room', once(attacker.socket, 'drain'));
      const grown = (process.memoryUsage.rss() - before) / MIB;
      t.comment(`64 MiB behind the end: ${grown.toFixed(1)} MiB more`);
      t.ok(grown < 24);
      accepted.connection.write(text('still heard'));
      t.equal(String((await once(attacker.tls, 'data'))[0]), 'still heard');
      accepted.connection.destroy();
    });
  });

function flipped(record: Buffer): Buffer {
  const last = record.length - 1;
  record[last] = (record[last] as number) ^ 1;
  return record;
}
