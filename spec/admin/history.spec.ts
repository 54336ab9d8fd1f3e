import { mock } from 'node:test';
import t from 'tap';
import { causesModule, REFUSALS } from '../../lib/admin/causes.ts';
import { type HistoryDocument, startHistory } from '../../lib/admin/history.ts';
import type { StatusDocument } from '../../lib/admin/status.ts';
import { CAUSE_NAMES } from '../../lib/core/termination.ts';
import type { Owner } from '../support/owner.ts';
import { madeUpStatus } from './made-up.ts';

/** A history whose clock is in the test's hands. */
function start(owner: Owner, status: () => StatusDocument) {
  mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 1_000;
  const history = startHistory(status, () => nowMs);
  owner.teardown(() => {
    history.close();
    mock.timers.reset();
  });
  return {
    read: (): HistoryDocument => history.read(),
    pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 1_000) {
        nowMs += 1_000;
        mock.timers.tick(1_000);
      }
    },
  };
}

t.test('a page that is just opened has the last ten minutes, and no more is kept', async t => {
  let accepted = 0;
  const base = madeUpStatus();
  const history = start(t, () => {
    accepted += 10;
    return { ...base, listeners: base.listeners.map(listener => ({ ...listener, accepted })) };
  });
  t.equal(history.read().samples.length, 1, 'the first sample is there at once');

  history.pass(20 * 60_000);
  const { samples, marks } = history.read();
  t.equal(samples.length, 300);
  t.equal(samples[0]?.ageMs, 598_000, 'the oldest first');
  t.equal(samples.at(-1)?.ageMs, 0);
  t.equal((samples[1]?.accepted ?? 0) - (samples[0]?.accepted ?? 0), 20, 'both listeners count');
  t.equal(marks.length, 11);
  t.equal(marks[0]?.ageMs, 300_000, 'counters of five minutes ago');
  t.equal(marks[0]?.backends.length, base.pools.flatMap(pool => pool.backends).length);
  t.ok(JSON.stringify({ samples, marks }).length < 64_000, 'small enough for a phone');
});

t.test('a sample is the instance in seven numbers', async t => {
  const history = start(t, () => madeUpStatus());
  t.strictSame(history.read().samples, [
    {
      ageMs: 0,
      accepted: 3_506_329,
      active: 311,
      queued: 14,
      bytes: 92_403_111_942 + 1_802_443_110 + 20_118_404_119 + 240_404_221,
      failed: 12 + 3 + 411 + 2 + 94,
      refused: 18_402 + 12_735 + 14,
    },
  ]);
});

t.test('every cause has a kind; refusals are those that clients hear of from us', async t => {
  const module = causesModule();
  for (const cause of CAUSE_NAMES) t.match(module, `"${cause}",\n    {\n      "kind": "`);
  t.strictSame(REFUSALS, [
    'no-backend',
    'queue-full',
    'queue-timeout',
    'denied',
    'listener-limit',
    'client-limit',
    'client-rate',
    'descriptors',
    'local-ports',
  ]);
});
