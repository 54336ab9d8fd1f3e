import t from 'tap';
import { LOADER } from './checkout.ts';
import { startScript } from './processes.ts';

const skip = LOADER.length === 0 ? false : 'suites are compiled';

t.test('a suite that ends before its last file has run is no success', { skip }, async t => {
  const { exitCode, stderr } = await startScript(t, 'spec/support/early-end', []).exited;
  t.equal(exitCode, 1);
  t.match(stderr, /^only 0 of 1 files have run$/m);
});
