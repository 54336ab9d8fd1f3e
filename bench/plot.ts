import type { Figure } from './figures.ts';
import type { Report } from './report.ts';
import type { Outcome } from './run.ts';
import { baseOf } from './suites/suite.ts';
import type { Metric } from './workloads/workload.ts';

/** The ratios of a run as a picture: plain bars, the base at 1, shorter is better. */

const WIDTH = 760;
/** Where names end and bars begin, and where bars must end so that their figures have room. */
const [LEFT, RIGHT] = [168, 590];
const [ROW, BAR, HEADING, GAP] = [20, 13, 26, 14];
/** Bars end here, however large the ratio; the figure beside them is always the whole one. */
const LONGEST = 4;

/** Legible on white and on black: whoever shows the picture chooses, by `prefers-color-scheme`. */
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; }
  .quiet { fill: #59636e; }
  .ours { fill: #1a7f64; }
  .theirs { fill: #8c959f; }
  .spread { stroke: #1f2328; }
  .one { stroke: #59636e; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .quiet { fill: #9198a1; }
    .ours { fill: #3fb68b; }
    .theirs { fill: #656c76; }
    .spread { stroke: #f0f6fc; }
    .one { stroke: #9198a1; }
  }`;

/** One group of bars. */
interface Panel {
  readonly title: string;
  readonly bars: readonly { readonly name: string; readonly behind: string; readonly ratio: Ratio }[];
}
type Ratio = NonNullable<Figure['ratio']>;

/** An SVG document with a group of bars for every plotted metric that has a ratio. */
export function asSvg(report: Report): string {
  const panels = report.outcomes.flatMap(outcome =>
    outcome.workload.metrics.flatMap(metric =>
      metric.plotted === true ? panelOf(report, outcome, metric) : [],
    ),
  );
  const longest = Math.min(
    LONGEST,
    Math.max(1.2, ...panels.flatMap(panel => panel.bars.map(({ ratio }) => ratio.max))),
  );
  const scale = (ratio: number) => LEFT + (Math.min(ratio, longest) / longest) * (RIGHT - LEFT);
  let y = 8;
  const drawn: string[] = [];
  for (const panel of panels) {
    drawn.push(...draw(panel, y, scale));
    y += HEADING + ROW * panel.bars.length + GAP;
  }
  const { environment, rounds, suite } = report;
  const foot = `Ratio to ${suite.base} = 1, shorter is better; median of ${rounds} rounds, the line is smallest to largest.`;
  const where = `smtplb ${environment.version}, Node ${environment.node}, ${environment.cores} cores, ${(100 * environment.busyAtRest).toFixed(1)}% busy at rest, ${report.at.slice(0, 10)}`;
  drawn.push(text(8, y + 12, foot, 'quiet'), text(8, y + 30, where, 'quiet'));
  const label = escaped(`${suite.says}: ratios to ${suite.base}`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 40}" width="${WIDTH}" height="${y + 40}" role="img" aria-label="${label}">
<style>${STYLE}
</style>
${drawn.join('\n')}
</svg>
`;
}

function panelOf(report: Report, outcome: Outcome, metric: Metric): readonly Panel[] {
  const bars = [...outcome.figures].flatMap(([name, figures]) => {
    const ratio = figures.get(metric.key)?.ratio;
    const base = baseOf(report.suite, name);
    const behind = base === report.suite.base ? '' : ` / ${base}`;
    return ratio === undefined ? [] : [{ name, behind, ratio }];
  });
  return bars.length === 0 ? [] : [{ title: `${outcome.workload.says}: ${metric.title}`, bars }];
}

function draw(panel: Panel, top: number, scale: (ratio: number) => number): readonly string[] {
  const first = top + HEADING;
  const bottom = first + ROW * panel.bars.length;
  const bars = panel.bars.flatMap(({ name, behind, ratio }, at) => {
    const y = first + ROW * at;
    const middle = y + BAR / 2;
    const kind = name.startsWith('smtplb') ? 'ours' : 'theirs';
    const width = (scale(ratio.median) - LEFT).toFixed(1);
    const [from, to] = [scale(ratio.min).toFixed(1), scale(ratio.max).toFixed(1)];
    return [
      text(LEFT - 8, y + BAR - 2, name, '', 'end'),
      `<rect class="${kind}" x="${LEFT}" y="${y}" width="${width}" height="${BAR}"/>`,
      `<line class="spread" x1="${from}" x2="${to}" y1="${middle}" y2="${middle}"/>`,
      text(
        Math.max(scale(ratio.max), scale(ratio.median)) + 8,
        y + BAR - 2,
        `${ratio.median.toFixed(2)}${behind}`,
      ),
    ];
  });
  const one = scale(1).toFixed(1);
  return [
    text(8, top + 14, panel.title, 'title'),
    ...bars,
    `<line class="one" x1="${one}" x2="${one}" y1="${first - 4}" y2="${bottom - 2}"/>`,
  ];
}

function text(x: number, y: number, words: string, kind = '', anchor = 'start'): string {
  const attributes = `${kind === '' ? '' : ` class="${kind}"`}${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}`;
  return `<text x="${x.toFixed(1)}" y="${y}"${attributes}>${escaped(words)}</text>`;
}

function escaped(words: string): string {
  return words.replace(/[<>&"]/g, one => `&#${one.charCodeAt(0)};`);
}
