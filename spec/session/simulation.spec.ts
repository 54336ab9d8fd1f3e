import t from 'tap';
import { LINGER_MS } from '../../lib/core/limits.ts';
import type { Session } from '../../lib/session/session.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { leftovers, violations } from './invariants.ts';
import { createWorld, type World } from './world.ts';

/** Worlds, each with its own seed: `SMTPLB_SEED` as a failure names it replays that one first. */
const ROUNDS = 40;
const STEPS = 3_000;

/** The instance stops: who waits is told, some may finish, the rest is ended. */
async function stop(world: World): Promise<string[]> {
  const each = (call: (session: Session) => void): void => {
    for (const { session } of [...world.open]) session.guard(() => call(session));
  };
  const cool = world.cool();
  each(session => session.drain());
  for (let at = 0; at < 200; at++) world.pass(20);
  each(session => session.cut('shutdown'));
  for (let ms = 0; ms <= LINGER_MS + 100; ms += 50) world.pass(50);
  await cool;
  return [...violations(world), ...leftovers(world)];
}

t.test('whatever peers, clock and operator do, every session keeps its promises', async t => {
  const seed = seedOfRun();
  const endings = new Map<string, number>();
  let sessions = 0;
  let taken = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const world = createWorld(randomFrom(seed + round), (seed + round) % 3 === 0);
    for (let step = 0; step < STEPS; step++) {
      world.step();
      const found = violations(world);
      if (found.length === 0) continue;
      t.fail(`SMTPLB_SEED=${seed + round}, step ${step}: ${found.join('; ')}`);
      return;
    }
    const left = await stop(world);
    if (left.length > 0) {
      t.fail(`SMTPLB_SEED=${seed + round}, at the end: ${left.join('; ')}`);
      return;
    }
    sessions += world.accepted;
    taken += world.taken;
    for (const [ending, count] of world.endings) endings.set(ending, (endings.get(ending) ?? 0) + count);
  }
  t.ok(sessions > ROUNDS * 20, `seed ${seed}: ${sessions} sessions`);
  t.ok(taken > 0, `${taken} connections had been opened ahead`);
  const most = [...endings].sort(([, a], [, b]) => b - a).map(([ending, count]) => `${ending} ${count}`);
  t.comment(`${sessions} sessions ended in ${endings.size} ways: ${most.join(', ')}`);
  t.ok(endings.size > 20, 'sessions ended in many ways');
});
