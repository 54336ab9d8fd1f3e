import t from 'tap';
import { LOGGED_TEXT_OCTETS } from '../../lib/core/limits.ts';
import { printable } from '../../lib/core/text.ts';

t.test('no control character of any kind gets into a log, a page or a terminal', async t => {
  const faults: string[] = [];
  for (let code = 0; code <= 0xffff; code++) {
    const character = String.fromCharCode(code);
    const shown = printable(`a${character}b`);
    const isControl = /\p{Cc}|[\u2028\u2029]/u.test(character);
    if (isControl ? !/^a\\x[0-9a-f]{2,4}b$/.test(shown) : shown !== `a${character}b`)
      faults.push(`U+${code.toString(16)} became ${JSON.stringify(shown)}`);
  }
  t.strictSame(faults, []);
  t.equal(printable('\x1b[31m\r\nx\x9b'), '\\x1b[31m\\x0d\\x0ax\\x9b');
});

t.test('text is cut to a fixed length, and one sees that it was', async t => {
  t.equal(printable('x'.repeat(LOGGED_TEXT_OCTETS)), 'x'.repeat(LOGGED_TEXT_OCTETS));
  t.equal(printable('x'.repeat(LOGGED_TEXT_OCTETS + 1)), `${'x'.repeat(LOGGED_TEXT_OCTETS)}…`);
  t.equal(printable('abc', 2), 'ab…');
  t.ok(printable('\0'.repeat(100_000)).length <= 4 * LOGGED_TEXT_OCTETS + 1, 'escaped, it is still bounded');
});
