/** What upgrades need to be watched: processes that follow each other, and load that does not stop. */
import { readFileSync } from 'node:fs';
import type { Address } from '../../lib/core/address.ts';
import { post } from '../support/admin-api.ts';
import type { Command } from '../support/command.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import type { Owner } from '../support/owner.ts';
import { type SinkServer, smtpSource } from '../support/postfix-tools.ts';

/** The processes that have been the instance, the first one first. */
export function pids({ process }: Command): number[] {
  const successors = [...process.stdout.matchAll(/"successor":(\d+)/g)].map(([, pid]) => Number(pid));
  return [process.pid, ...successors];
}

/** Whether a process has ended; one that only waits to be reaped has. */
export function isGone(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

/** Resolves when a process has ended. */
export const gone = (pid: number) => eventually(`process ${pid} to end`, () => isGone(pid));

/** Nobody of a test may survive it: not the last process, nor one that should be gone. */
export function ended(owner: Owner, command: Command): void {
  owner.teardown(async () => {
    for (const pid of pids(command)) {
      if (isGone(pid)) continue;
      process.kill(pid, 'SIGKILL');
      await gone(pid);
    }
  });
}

export async function upgraded(command: Command, admin: Address): Promise<number> {
  const before = pids(command).length;
  const { status, message } = await post(admin, 'upgrade');
  if (status !== 200) throw new Error(`upgrade answered ${status}: ${message}`);
  // The log of the old process comes through a pipe of its own.
  await eventually('the successor in the log', () => pids(command).length > before);
  return pids(command).at(-1) as number;
}

export interface Load {
  readonly sessions: number;
  readonly keepConnections: boolean;
  /** Messages of one run; 400 unless told. */
  readonly messages?: number;
  readonly flags?: readonly string[];
}

/** Runs smtp-source again and again until told to stop, and gives the messages that it was told 250 for. */
export function load(owner: Owner, address: Address, flags: Load) {
  let over = false;
  const failures: string[] = [];
  const ending = (async () => {
    let messages = 0;
    while (!over && failures.length === 0) {
      const exit = await smtpSource(owner, {
        address,
        messages: 400,
        length: 2_000,
        deadlineMs: 120_000,
        ...flags,
      });
      messages += exit.messages;
      if (exit.exitCode !== 0) failures.push(exit.stderr);
    }
    return messages;
  })();
  return {
    failures,
    stop() {
      over = true;
      return ending;
    },
  };
}

/** Resolves when the sinks, which run with `-c`, have so many messages: all that were told 250, and none twice. */
export function allAt(sinks: readonly SinkServer[], messages: number): Promise<void> {
  const counts = () => sinks.map(({ process }) => Number(/(\d+)\s*$/.exec(process.stdout)?.[1] ?? 0));
  return eventuallyEqual(
    'messages at the sinks',
    () => counts().reduce((sum, count) => sum + count, 0),
    messages,
  );
}
