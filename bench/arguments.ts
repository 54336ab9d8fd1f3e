import { parseArgs } from 'node:util';
import { SUBJECTS } from './subjects/all.ts';
import type { Subject } from './subjects/subject.ts';
import { WORKLOADS } from './workloads/all.ts';
import type { Workload } from './workloads/workload.ts';

/** What the command line asks for. */
export interface Arguments {
  readonly workloads: readonly Workload[];
  readonly subjects: readonly Subject[];
  readonly rounds: number;
  readonly count: number | undefined;
  readonly parallel: number | undefined;
  /** File for the results as JSON. */
  readonly json: string | undefined;
}

const listed = (all: readonly { name: string; says: string }[]) =>
  all.map(({ name, says }) => `  ${name.padEnd(16)}${says}`).join('\n');

/** What `--help` prints. */
export const USAGE = `usage: npm run bench -- [WORKLOAD ...] [options]

  --rounds N        rounds that are measured; default 5
  --sessions N      sessions, messages or probes a visit, instead of each workload's own number
  --parallel N      sessions at a time, instead of each workload's own number
  --subjects A,B    default ${SUBJECTS.filter(one => one.usual).map(one => one.name)}
  --json FILE       also write all figures to FILE
  --help

workloads; default all:
${listed(WORKLOADS)}

subjects:
${listed(SUBJECTS.map(one => ({ name: one.name, says: one.describe() ?? 'not installed' })))}
`;

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
        help: { type: 'boolean' },
      },
    });
    if (values.help === true) return undefined;
    return {
      workloads: positionals.length === 0 ? WORKLOADS : chosen('workload', WORKLOADS, positionals),
      subjects:
        values.subjects === undefined
          ? SUBJECTS.filter(subject => subject.usual)
          : chosen('subject', SUBJECTS, values.subjects.split(',')),
      rounds: whole('--rounds', values.rounds),
      count: values.sessions === undefined ? undefined : whole('--sessions', values.sessions),
      parallel: values.parallel === undefined ? undefined : whole('--parallel', values.parallel),
      json: values.json,
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
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
