import { type Scenario, scenario } from './scenario.ts';

const OUTAGE = { outage: { fromMs: 70_000, untilMs: 90_000 }, durationMs: 150_000 };

export const SCENARIOS: readonly Scenario[] = [
  scenario('1 instance', { instances: 1 }),
  scenario('4 instances', { instances: 4 }),
  scenario('100 instances'),
  scenario('100 instances, 2 backends', { backends: 2 }),
  scenario('100 instances, 0.5 s late', { delayMs: 500 }),
  scenario('100 instances, 2 s late', { delayMs: 2_000 }),
  scenario('200 instances, 100 backends', { instances: 200, backends: 100, load: 100 }),
  scenario('200 instances, 100 backends, 2 s late', {
    instances: 200,
    backends: 100,
    load: 100,
    delayMs: 2_000,
  }),
  scenario('weights 1:2:5, 0.5 s late', { weights: [1, 2, 5], delayMs: 500 }),
  scenario('weights 1:2:5, few sessions', { instances: 200, load: 60, weights: [1, 2, 5] }),
  scenario('heavy-tailed sessions, 0.5 s late', { lengths: 'heavy-tailed', delayMs: 500 }),
  scenario('sessions of 3 s, 0.5 s late', { sessionMs: 3_000, delayMs: 500 }),
  scenario('storm: 6 times the traffic, 1 s late', {
    delayMs: 1_000,
    bursts: { everyMs: 15_000, forMs: 2_000, times: 6 },
  }),
  scenario('one instance has a third of the traffic, 1 s late', { favour: 50, delayMs: 1_000 }),
  scenario('a backend fails and returns, 1 s late', { delayMs: 1_000, ...OUTAGE }),
  scenario('one of 4 instances dies', { instances: 4, deathAtMs: 70_000 }),
  scenario('a fourth instance joins', { instances: 3, birthAtMs: 70_000 }),
];
