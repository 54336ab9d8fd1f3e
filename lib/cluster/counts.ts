/** Own counts to Redis under a lease, and the sum of the others' back, ten times a second. */
import { type MonotonicMs, monotonicMs } from '../core/clock.ts';
import type { Keys } from './keys.ts';
import {
  COUNTS_LEASE_MS,
  HEARTBEAT_MS,
  MAX_INSTANCES,
  MAX_SESSIONS,
  REPORT_OCTETS,
  SUM_AGE_MS,
} from './limits.ts';
import type { ClusterLog, Link } from './link.ts';
import { decodeLoad, encodeLoad, type Load, NO_LOAD, without } from './report.ts';
import { loadScript } from './script.ts';

const exchangeScript = loadScript('exchange');
const leaveScript = loadScript('leave');

/** Own reports kept until the sum shows which one it contains. */
const REMEMBERED = 64;

export interface CountsOptions {
  readonly link: Link;
  readonly keys: Keys;
  /** Unique to this run of this instance. */
  readonly incarnation: string;
  /** What this instance counts now. */
  readonly own: () => Load;
  /** Names of pools and of backends (`pool/backend`) that are of interest here; others are left out. */
  readonly isKnown: (name: string) => boolean;
  readonly log: ClusterLog;
  readonly now?: MonotonicMs;
}

export interface CountsState {
  /** Instances whose lease runs, this one included, as Redis last said; 0 before it did. */
  readonly instances: number;
  /** Values in Redis that were no counts and were thrown away, since the start. */
  readonly nonsense: number;
}

export interface Counts {
  /**
   * One exchange: writes what changed (or a heartbeat), reads the others'. One at a time; never rejects. Undefined
   * when Redis did not answer. `wordsId` changes with each operator's word.
   */
  exchange(): Promise<Exchanged | undefined>;
  state(): CountsState;
  /** Gives the lease back at once; the last call. */
  leave(): Promise<void>;
}

export interface Exchanged {
  readonly others: Load;
  /** Monotonic; the others' counts are no older than this, less the age Redis allows a sum. */
  readonly asOfMs: number;
  readonly wordsId: string;
}

export function createCounts(options: CountsOptions): Counts {
  const { link, keys, incarnation, own, isKnown, log, now = monotonicMs } = options;
  const keyList = [keys.leases, keys.counts, keys.sum, keys.words];
  const limits = [REPORT_OCTETS, MAX_INSTANCES, MAX_SESSIONS];
  /** What was written under each number, oldest first. */
  const written = new Map<string, Load>();
  let seq = 0;
  let lastText = '';
  let lastWriteMs = Number.NEGATIVE_INFINITY;
  let sumId = '';
  let sum: Load = NO_LOAD;
  let others: Load = NO_LOAD;
  let instances = 0;
  let nonsense = 0;
  let mustWrite = true;

  function toWrite(): string {
    const load = own();
    const text = encodeLoad(load);
    const isDue = now() - lastWriteMs >= HEARTBEAT_MS;
    if (text === lastText && !mustWrite && !isDue) return '';
    if (text.length > REPORT_OCTETS) return '';
    seq++;
    written.set(String(seq), load);
    for (const old of written.keys()) if (written.size > REMEMBERED) written.delete(old);
    lastText = text;
    return text;
  }

  function note(found: number): void {
    if (found > 0 && nonsense === 0) {
      const message = 'redis held values that are no counts; they were thrown away (told once)';
      log.warn({ event: 'redis-nonsense', values: found }, message);
    }
    nonsense += found;
  }

  return {
    async exchange() {
      const asOfMs = now();
      const text = toWrite();
      const args = [incarnation, seq, text, COUNTS_LEASE_MS, SUM_AGE_MS, sumId, ...limits];
      const answer = parse(await link.run(exchangeScript, keyList, args));
      if (answer === undefined) {
        // Whether the write arrived is not known.
        mustWrite = true;
        return undefined;
      }
      if (text !== '') lastWriteMs = asOfMs;
      mustWrite = answer.isMissing;
      instances = answer.instances;
      note(answer.nonsense);
      if (answer.sum !== '') {
        const decoded = decodeLoad(answer.sum, isKnown);
        if (decoded === undefined) note(1);
        else {
          sum = decoded;
          sumId = answer.id;
        }
      } else if (answer.id !== sumId) {
        sum = NO_LOAD;
      }
      const mine = answer.ownSeq === '' ? NO_LOAD : written.get(answer.ownSeq);
      // Without knowing what of the sum is ours, what was true a moment ago is better than a guess.
      if (mine !== undefined) others = without(sum, mine);
      for (const old of written.keys()) if (Number(old) < Number(answer.ownSeq)) written.delete(old);
      return { others, asOfMs, wordsId: answer.wordsId };
    },
    state: () => ({ instances, nonsense }),
    async leave() {
      await link.run(leaveScript, [keys.leases, keys.counts, keys.sum, keys.members], [incarnation]);
    },
  };
}

function parse(answer: unknown) {
  if (!Array.isArray(answer) || answer.length < 7) return undefined;
  const [id, sum, ownSeq, missing, nonsense, wordsId, instances] = answer as unknown[];
  return {
    id: String(id),
    sum: String(sum),
    ownSeq: String(ownSeq),
    isMissing: missing === 1,
    nonsense: Number(nonsense),
    wordsId: String(wordsId),
    instances: Number(instances),
  };
}
