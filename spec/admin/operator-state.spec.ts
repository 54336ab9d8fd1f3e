/** What operators have said: to one instance, to the cluster, and which of the two holds. */
import t from 'tap';
import { type ClusterWord, createOperatorState } from '../../lib/admin/operator-state.ts';

const admin = (version: number, state: 'ready' | 'drain' | 'maint', backend = 'mx1'): ClusterWord => ({
  pool: 'mx',
  backend,
  version,
  admin: state,
  endSessions: false,
});

t.test('the later word holds, whoever it was said to', async t => {
  const state = createOperatorState();
  const holds = () => [state.of('mx', 'mx1').admin, state.scopeOf('mx', 'mx1').admin];
  t.same(holds(), ['ready', null]);
  state.say('mx', 'mx1', { admin: 'drain' });
  t.same(holds(), ['drain', 'instance']);
  t.same(state.hear([admin(5, 'maint')]), [admin(5, 'maint')]);
  t.same(holds(), ['maint', 'cluster']);
  t.same(state.hear([admin(5, 'maint')]), [], 'the same again is no news');
  state.say('mx', 'mx1', { admin: 'ready' });
  t.same(holds(), ['ready', 'instance']);
  state.hear([admin(5, 'maint'), admin(6, 'drain', 'mx2')]);
  t.same(holds(), ['ready', 'instance'], 'a word on another backend changes nothing here');
  state.say('mx', 'mx1', { admin: 'drain' });
  state.hear([admin(7, 'ready'), admin(6, 'drain', 'mx2')]);
  t.same(holds(), ['ready', 'cluster'], 'ready to the cluster clears what this instance was told');
  t.same(state.of('mx', 'mx2'), { admin: 'drain', weight: null });
});

t.test('weight and state are words of their own', async t => {
  const state = createOperatorState();
  state.say('mx', 'mx1', { weight: 3 });
  state.hear([admin(1, 'drain'), { pool: 'mx', backend: 'mx2', version: 2, weight: 9 }]);
  t.same(state.of('mx', 'mx1'), { admin: 'drain', weight: 3 });
  t.same(state.scopeOf('mx', 'mx1'), { admin: 'cluster', weight: 'instance' });
  t.same(state.of('mx', 'mx2'), { admin: 'ready', weight: 9 });
  state.hear([admin(1, 'drain'), { pool: 'mx', backend: 'mx2', version: 3, weight: null }]);
  t.same(state.of('mx', 'mx2'), { admin: 'ready', weight: null });
});

t.test('a successor knows what its predecessor knew, and which word is the later', async t => {
  const first = createOperatorState();
  first.hear([admin(5, 'maint'), admin(6, 'drain', 'mx2')]);
  first.say('mx', 'mx1', { admin: 'ready', weight: 2 });
  const second = createOperatorState(JSON.parse(JSON.stringify(first.entries())));
  t.same(second.of('mx', 'mx1'), { admin: 'ready', weight: 2 });
  t.same(second.of('mx', 'mx2'), { admin: 'drain', weight: null });
  t.same(second.hear([admin(5, 'maint'), admin(6, 'drain', 'mx2')]), []);
  t.same(second.of('mx', 'mx1'), { admin: 'ready', weight: 2 });
  t.same(second.heard(), [admin(5, 'maint'), admin(6, 'drain', 'mx2')]);
  second.hear([admin(7, 'drain'), admin(6, 'drain', 'mx2')]);
  t.equal(second.of('mx', 'mx1').admin, 'drain');
});

t.test('what is as if nothing had been said is not kept', async t => {
  const state = createOperatorState();
  state.say('mx', 'mx1', { admin: 'drain', weight: 3 });
  state.say('mx', 'mx1', { admin: 'ready', weight: null });
  t.same(state.entries(), []);
  state.say('__proto__', 'constructor', { admin: 'drain' });
  t.equal(state.of('__proto__', 'constructor').admin, 'drain');
  t.equal(state.of('mx', '__proto__').admin, 'ready');
});
