import t from 'tap';
import { CAPABILITIES, capabilityBit, capabilityNames } from '../../lib/smtp/capabilities.ts';
import { keywordTable, narrow, settle } from '../../lib/smtp/keyword.ts';
import { ReplyReader } from '../../lib/smtp/reply.ts';

function offered(line: string): string[] {
  const reader = new ReplyReader();
  const bytes = Buffer.from(`250-mx\r\n250 ${line}\r\n`, 'latin1');
  for (let at = 0; at < bytes.length; ) at = reader.read(bytes, at);
  t.equal(reader.status, 'end');
  return capabilityNames(reader.capabilities);
}

t.test('every capability is known alone, with parameters and in any case', async t => {
  for (const name of CAPABILITIES) {
    t.strictSame(offered(name), [name]);
    t.strictSame(offered(`${name.toLowerCase()} a b`), [name]);
    t.strictSame(capabilityNames(capabilityBit(name)), [name]);
  }
});

t.test('no capability is taken for another', async t => {
  for (const name of CAPABILITIES) {
    for (const line of [name.slice(0, -1), `${name}X`, ` ${name}`, `X${name}`, `${name}-`, `${name}\t`]) {
      t.strictSame(offered(line), [], JSON.stringify(line));
    }
    t.strictSame(offered(`${name}=x`), name === 'AUTH' ? ['AUTH'] : []);
  }
});

t.test('a mask of all names has them all, and of none has none', async t => {
  const all = CAPABILITIES.reduce((mask, name) => mask | capabilityBit(name), 0);
  t.strictSame(capabilityNames(all), [...CAPABILITIES]);
  t.strictSame(capabilityNames(0), []);
});

t.test('words that share a beginning part where they differ', async t => {
  const table = keywordTable(['GO', 'GONE', 'GUN']);
  const find = (text: string) => {
    let candidates = table.all;
    for (const [position, octet] of Buffer.from(text).entries())
      candidates = narrow(table, candidates, position, octet);
    return settle(table, candidates, text.length);
  };
  t.strictSame(['GO', 'gone', 'Gun', 'G', 'GON', 'GONER', ''].map(find), [1, 2, 4, 0, 0, 0, 0]);
  t.throws(() => keywordTable(Array.from({ length: 32 }, (_, n) => `W${n}`)), RangeError);
});
