import { Counter, Gauge, Histogram, type MetricValueWithName, type Registry } from 'prom-client';
import type { HistogramTable } from '../core/counters.ts';
import type { ShardStats } from '../core/shard-stats.ts';

/** One value of a metric. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Description {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

/** A counter whose values are read where they are kept, at the scrape; prom-client's own copy is made anew each time. */
export function scrapedCounter(
  registry: Registry,
  description: Description,
  read: () => Iterable<Sample>,
): void {
  new Counter({
    ...base(registry, description),
    collect() {
      this.reset();
      for (const { labels, value } of read()) this.inc(labels, value);
    },
  });
}

/** A gauge, in the same way. */
export function scrapedGauge(
  registry: Registry,
  description: Description,
  read: () => Iterable<Sample>,
): void {
  new Gauge({
    ...base(registry, description),
    collect() {
      this.reset();
      for (const { labels, value } of read()) this.set(labels, value);
    },
  });
}

function base(registry: Registry, { name, help, labels }: Description) {
  return { name, help, labelNames: [...labels], registers: [registry] };
}

/** One labelled histogram of a table's row, summed over the shards. */
export interface HistogramSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly rows: readonly ReturnType<HistogramTable['read']>[];
}

/** A histogram that the shards fill: prom-client gives it its form, the tables its numbers. */
export class ScrapedHistogram extends Histogram {
  readonly #read: () => Iterable<HistogramSample>;
  readonly #bounds: readonly number[];
  readonly #description: Description;

  constructor(
    registry: Registry,
    description: Description,
    bounds: readonly number[],
    read: () => Iterable<HistogramSample>,
  ) {
    super({ ...base(registry, description), buckets: [...bounds] });
    this.#read = read;
    this.#bounds = bounds;
    this.#description = description;
  }

  /** prom-client asks histograms for their text by this name, which its types do not have; its `get` calls it too. */
  async getForPromString() {
    const values = [...this.#read()].flatMap(sample => this.#values(sample));
    return { name: this.#description.name, help: this.#description.help, type: 'histogram', values };
  }

  /** The cumulative buckets, sum and count of the text format. */
  #values({ labels, rows }: HistogramSample): MetricValueWithName<string>[] {
    const { name } = this.#description;
    let below = 0;
    const buckets = [...this.#bounds, Number.POSITIVE_INFINITY].map((bound, at) => {
      below += sum(rows.map(row => row.buckets[at] ?? 0));
      const le = bound === Number.POSITIVE_INFINITY ? '+Inf' : bound;
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: below };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: sum(rows.map(row => row.sum)) },
      { metricName: `${name}_count`, labels, value: below },
    ];
  }
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** A histogram of the shards' tables with one label: the name of each row. */
export function histogram(
  registry: Registry,
  name: string,
  help: string,
  label: string,
  shards: readonly ShardStats[],
  source: {
    readonly table: (shard: ShardStats) => HistogramTable;
    readonly rows: () => readonly { readonly row: number; readonly name: string }[];
  },
): void {
  const bounds = shards[0] === undefined ? [] : source.table(shards[0]).bounds;
  new ScrapedHistogram(registry, { name, help, labels: [label] }, bounds, () =>
    source.rows().map(({ row, name: value }) => ({
      labels: { [label]: value },
      rows: shards.map(shard => source.table(shard).read(row)),
    })),
  );
}
