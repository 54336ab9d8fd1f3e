import type { Environment } from './environment.ts';
import type { Figure } from './figures.ts';
import type { Outcome } from './run.ts';
import type { Summary } from './stats.ts';
import { baseOf, type Suite } from './suites/suite.ts';
import type { Metric } from './workloads/workload.ts';

/** All there is to say about a run. */
export interface Report {
  readonly suite: Suite;
  readonly environment: Environment;
  /** When it began, ISO 8601. */
  readonly at: string;
  readonly rounds: number;
  /** What each subject is, by name, in the order of the run. */
  readonly subjects: ReadonlyMap<string, string>;
  /** Subjects that were asked for and could not be measured, and why. */
  readonly missing: ReadonlyMap<string, string>;
  readonly outcomes: readonly Outcome[];
}

/** Columns for a subject's name. */
const NAME = 20;
/** Metrics side by side in one table. */
const COLUMNS = 4;
/** Fewer say nothing about noise. */
const ENOUGH_ROUNDS = 5;
/** Above this share of a machine at rest or stolen, absolute figures are not worth keeping. */
const NOISE = 0.05;

/** For people: plain text, some 120 columns wide. */
export function asText(report: Report): string {
  const { environment: env } = report;
  const lines = [
    `smtplb ${env.version}, Node ${env.node}, ${env.kernel}, ${env.cores} cores, ${env.processor}`,
    `load ${env.load}, backends ${env.backends}${env.postfix === undefined ? '' : `; Postfix ${env.postfix}`}`,
    ...[...report.subjects].map(([name, says]) => `  ${name.padEnd(NAME)}${says}`),
    ...[...report.missing].map(([name, why]) => `  ${name.padEnd(NAME)}left out: ${oneLine(why)}`),
    '',
    ...report.outcomes.flatMap(outcome => outcomeText(report.suite, outcome)),
    ...notes(report),
  ];
  return `${lines.join('\n')}\n`;
}

function outcomeText(suite: Suite, outcome: Outcome): readonly string[] {
  const { workload, count, parallel } = outcome;
  const amount = `${count} a visit${parallel > 1 ? `, ${parallel} at a time` : ''}`;
  const lines = [`${workload.name}: ${workload.says}; ${amount}`];
  for (let at = 0; at < workload.metrics.length; at += COLUMNS)
    lines.push(...table(suite, outcome, workload.metrics.slice(at, at + COLUMNS)), '');
  return lines;
}

function table(suite: Suite, outcome: Outcome, metrics: readonly Metric[]): readonly string[] {
  const rows = [
    [
      'subject',
      ...metrics.flatMap(metric => [metric.title, ...(metric.compared ? [`/ ${suite.base}`] : [])]),
    ],
    ...[...outcome.figures].map(([subject, figures]) => [
      subject,
      ...metrics.flatMap(metric => cells(metric, figures.get(metric.key), otherBase(suite, subject))),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)));
  return rows.map(row => {
    const padded = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    return `  ${padded.join('  ')}`.trimEnd();
  });
}

/** What to write behind a ratio that does not refer to the suite's base. */
function otherBase(suite: Suite, subject: string): string {
  const base = baseOf(suite, subject);
  return base === suite.base ? '' : ` / ${base}`;
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, '; ');
}

function cells(metric: Metric, figure: Figure | undefined, behind: string): readonly string[] {
  const value = figure === undefined ? '-' : short(figure.value.median);
  if (!metric.compared) return [value];
  if (figure?.ratio === undefined) return [value, '-'];
  const { median, min, max } = figure.ratio;
  return [value, `${median.toFixed(2)} (${min.toFixed(2)}..${max.toFixed(2)})${behind}`];
}

/** Three or four digits that matter. */
function short(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function notes(report: Report): readonly string[] {
  const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
  const rest = report.environment.busyAtRest;
  const stolen = Math.max(0, ...report.outcomes.map(outcome => outcome.stolen));
  const compared = report.subjects.has(report.suite.base);
  return [
    `Rounds: ${report.rounds}, each there and back through all subjects. Figures are medians of the rounds.`,
    compared
      ? `Beside them the ratio to ${report.suite.base}, or to the subject named, of the same round: median (smallest..largest). That range is the noise.`
      : `${report.suite.base} was not measured: no ratios to it.`,
    `The machine at rest: ${percent(rest)} busy; taken by its host while measuring: at most ${percent(stolen)}.`,
    ...(rest > NOISE || stolen > NOISE ? ['Others use this machine: trust ratios, no absolute figure.'] : []),
    ...(report.rounds < ENOUGH_ROUNDS ? [`Fewer than ${ENOUGH_ROUNDS} rounds: a trial, not a figure.`] : []),
  ];
}

/** For programs. `version` changes when a reader of the old shape would misread the new one. */
export function asJson(report: Report): string {
  const { suite, environment, at, rounds, subjects, missing, outcomes } = report;
  const document = {
    version: 2,
    suite: suite.name,
    at,
    environment,
    rounds,
    base: suite.base,
    bases: Object.fromEntries([...subjects.keys()].map(name => [name, baseOf(suite, name)])),
    subjects: Object.fromEntries(subjects),
    missing: Object.fromEntries(missing),
    workloads: outcomes.map(outcome => ({
      name: outcome.workload.name,
      says: outcome.workload.says,
      count: outcome.count,
      parallel: outcome.parallel,
      stolen: outcome.stolen,
      metrics: outcome.workload.metrics.map(metric => ({
        key: metric.key,
        title: metric.title,
        unit: metric.unit,
        subjects: Object.fromEntries(
          [...outcome.figures].map(([name, figures]) => [name, figureJson(figures.get(metric.key))]),
        ),
      })),
    })),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function figureJson(figure: Figure | undefined) {
  const summary = (one: Summary) => ({ ...one, rounds: one.rounds.map(value => value ?? null) });
  if (figure === undefined) return null;
  return { ...summary(figure.value), ratio: figure.ratio === undefined ? null : summary(figure.ratio) };
}
