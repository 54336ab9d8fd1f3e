import { machineStat, processCpuUs } from '../measure.ts';
import { mean } from '../stats.ts';
import { type Metric, pause, type Samples, type Visit, type Workload } from './workload.ts';

/** Connections still close, and counters of /proc are still brought up to date, after the load has ended. */
const SETTLE_MS = 50;

/** The figures of everything that is work done and CPU used for it. `unit` is what is counted: session, message. */
function metricsOf(unit: string): readonly Metric[] {
  return [
    { key: 'rate', title: `${unit}s/s`, unit: '1/s', of: 'rate', reduce: mean, compared: false },
    {
      key: 'processCpu',
      title: `process CPU µs/${unit}`,
      unit: 'µs',
      of: 'process',
      reduce: mean,
      compared: true,
      plotted: true,
    },
    {
      key: 'machineCpu',
      title: `machine CPU µs/${unit}`,
      unit: 'µs',
      of: 'machine',
      reduce: mean,
      compared: true,
    },
  ];
}

type Throughput = Omit<Workload, 'metrics' | 'passes' | 'visit'> & {
  readonly unit: string;
  /** What is made of further samples. */
  readonly further?: readonly Metric[];
  /** Does all the work of a visit; resolves with further samples, if any, or with better ones than are taken around it. */
  work(visit: Visit): Promise<Samples>;
};

/** A workload that runs at full speed, measured by what it costs. */
export function throughput({ unit, work, further = [], ...rest }: Throughput): Workload {
  async function visit(visit: Visit): Promise<Samples> {
    const { running, count } = visit;
    const processNow = () => (running.pid === undefined ? undefined : processCpuUs(running.pid));
    await pause(SETTLE_MS);
    const [machineBefore, processBefore, start] = [machineStat().busyUs, processNow(), performance.now()];
    const samples = await work(visit);
    const seconds = (performance.now() - start) / 1_000;
    await pause(SETTLE_MS);
    const [machineAfter, processAfter] = [machineStat().busyUs, processNow()];
    const own =
      processBefore === undefined || processAfter === undefined
        ? []
        : [(processAfter - processBefore) / count];
    const machine = [(machineAfter - machineBefore) / count];
    // Percent of one core: well below 100 for each thread, and the subject was not the limit.
    const core = own.map(us => (us * count) / (1e4 * seconds));
    return { rate: [count / seconds], process: own, machine, core, ...samples };
  }
  return { ...rest, passes: 2, metrics: [...metricsOf(unit), ...further], visit };
}
