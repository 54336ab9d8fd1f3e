/** The shards of a data plane: started together, watched, and replaced when they are lost. */
import type { Board } from '../core/board.ts';
import { SHARD_HUNG_MS, SHARD_SILENT_MS } from '../core/limits.ts';
import type { ShardStats } from '../core/shard-stats.ts';
import type { Custodian } from '../transport/linux/custodian.ts';
import type { ShardEvent, ShardState } from './data-plane.ts';
import type { ShardReports } from './handle.ts';
import { createSeat, type Seat, type SeatKind } from './seat.ts';
import type { SpawnShard } from './spawn.ts';

/** Every so often somebody looks whether the threads' clocks tick. */
const LOOK_MS = 1_000;
/** One that is lost again within this time is not replaced at once. */
const SETTLED_MS = 30_000;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

export interface CrewOptions {
  readonly seats: readonly SeatKind[];
  readonly board: Board;
  /** One for each seat. */
  readonly stats: readonly ShardStats[];
  readonly descriptors: number;
  readonly instance: string;
  readonly reports: ShardReports;
  /** Null where there is none. */
  readonly custodian: Custodian | null;
  /** Starts threads in another way than usual. */
  readonly spawn?: SpawnShard | undefined;
  /** How long a thread may be silent, if not as long as usual. */
  readonly patience?: Patience | undefined;
  /** Gives back what a shard that is over has held beside the board. */
  readonly onForfeit: (shard: number) => void;
  readonly onShard: (event: ShardEvent) => void;
  /** Gives a shard that has been started its work; rejects where that cannot be done now. */
  readonly revive: (seat: Seat) => Promise<void>;
}

/**
 * Milliseconds, to a second, of the control plane's own running time: a process that was stopped, or was not given the
 * CPU, finds its threads no more silent than itself.
 */
export interface Patience {
  /** Until a silent thread is said to hang. */
  readonly silentMs: number;
  /** Until it is ended and replaced. */
  readonly hungMs: number;
}

const PATIENCE: Patience = { silentMs: SHARD_SILENT_MS, hungMs: SHARD_HUNG_MS };

export interface Crew {
  readonly seats: readonly Seat[];
  /** Without those that nobody has needed yet. */
  readonly states: readonly ShardState[];
  /** Those that can be asked something. */
  readonly answering: readonly Seat[];
  /** Nobody is replaced from now on. */
  disband(): void;
}

interface Member {
  readonly seat: Seat;
  restarts: number;
  /** Losses that came one soon after the other. */
  losses: number;
  startedAtMs: number;
  /** How often in a row its clock was found standing still. */
  looksSilent: number;
  stuck: boolean;
  timer: NodeJS.Timeout | undefined;
}

export function createCrew(options: CrewOptions): Crew {
  const { onShard, patience = PATIENCE, revive } = options;
  let disbanded = false;
  const members: Member[] = options.seats.map((kind, index) => {
    const seat = createSeat({
      ...kind,
      index,
      board: options.board,
      stats: options.stats[index] as ShardStats,
      custodian: options.custodian,
      descriptors: options.descriptors,
      instance: options.instance,
      reports: options.reports,
      onForfeit: options.onForfeit,
      spawn: options.spawn,
      onLost: (error, sessions) => lost(members[index] as Member, error, sessions),
    });
    return { seat, restarts: 0, losses: 0, startedAtMs: 0, looksSilent: 0, stuck: false, timer: undefined };
  });

  const delayOf = ({ losses }: Member): number =>
    losses <= 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (losses - 2), MAX_DELAY_MS);
  const who = ({ seat }: Member) => ({ shard: seat.index, transport: seat.transport });

  const lost = (member: Member, error: unknown, sessions: number): void => {
    const lived = performance.now() - member.startedAtMs;
    member.losses = lived > SETTLED_MS ? 1 : member.losses + 1;
    member.stuck = false;
    member.looksSilent = 0;
    const delayMs = delayOf(member);
    if (disbanded || (delayMs > 0 && hasComrades(member))) member.seat.closeKept();
    onShard({ ...who(member), event: 'lost', error, sessions, delayMs });
    replaceLater(member, delayMs);
  };

  /** Who comes meanwhile is better off with them than in a queue. */
  const hasComrades = ({ seat }: Member): boolean =>
    members.some(other => other.seat.transport === seat.transport && other.seat.handle !== null);

  const replaceLater = (member: Member, delayMs: number): void => {
    if (disbanded) return;
    clearTimeout(member.timer);
    member.timer = setTimeout(() => void replace(member), delayMs);
  };

  const replace = async (member: Member): Promise<void> => {
    member.startedAtMs = performance.now();
    try {
      await revive(member.seat);
      member.restarts++;
      onShard({ ...who(member), event: 'replaced' });
    } catch (error) {
      if (disbanded) return;
      // If the thread was there, and is lost again, that has been seen to already.
      member.losses++;
      const delayMs = delayOf(member);
      onShard({ ...who(member), event: 'not-replaced', error, delayMs });
      replaceLater(member, delayMs);
    }
  };

  const look = (): void => {
    for (const member of members) {
      const { seat } = member;
      const silentMs = seat.silentMs();
      member.looksSilent = silentMs > LOOK_MS ? member.looksSilent + 1 : 0;
      const lookedMs = member.looksSilent * LOOK_MS;
      const stuck = lookedMs >= patience.silentMs;
      if (stuck !== member.stuck) {
        member.stuck = stuck;
        if (stuck) onShard({ ...who(member), event: 'stuck', silentMs });
        else if (seat.handle !== null) onShard({ ...who(member), event: 'unstuck' });
      }
      if (lookedMs >= patience.hungMs)
        seat.kill(new Error(`its thread hung, and was ended after ${lookedMs / 1_000} s`));
    }
  };
  const looking = setInterval(look, LOOK_MS);
  looking.unref();

  return {
    seats: members.map(({ seat }) => seat),
    get states() {
      return members
        .filter(({ seat }) => !seat.idle)
        .map(
          ({ seat, restarts, stuck }): ShardState => ({
            shard: seat.index,
            transport: seat.transport,
            state: seat.handle === null ? 'restarting' : stuck ? 'stuck' : 'running',
            sessions: seat.sessions,
            restarts,
            silentMs: Math.round(seat.silentMs()),
          }),
        );
    },
    get answering() {
      return members.filter(({ seat, stuck }) => seat.handle !== null && !stuck).map(({ seat }) => seat);
    },
    disband() {
      disbanded = true;
      clearInterval(looking);
      for (const { seat, timer } of members) {
        clearTimeout(timer);
        seat.closeKept();
      }
    },
  };
}
