import t from 'tap';
import { REPLY_LINE_OCTETS } from '../../lib/core/limits.ts';
import { ReplyReader } from '../../lib/smtp/reply.ts';
import { refusal } from '../../lib/smtp/reply-text.ts';

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

t.test('a refusal is one reply line', async t => {
  t.equal(text(refusal(421, '4.3.2', 'mx.example.net', 'Too busy')), '421 4.3.2 mx.example.net Too busy\r\n');
  t.equal(text(refusal(554, '5.7.1', '', 'No')), '554 5.7.1 No\r\n');
});

t.test('nothing configured can begin a second line', async t => {
  const bytes = refusal(421, '4.3.2', 'mx\r\n250 ok', 'a\r\nb\nc\rd\0e\x1b[m\u00e9\u2028');
  t.equal(text(bytes), '421 4.3.2 mx250 ok abcde[m\r\n');
  const reader = new ReplyReader();
  t.equal(reader.read(bytes, 0), bytes.length);
  t.strictSame([reader.status, reader.code], ['end', 421]);
});

t.test('a line has at most 512 octets and still ends', async t => {
  const bytes = refusal(421, '4.3.2', 'mx', 'x'.repeat(1000));
  t.equal(bytes.length, REPLY_LINE_OCTETS);
  t.match(text(bytes), /x\r\n$/);
});
