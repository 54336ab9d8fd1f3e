/**
 * Tables of counters in shared memory with one writer: the shard they belong to. Whoever scrapes reads them from
 * another thread without asking; a 64-bit float is written whole, so a reader sees the old or the new value.
 */
export interface CounterTable<Column extends string> {
  /** Adds to a counter; any column name that the table was made with. */
  add(row: number, column: Column, amount?: number): void;
  get(row: number, column: Column): number;
  /** Sets a row to zero, for its next owner. */
  clear(row: number): void;
}

/** Hands out consecutive pieces of one shared buffer. */
export interface Region {
  float64(length: number): Float64Array;
  /** Bytes handed out so far. */
  readonly used: number;
}

/** `memory` may be null to learn how much a layout needs. */
export function openRegion(memory: SharedArrayBuffer | null): Region {
  let used = 0;
  return {
    float64(length) {
      const at = used;
      used += length * Float64Array.BYTES_PER_ELEMENT;
      return memory === null ? new Float64Array(0) : new Float64Array(memory, at, length);
    },
    get used() {
      return used;
    },
  };
}

export function openCounterTable<Column extends string>(
  region: Region,
  rows: number,
  columns: readonly Column[],
): CounterTable<Column> {
  const width = columns.length;
  const cells = region.float64(rows * width);
  const indexOf = new Map(columns.map((column, index) => [column, index]));
  const cell = (row: number, column: Column): number => row * width + (indexOf.get(column) as number);
  return {
    add(row, column, amount = 1) {
      const at = cell(row, column);
      cells[at] = (cells[at] as number) + amount;
    },
    get: (row, column) => cells[cell(row, column)] as number,
    clear: row => void cells.fill(0, row * width, (row + 1) * width),
  };
}

/** Histograms that share their bounds, one a row, as Prometheus knows them. */
export interface HistogramTable {
  /** Upper bounds of the buckets, ascending; what is above the last falls into +Inf. */
  readonly bounds: readonly number[];
  observe(row: number, value: number): void;
  /** Observations per bucket (not cumulative; the last is +Inf) and their sum. */
  read(row: number): { readonly buckets: readonly number[]; readonly sum: number };
  clear(row: number): void;
}

export function openHistogramTable(region: Region, rows: number, bounds: readonly number[]): HistogramTable {
  const width = bounds.length + 2; // the buckets, +Inf, the sum
  const cells = region.float64(rows * width);
  const bump = (at: number, amount: number): void => {
    cells[at] = (cells[at] as number) + amount;
  };
  return {
    bounds,
    observe(row, value) {
      let bucket = 0;
      while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
      bump(row * width + bucket, 1);
      bump(row * width + width - 1, value);
    },
    read(row) {
      const at = row * width;
      return {
        buckets: Array.from(cells.subarray(at, at + width - 1)),
        sum: cells[at + width - 1] as number,
      };
    },
    clear: row => void cells.fill(0, row * width, (row + 1) * width),
  };
}
