import t from 'tap';
import { REPLY_OCTETS } from '../../lib/core/limits.ts';
import { ReplyCollector } from '../../lib/smtp/reply-collector.ts';

const TEXT = '250-mx.example\r\n250-STARTTLS\r\n250 XCLIENT ADDR PORT\r\n';

t.test('a reply is the same however it was cut, and what is behind it is left', t => {
  for (let cut = 1; cut < TEXT.length; cut++) {
    const collector = new ReplyCollector();
    collector.read(Buffer.from(TEXT.slice(0, cut)), 0);
    t.not(collector.status, 'end');
    const rest = Buffer.from(`${TEXT.slice(cut)}221 bye\r\n`);
    const at = collector.read(rest, 0);
    t.equal(collector.status, 'end');
    t.strictSame(collector.reply().lines, ['mx.example', 'STARTTLS', 'XCLIENT ADDR PORT']);
    t.equal(Buffer.from(collector.reply().raw).toString(), TEXT);
    t.equal(rest.subarray(at).toString(), '221 bye\r\n');
    collector.read(rest, at);
    t.match(collector.reply(), { code: 221, lines: ['bye'] }, 'and then the next');
  }
  t.end();
});

t.test('a reply without end is not held for ever', t => {
  const collector = new ReplyCollector();
  const line = Buffer.from('250-more\r\n');
  for (let octets = 0; octets < 2 * REPLY_OCTETS; octets += line.length) collector.read(line, 0);
  t.equal(collector.status, 'reply-oversize');
  t.ok(collector.raw.length <= REPLY_OCTETS);
  t.end();
});
