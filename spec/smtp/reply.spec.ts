import t from 'tap';
import { REPLY_OCTETS } from '../../lib/core/limits.ts';
import { capabilityNames } from '../../lib/smtp/capabilities.ts';
import { ReplyReader } from '../../lib/smtp/reply.ts';

t.test('several replies in one chunk are read one line at a time', async t => {
  const bytes = Buffer.from('250-one DSN\r\n250-DSN\r\n250 SIZE 1\r\n354 go\r\n221');
  const reader = new ReplyReader();
  const seen: unknown[] = [];
  for (let at = 0; at < bytes.length; ) {
    at = reader.read(bytes, at);
    seen.push([at, reader.status, reader.code, capabilityNames(reader.capabilities)]);
  }
  t.strictSame(seen, [
    [13, 'line', 250, []],
    [22, 'line', 250, ['DSN']],
    [34, 'end', 250, ['SIZE', 'DSN']],
    [42, 'end', 354, []],
    [45, 'more', 0, []],
  ]);
});

t.test('what is no reply is refused at the octet that shows it', async t => {
  const faults: readonly (readonly [string, string, number])[] = [
    ['199 x\r\n', 'syntax', 1],
    ['600 x\r\n', 'syntax', 1],
    ['2a0 x\r\n', 'syntax', 2],
    ['25\r\n', 'syntax', 3],
    ['250_x\r\n', 'syntax', 4],
    ['250-x\r\n251 x\r\n', 'syntax', 11],
    ['250-x\r\n\r\n', 'syntax', 8],
    ['250 x\n', 'bare-newline', 6],
    ['250 \0', 'nul', 5],
    ['250\r\r\n', 'syntax', 5],
  ];
  for (const [text, status, octets] of faults) {
    const reader = new ReplyReader();
    const bytes = Buffer.from(text);
    let at = 0;
    do at = reader.read(bytes, at);
    while (reader.status === 'line');
    t.strictSame([reader.status, at], [status, octets], JSON.stringify(text));
    t.equal(reader.read(Buffer.from('250 x\r\n'), 0), 0, 'and nothing is read after it');
  }
});

t.test('the bound of a whole reply is exact', async t => {
  const line = `250-${'x'.repeat(506)}\r\n`;
  const most = Buffer.from(line.repeat(REPLY_OCTETS / line.length - 1) + line.replace('-', ' '));
  const over = Buffer.from(line.repeat(REPLY_OCTETS / line.length));
  const status = (bytes: Uint8Array) => {
    const reader = new ReplyReader();
    for (let at = 0; at < bytes.length; ) at = reader.read(bytes, at);
    return reader.status;
  };
  t.equal(most.length, REPLY_OCTETS);
  t.equal(status(most), 'end');
  t.equal(status(over), 'reply-oversize');
});
