/** Clients of sticky pools, as the cluster remembers them: one key each, with a time of its own. */
import { type MonotonicMs, monotonicMs } from '../core/clock.ts';
import type { StickyClaim, StickyQuestion } from '../session/sticky.ts';
import { renewEveryMs, type StickyKeeper, type StickyRecall } from '../shard/sticky-keeper.ts';
import {
  STICKY_COMMANDS,
  STICKY_KEYS_A_COMMAND,
  STICKY_NAME_OCTETS,
  STICKY_RETRY_MS,
  STICKY_TOLD_MS,
} from './limits.ts';
import type { ClusterLog, Link } from './link.ts';
import { loadScript } from './script.ts';

const recallScript = loadScript('recall');
const claimScript = loadScript('claim');

export interface StickyKeeperOptions {
  readonly link: Link;
  /** What all keys of the cluster begin with. */
  readonly prefix: string;
  readonly log: ClusterLog;
  readonly now?: MonotonicMs;
}

const NO_ANSWER: StickyRecall = { backends: [], found: 'timeout' };

/**
 * Look-ups of one turn of the loop go in one command. Where Redis is late, nobody waits for the next ones: they are
 * answered at once, without it, until one that is only tried comes in time again.
 */
export function createClusterKeeper({
  link,
  prefix,
  log,
  now = monotonicMs,
}: StickyKeeperOptions): StickyKeeper {
  const keyOf = ({ pool, key }: StickyQuestion | StickyClaim): string => `${prefix}sticky:${pool}:${key}`;
  const lookUp = createLookUp(link);
  let isSlow = false;
  /** Since when it is as it is, and what the log says of it: a look-up that is late now and then is no line. */
  let sinceMs = now();
  let isToldSlow = false;
  let triedMs = Number.NEGATIVE_INFINITY;
  /** When the last question that was answered in time was asked. */
  let inTimeMs = Number.NEGATIVE_INFINITY;

  const onTime = (askedMs: number): void => {
    inTimeMs = Math.max(inTimeMs, askedMs);
    if (!isSlow) return;
    isSlow = false;
    sinceMs = now();
  };
  const onLate = (askedMs: number): void => {
    if (isSlow || inTimeMs >= askedMs) return;
    isSlow = true;
    sinceMs = now();
    triedMs = sinceMs;
  };
  const tell = (timeoutMs: number): void => {
    if (isSlow === isToldSlow || now() - sinceMs < STICKY_TOLD_MS) return;
    isToldSlow = isSlow;
    const fields = { event: 'sticky', timeoutMs };
    if (isSlow) log.warn(fields, 'redis is too slow for sticky look-ups: they do without it');
    else log.info(fields, 'redis answers sticky look-ups in time again');
  };

  return {
    async recall(questions, timeoutMs) {
      tell(timeoutMs);
      const askedMs = now();
      const isTrial = isSlow;
      if (isTrial && askedMs - triedMs < STICKY_RETRY_MS) return NO_ANSWER;
      triedMs = askedMs;
      const answer = lookUp(questions.map(keyOf));
      if (answer === null) return NO_ANSWER;
      const known = answer.then(names => {
        if (names !== undefined && now() - askedMs <= timeoutMs) onTime(askedMs);
        return names;
      });
      if (isTrial) return NO_ANSWER;
      const names = await within(timeoutMs, known, () => onLate(askedMs));
      return names === undefined ? NO_ANSWER : { backends: names, found: 'redis' };
    },
    async claim(claims) {
      const commands: Promise<readonly (string | null)[] | undefined>[] = [];
      for (let from = 0; from < claims.length; from += STICKY_KEYS_A_COMMAND) {
        const some = claims.slice(from, from + STICKY_KEYS_A_COMMAND);
        const args = some.flatMap(claim => [
          claim.backend,
          claim.insteadOf ?? '',
          Math.ceil(claim.ttlMs + renewEveryMs(claim)),
        ]);
        const answer = link.run(claimScript, some.map(keyOf), [STICKY_NAME_OCTETS, ...args]);
        commands.push(answer.then(names => namesOf(names, some.length)));
      }
      const answers = await Promise.all(commands);
      const known = answers.flatMap(
        (names, at) =>
          names ??
          Array<null>(Math.min(STICKY_KEYS_A_COMMAND, claims.length - at * STICKY_KEYS_A_COMMAND)).fill(null),
      );
      return known.every(name => name === null) ? null : known;
    },
  };
}

/** Collects the keys of one turn into one command, or a few; null where too many are on their way. */
function createLookUp(link: Link) {
  let keys: string[] = [];
  let next: Promise<readonly (string | null)[] | undefined> | null = null;
  let onTheirWay = 0;

  const send = async (sent: readonly string[]): Promise<readonly (string | null)[] | undefined> => {
    onTheirWay++;
    try {
      return namesOf(await link.run(recallScript, sent, [STICKY_NAME_OCTETS]), sent.length);
    } finally {
      onTheirWay--;
    }
  };

  return (asked: readonly string[]): Promise<readonly (string | null)[] | undefined> | null => {
    if (onTheirWay >= STICKY_COMMANDS) return null;
    if (next === null || keys.length >= STICKY_KEYS_A_COMMAND) {
      const batch: string[] = [];
      keys = batch;
      const turn = new Promise<void>(resolve => setImmediate(resolve));
      const answer = turn.then(() => {
        if (keys === batch) next = null;
        return send(batch);
      });
      next = answer;
    }
    const from = keys.length;
    keys.push(...asked);
    return next.then(names => names?.slice(from, from + asked.length));
  };
}

/** The answer of a script, read with suspicion: undefined where it is none. */
function namesOf(answer: unknown, count: number): (string | null)[] | undefined {
  if (!Array.isArray(answer) || answer.length !== count) return undefined;
  return answer.map(name => (typeof name === 'string' && name !== '' ? name : null));
}

/** Undefined, and `late` called, where the answer has not come by then. An answer that lies there already counts. */
function within<T>(timeoutMs: number, answer: Promise<T>, late: () => void): Promise<T | undefined> {
  return new Promise(resolve => {
    const timer = setTimeout(() => {
      setImmediate(() => {
        if (isOver) return;
        late();
        resolve(undefined);
      });
    }, timeoutMs);
    let isOver = false;
    void answer.then(value => {
      isOver = true;
      clearTimeout(timer);
      resolve(value);
    });
  });
}
