import { constants } from 'node:os';
import t from 'tap';
import {
  dialReason,
  errorName,
  isOneClientsFault,
  isShortage,
  systemError,
  WaitFailures,
} from '../../../lib/transport/linux/errno.ts';

const { errno } = constants;

t.test('every error of dialling has its reason', async t => {
  const reasons = {
    ECONNREFUSED: 'refused',
    ENOENT: 'refused',
    EAGAIN: 'refused',
    ECONNRESET: 'reset',
    EPIPE: 'reset',
    EHOSTUNREACH: 'unreachable',
    ENETUNREACH: 'unreachable',
    ENETDOWN: 'unreachable',
    ETIMEDOUT: 'timed-out',
    EADDRNOTAVAIL: 'no-ports',
    EADDRINUSE: 'no-ports',
    EMFILE: 'no-descriptors',
    ENFILE: 'no-descriptors',
    EPERM: 'failed',
    EACCES: 'failed',
    EINVAL: 'failed',
  } as const;
  for (const [name, reason] of Object.entries(reasons)) {
    const result = -errno[name as keyof typeof reasons];
    t.equal(dialReason(result), reason, name);
    t.equal(errorName(result), name);
  }
  t.equal(dialReason(-112), 'unreachable', 'EHOSTDOWN');
});

t.test('what accept says is about one client, about this host, or about memory', async t => {
  for (const name of ['ECONNABORTED', 'EINTR', 'EPERM', 'EPROTO', 'EHOSTUNREACH'] as const)
    t.ok(isOneClientsFault(-errno[name]), name);
  for (const name of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EAGAIN', 'EINVAL'] as const)
    t.notOk(isOneClientsFault(-errno[name]), name);
  t.strictSame([-errno.ENOBUFS, -errno.ENOMEM, -errno.EAGAIN].map(isShortage), [true, true, false]);
});

t.test('an error is told as Node tells its own', async t => {
  t.match(systemError('bind', -errno.EADDRINUSE, '127.0.0.1 port 25'), {
    code: 'EADDRINUSE',
    syscall: 'bind',
    message: 'bind EADDRINUSE 127.0.0.1 port 25',
  });
});

t.test('a wait that fails once is tried again; one that fails on and on is hopeless', async t => {
  const waits = new WaitFailures();
  const passing = [errno.EINTR, errno.EAGAIN, errno.ETIME, errno.EBUSY, errno.ENOMEM].map(code => -code);
  for (const result of [...passing, ...passing, 0, 3]) t.notOk(waits.hopeless(result), `${result}`);
  const failed = (times: number) => Array.from({ length: times }, () => waits.hopeless(-errno.EBADF));
  t.notOk(failed(7).includes(true));
  t.notOk(waits.hopeless(-errno.EINTR), 'one that was cut short begins the count anew');
  t.strictSame(failed(8), [...Array(7).fill(false), true]);
});
