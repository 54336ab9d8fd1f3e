import t from 'tap';
import { type Address, ipAddress } from '../../lib/core/address.ts';
import { offeredAttributes, xclientCommand, xtext } from '../../lib/xclient/xclient.ts';

const POSTFIX = 'XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT';
const at = (host: string, port: number) => ipAddress(host, port) as Address;

t.test('what is offered is read from the reply to EHLO, and from nowhere else', t => {
  t.strictSame([...(offeredAttributes(['mx', 'SIZE 1', 'xclient  addr PORT']) ?? [])], ['ADDR', 'PORT']);
  t.equal(offeredAttributes(['XCLIENT ADDR', 'SIZE']), null, 'the first line is the host name');
  t.equal(offeredAttributes(['mx', 'XCLIENTS ADDR']), null);
  t.equal(offeredAttributes(['mx', 'XCLIENT']), null);
  t.equal(offeredAttributes(['mx', 'XCLIENT NAME PORT']), null, 'a port without an address says nothing');
  t.end();
});

t.test('only what is offered is said, and what is unknown is said to be unknown', t => {
  const all = offeredAttributes(['mx', POSTFIX]) ?? new Set<string>();
  const ends = { source: at('192.0.2.7', 4_711), destination: at('198.51.100.1', 25) };
  t.equal(
    xclientCommand(all, ends),
    'XCLIENT NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=4711 DESTADDR=198.51.100.1 DESTPORT=25',
  );
  t.equal(xclientCommand(new Set(['ADDR', 'LOGIN']), ends), 'XCLIENT ADDR=192.0.2.7');
  const six = { source: at('2001:db8::7', 25), destination: at('2001:db8::1', 25) };
  t.equal(xclientCommand(new Set(['ADDR']), six), 'XCLIENT ADDR=IPV6:2001:db8::7');
  const local: Address = { family: 'unix', path: '' };
  t.equal(
    xclientCommand(new Set(['ADDR', 'PORT']), { source: local, destination: local }),
    'XCLIENT ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]',
  );
  t.end();
});

t.test('xtext lets no value end its word or its line', t => {
  t.equal(xtext('a+b=c d\r\n'), 'a+2Bb+3Dc+20d+0D+0A');
  t.equal(xtext('IPV6:2001:db8::1'), 'IPV6:2001:db8::1');
  t.equal(xtext('é\u0000'), '+C3+A9+00');
  t.end();
});
