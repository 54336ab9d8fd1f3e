import { Refusal } from './children.ts';
import { shareOf } from './environment.ts';
import { type Figures, figuresOf, merge } from './figures.ts';
import { machineStat } from './measure.ts';
import { visits } from './stats.ts';
import type { Running, Subject, Surroundings } from './subjects/subject.ts';
import { baseOf, type Suite } from './suites/suite.ts';
import type { Samples, Workload } from './workloads/workload.ts';

/** What is to be measured. */
export interface Plan {
  readonly suite: Suite;
  readonly subjects: readonly Subject[];
  readonly workloads: readonly Workload[];
  readonly rounds: number;
  /** Instead of each workload's own. */
  readonly count: number | undefined;
  readonly parallel: number | undefined;
  /** Told what is being done. */
  progress(line: string): void;
}

/** What a run gave. */
export interface Results {
  readonly outcomes: readonly Outcome[];
  /** What subjects said that refused to start, by their names. */
  readonly refused: ReadonlyMap<string, string>;
}

/** What one workload gave. */
export interface Outcome {
  readonly workload: Workload;
  readonly count: number;
  readonly parallel: number;
  /** By subject, in the order of the plan. */
  readonly figures: ReadonlyMap<string, Figures>;
  /** 0 to 1: processor time that the machine's host gave to others meanwhile. */
  readonly stolen: number;
}

/**
 * Starts every subject once, then runs the workloads one after the other, each as an unmeasured visit to every
 * subject and then the rounds. A subject that refuses to start is left out; any other failure rejects: of a subject,
 * of the load, of a backend.
 */
export async function execute(plan: Plan, around: Surroundings): Promise<Results> {
  const surroundings = (await plan.suite.prepare?.(around)) ?? around;
  const running = new Map<Subject, Running>();
  const refused = new Map<string, string>();
  for (const subject of plan.subjects) {
    plan.progress(`starting ${subject.name}`);
    try {
      running.set(subject, await surroundings.children.guard(subject.start(surroundings)));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // Which folder the configuration was in, nobody can use.
      const why = error.message.replaceAll(`${surroundings.folder}/`, '');
      refused.set(subject.name, why);
      plan.progress(`${subject.name} is left out: ${why}`);
    }
  }
  if (running.size === 0) throw new Error('nothing to measure: no subject has started');
  const outcomes: Outcome[] = [];
  for (const workload of plan.workloads)
    outcomes.push(
      await runWorkload({ ...plan, subjects: [...running.keys()] }, workload, surroundings, running),
    );
  await Promise.all([...running.values()].map(one => one.stop()));
  return { outcomes, refused };
}

/**
 * Visits that are not counted, where a process is measured that has run for a while: Node compiles what it runs often,
 * and a balancer runs for months.
 */
const WARM_UPS = 4;

async function runWorkload(
  plan: Plan,
  workload: Workload,
  surroundings: Surroundings,
  running: ReadonlyMap<Subject, Running>,
): Promise<Outcome> {
  const count = plan.count ?? workload.count;
  const parallel = plan.parallel ?? workload.parallel;
  const before = machineStat();

  async function visit(subject: Subject): Promise<Samples> {
    const its = running.get(subject);
    if (its === undefined) throw new Error(`${subject.name} was not started`);
    const work = workload.visit({ subject, running: its, surroundings, count, parallel });
    return surroundings.children.guard(
      work.catch(error => {
        throw new Error(`${workload.name} through ${subject.name}: ${error.message}`);
      }),
    );
  }

  plan.progress(`${workload.name}: warming up`);
  for (let time = 0; time < (workload.passes === 2 ? WARM_UPS : 1); time++) {
    for (const subject of plan.subjects) await visit(subject);
  }
  const rounds = new Map(plan.subjects.map(subject => [subject.name, [] as Samples[]]));
  for (let round = 0; round < plan.rounds; round++) {
    plan.progress(`${workload.name}: round ${round + 1} of ${plan.rounds}`);
    const seen = new Map(plan.subjects.map(subject => [subject.name, [] as Samples[]]));
    for (const subject of visits(plan.subjects, round, workload.passes))
      seen.get(subject.name)?.push(await visit(subject));
    for (const [name, samples] of seen) rounds.get(name)?.push(merge(samples));
  }
  const stolen = shareOf('stolenUs', before, machineStat());
  const references = { base: (name: string) => baseOf(plan.suite, name), nothing: plan.suite.nothing };
  return { workload, count, parallel, figures: figuresOf(workload.metrics, rounds, references), stolen };
}
