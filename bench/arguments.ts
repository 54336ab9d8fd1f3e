import { parseArgs } from 'node:util';
import type { Subject } from './subjects/subject.ts';
import { SUITES } from './suites/all.ts';
import type { Suite } from './suites/suite.ts';
import type { Workload } from './workloads/workload.ts';

/** What the command line asks for. */
export interface Arguments {
  readonly suite: Suite;
  readonly workloads: readonly Workload[];
  readonly subjects: readonly Subject[];
  readonly rounds: number;
  readonly count: number | undefined;
  readonly parallel: number | undefined;
  /** File for the results as JSON. */
  readonly json: string | undefined;
  /** File for a picture of the ratios. */
  readonly svg: string | undefined;
}

const listed = (all: readonly { name: string; says: string }[]) =>
  all.map(({ name, says }) => `  ${name.padEnd(20)}${says}`).join('\n');

function suiteUsage({ name, says, workloads, subjects }: Suite): string {
  const described = subjects.map(subject => {
    const description = subject.describe();
    const why = description.missing === undefined ? '' : ` (cannot be measured here: ${description.missing})`;
    return { name: `${subject.name}${subject.usual ? ' *' : ''}`, says: `${description.says}${why}` };
  });
  return `${name}: ${says}\n\nworkloads:\n${listed(workloads)}\n\nsubjects:\n${listed(described)}\n`;
}

/** What `--help` prints. Asks every program for its version. */
export function usage(): string {
  return `usage: npm run bench -- [SUITE] [WORKLOAD ...] [options]

  --rounds N        rounds that are measured; default 5
  --sessions N      sessions, messages or probes a visit, instead of each workload's own number
  --parallel N      sessions at a time, instead of each workload's own number
  --subjects A,B    default those with a star; 'all' for all
  --json FILE       also write all figures to FILE
  --svg FILE        also draw the ratios to FILE
  --help

Without a SUITE it is ${SUITES[0].name}; without a WORKLOAD it is all of the suite.

${SUITES.map(suiteUsage).join('\n')}`;
}

/** Parses the command line; a string is what is wrong with it, or undefined where help is asked for. */
export function parseArguments(argv: readonly string[]): Arguments | string | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        rounds: { type: 'string', default: '5' },
        sessions: { type: 'string' },
        parallel: { type: 'string' },
        subjects: { type: 'string' },
        json: { type: 'string' },
        svg: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
    if (values.help === true) return undefined;
    const named = SUITES.find(one => one.name === positionals[0]);
    const suite = named ?? SUITES[0];
    const names = named === undefined ? positionals : positionals.slice(1);
    return {
      suite,
      workloads: names.length === 0 ? suite.workloads : chosen('workload', suite.workloads, names),
      subjects: subjectsOf(suite, values.subjects),
      rounds: whole('--rounds', values.rounds),
      count: values.sessions === undefined ? undefined : whole('--sessions', values.sessions),
      parallel: values.parallel === undefined ? undefined : whole('--parallel', values.parallel),
      json: values.json,
      svg: values.svg,
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function subjectsOf({ subjects }: Suite, given: string | undefined): readonly Subject[] {
  if (given === 'all') return subjects;
  return given === undefined
    ? subjects.filter(one => one.usual)
    : chosen('subject', subjects, given.split(','));
}

/** In the order of `all`, whatever order they were named in. */
function chosen<T extends { name: string }>(
  kind: string,
  all: readonly T[],
  names: readonly string[],
): readonly T[] {
  const unknown = names.find(name => !all.some(one => one.name === name));
  if (unknown !== undefined)
    throw new Error(`no ${kind} '${unknown}'; there are ${all.map(one => one.name).join(', ')}`);
  return all.filter(one => names.includes(one.name));
}

function whole(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`${option} wants a number from 1 on, not '${text}'`);
  return value;
}
