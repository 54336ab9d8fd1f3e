import t from 'tap';
import { FAULT_CODES, FAULTS } from '../../lib/core/fault.ts';

t.test('a fault that blames a backend is the backend’s, and leads to another one', async t => {
  for (const code of FAULT_CODES) {
    const { source, retryable, blamesBackend } = FAULTS[code];
    if (blamesBackend) t.ok(source === 'backend' && retryable, code);
    if (source === 'internal')
      t.notOk(blamesBackend, `${code}: our own trouble says nothing about a backend`);
    t.match(code, /^[a-z]+(-[a-z]+)*$/, 'a metric label value');
  }
});

t.test('what says nothing about the backend: its policy about this client, our own machine', async t => {
  t.strictSame(
    FAULT_CODES.filter(code => !FAULTS[code].blamesBackend),
    ['busy-greeting', 'no-ports', 'no-descriptors', 'other-family', 'not-permitted', 'failed'],
  );
  t.strictSame(
    FAULT_CODES.filter(code => !FAULTS[code].retryable),
    ['no-descriptors', 'not-permitted'],
    'only a lack of our own is not mended by another backend',
  );
});
