/** Reading a metrics page as Prometheus would (text exposition format 0.0.4). */
import type { Address } from '../../lib/core/address.ts';
import { call } from './admin-api.ts';

/** Label values to look for; a sample may have more labels. */
export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** One scrape. */
export interface Metrics {
  /** Samples by name; a histogram's are under `_bucket`, `_sum` and `_count`. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  /** The value of the one sample with these labels; undefined where there is none. Throws where there are several. */
  value(name: string, labels?: Labels): number | undefined;
  /** The sum over all samples with these labels; 0 where there is none. */
  sum(name: string, labels?: Labels): number;
  /** The page as it came. */
  readonly text: string;
}

/** Fetches and parses `/metrics` from an admin listener. Rejects for any status but 200. */
export async function scrape(address: Address, path = '/metrics'): Promise<Metrics> {
  // On a connection of its own: one that is kept may be closed by the other side just when it is used again.
  const { status, text } = await call(address, path);
  if (status !== 200) throw new Error(`${path} answered ${status}: ${text}`);
  return parseMetrics(text);
}

/** Parses a metrics page. Throws for a line that is neither sample, comment nor empty. */
export function parseMetrics(text: string): Metrics {
  const samples = new Map<string, Sample[]>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const sample = parseSample(line);
    const same = samples.get(sample.name);
    if (same === undefined) samples.set(sample.name, [sample]);
    else same.push(sample);
  }
  const matching = (name: string, labels: Labels) => {
    const wanted = Object.entries(labels);
    return (samples.get(name) ?? []).filter(one =>
      wanted.every(([key, value]) => one.labels.get(key) === value),
    );
  };
  return {
    samples,
    text,
    value(name, labels = {}) {
      const [first, second] = matching(name, labels);
      if (second !== undefined) throw new Error(`${name}${JSON.stringify(labels)} fits several samples`);
      return first?.value;
    },
    sum: (name, labels = {}) => matching(name, labels).reduce((sum, { value }) => sum + value, 0),
  };
}

function parseSample(line: string): Sample {
  const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?$/.exec(line);
  const [, name, inner = '', number = ''] = match ?? [];
  if (name === undefined) throw new Error(`no sample: ${line}`);
  const labels = new Map<string, string>();
  let rest = inner;
  while (rest !== '') {
    const label = /^([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/.exec(rest);
    const [whole = '', key, value] = label ?? [];
    if (key === undefined || value === undefined) throw new Error(`no label at ${rest} in: ${line}`);
    labels.set(
      key,
      value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped)),
    );
    rest = rest.slice(whole.length);
  }
  return { name, labels, value: parseNumber(number) };
}

function parseNumber(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  if (text === '-Inf') return Number.NEGATIVE_INFINITY;
  return Number(text);
}
