import { isDeepStrictEqual } from 'node:util';
import type { Outcome } from './admin/control.ts';
import type { Config } from './config/config.ts';
import { formatFault } from './config/faults.ts';
import type { Loaded } from './config/load.ts';
import type { ControlPlane } from './control-plane.ts';
import { monotonicMs } from './core/clock.ts';
import type { Logger } from './core/log.ts';
import type { Notifier } from './notify.ts';

/** Reads the configuration anew; null where there is nothing to read, as with `run --listen`. */
export type ReadConfig = (() => Promise<Loaded>) | null;

/** What a running instance cannot change; a reload goes through without them and says so. */
const AT_START_ONLY: readonly (readonly [string, (config: Config) => unknown])[] = [
  ['instance', config => config.instance],
  ['shards', config => config.shards],
  ['transport', config => config.transport],
  ['admin.listen', config => config.admin.listen],
  ['admin.socket', config => config.admin.socket],
  ['admin.maxConnections', config => config.admin.maxConnections],
  ['cluster', config => config.cluster],
];

/**
 * Puts the configuration file into use as it is now. Sessions keep what they began with, counters go on, and a file
 * with a fault changes nothing: the outcome says what is wrong with it. `started` is the configuration that this process
 * was started with.
 */
async function reload(plane: ControlPlane, started: Config, read: ReadConfig): Promise<Outcome> {
  if (read === null) {
    return refused('there is no file to reload: this instance was started with --listen and --backend');
  }
  const loaded = await read();
  if (!loaded.ok)
    return refused(`the configuration has faults:\n${loaded.faults.map(formatFault).join('\n')}`);
  const before = plane.config;
  try {
    await plane.use(loaded.config);
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error));
  }
  const waiting = postponed(started, before, loaded.config);
  return { ok: true, message: `generation ${plane.generation} is in use${waiting}` };
}

function refused(why: string): Outcome {
  return { ok: false, message: `${why}\nthe configuration in use is unchanged` };
}

function postponed(started: Config, before: Config, after: Config): string {
  const keys = AT_START_ONLY.filter(([, of]) => !isDeepStrictEqual(of(started), of(after))).map(
    ([key]) => key,
  );
  const backlogs = after.listeners.filter(({ name, backlog }) => {
    const was = before.listeners.find(listener => listener.name === name);
    return was !== undefined && was.backlog !== backlog;
  });
  keys.push(...backlogs.map(({ name }) => `backlog of listener ${name}`));
  return keys.length === 0 ? '' : `; these wait for a restart: ${keys.join(', ')}`;
}

/** The reloads of an instance: one at a time, each remembered and told. */
export interface Reloader {
  reload(): Promise<Outcome>;
  /** What the last one came to; null before the first. */
  readonly last: (Outcome & { readonly at: string }) | null;
  readonly counts: { readonly ok: number; readonly failed: number };
}

export interface ReloaderOptions {
  readonly plane: ControlPlane;
  /** The configuration that the instance was started with. */
  readonly started: Config;
  readonly read: ReadConfig;
  readonly notifier: Notifier;
  readonly logger: Logger;
}

export function createReloader({ plane, started, read, notifier, logger }: ReloaderOptions): Reloader {
  const counts = { ok: 0, failed: 0 };
  let last: Reloader['last'] = null;
  let turn: Promise<unknown> = Promise.resolve();

  const reloadNow = async (): Promise<Outcome> => {
    notifier.tell('RELOADING=1', `MONOTONIC_USEC=${Math.round(monotonicMs() * 1_000)}`);
    const outcome = await reload(plane, started, read);
    notifier.tell('READY=1');
    last = { at: new Date().toISOString(), ...outcome };
    counts[outcome.ok ? 'ok' : 'failed']++;
    if (outcome.ok) logger.level = plane.config.log.level;
    logger[outcome.ok ? 'info' : 'error']({ generation: plane.generation }, `reload: ${outcome.message}`);
    return outcome;
  };

  return {
    // One at a time: the one that was asked for last must be the one that read last.
    reload() {
      const reloaded = turn.then(reloadNow);
      turn = reloaded.catch(() => {});
      return reloaded;
    },
    get last() {
      return last;
    },
    counts,
  };
}
