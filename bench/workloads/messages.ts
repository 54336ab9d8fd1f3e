import { send } from '../load.ts';
import { throughput } from './throughput.ts';
import type { Samples, Visit, Workload } from './workload.ts';

/** The workloads that send mail: they differ in size and in what is kept open. */

function sending(bytes: number, kept: boolean) {
  return async ({ surroundings, running, count, parallel }: Visit): Promise<Samples> => {
    await send(surroundings.children, { address: running.address, count, parallel, bytes, kept });
    return {};
  };
}

/** What most mail is: a session for every small message. */
export const sessions: Workload = throughput({
  name: 'sessions',
  says: 'one message of 1 KiB a session',
  unit: 'session',
  count: 2_000,
  parallel: 20,
  work: sending(1_024, false),
});

/** A busy peer that keeps its sessions: relaying alone, without accept, connect and close. */
export const kept: Workload = throughput({
  name: 'kept',
  says: 'messages of 1 KiB on kept sessions',
  unit: 'message',
  count: 6_000,
  parallel: 20,
  work: sending(1_024, true),
});

/** Attachments: moving bytes. */
export const large: Workload = throughput({
  name: 'large',
  says: 'one message of 1 MiB a session',
  unit: 'message',
  count: 300,
  parallel: 4,
  work: sending(1_048_576, false),
});

/** What a list owner's newsletter with its pictures is, or a scanner's output: nothing but moving bytes. */
export const huge: Workload = throughput({
  name: 'huge',
  says: 'one message of 50 MiB a session',
  unit: 'message',
  count: 12,
  parallel: 4,
  work: sending(52_428_800, false),
});
