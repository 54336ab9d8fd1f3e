import t from 'tap';
import { createExpiringMap } from '../../lib/core/expiring-map.ts';

t.test('entries end at their time, and begin it anew when they are set', async t => {
  let nowMs = 0;
  const map = createExpiringMap<string>(10, () => nowMs);
  map.set('a', 'one', 100);
  map.set('b', 'two', 100);
  nowMs = 60;
  map.set('a', 'three', 100);
  nowMs = 100;
  t.equal(map.get('b'), undefined);
  t.equal(map.get('a'), 'three');
  map.delete('a');
  t.equal(map.get('a'), undefined);
  t.equal(map.size, 0);
});

t.test('the bound holds, and what is over makes room first', async t => {
  let nowMs = 0;
  const map = createExpiringMap<number>(100, () => nowMs);
  for (let at = 0; at < 1_000; at++) {
    map.set(`k${at}`, at, 1_000);
    t.ok(map.size <= 100);
  }
  t.equal(map.get('k899'), undefined, 'the oldest went');
  t.equal(map.get('k999'), 999);
  nowMs = 1_000;
  for (let at = 0; at < 60; at++) map.set(`n${at}`, at, 1_000);
  t.equal(map.size, 60, 'what was over is gone');
});
