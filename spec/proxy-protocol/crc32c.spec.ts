import t from 'tap';
import { crc32c } from '../../lib/proxy-protocol/crc32c.ts';
import { ascii } from './samples.ts';

t.test('known sums: the check value, and the vectors of RFC 3720 appendix B.4', async t => {
  t.equal(crc32c(ascii('123456789')), 0xe3069283);
  t.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  t.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  t.equal(crc32c(Uint8Array.from({ length: 32 }, (_, at) => at)), 0x46dd794e);
  t.equal(crc32c(new Uint8Array(0)), 0);
});

t.test('a message summed in pieces has the sum of the whole', async t => {
  const bytes = ascii('123456789');
  for (let cut = 0; cut <= bytes.length; cut++) {
    t.equal(crc32c(bytes, cut, bytes.length, crc32c(bytes, 0, cut)), 0xe3069283, `cut at ${cut}`);
  }
});
