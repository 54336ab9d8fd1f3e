import type { Control, Outcome } from './admin/control.ts';
import type { OperatorState } from './admin/operator-state.ts';
import type { StatusDocument } from './admin/status.ts';
import type { NewWord } from './cluster/operator-words.ts';
import type { ClusterOperation } from './cluster-operation.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Board } from './core/board.ts';
import type { Logger } from './core/log.ts';

export interface OperateOptions {
  readonly plane: ControlPlane;
  readonly board: Board;
  readonly operator: OperatorState;
  readonly operation: ClusterOperation;
  readonly logger: Logger;
  readonly status: () => StatusDocument;
  readonly reload: () => Promise<Outcome>;
  readonly upgrade: () => Promise<Outcome>;
  /** A successor is starting: it knows what was said before, and would not know what is said now. */
  readonly upgrading: () => boolean;
}

const UPGRADING: Outcome = {
  ok: false,
  message: 'an upgrade is under way; say it again when that is over',
};

/** The operator's verbs on a running instance. Each is logged, whoever asked for it. */
export function createControl(options: OperateOptions): Control {
  const { board, logger, operation, operator, plane, reload, status, upgrade, upgrading } = options;
  /** A sentence where there is no such backend, naming those there are. */
  const unknown = (pool: string, backend: string): string | null => {
    const known = plane.snapshot.pools.find(({ name }) => name === pool);
    if (known === undefined) return `there is no pool ${pool}; there is ${names(plane.snapshot.pools)}`;
    if (known.backends.some(({ name }) => name === backend)) return null;
    return `there is no backend ${pool}/${backend}; pool ${pool} has ${names(known.backends)}`;
  };

  const running = (pool: string, backend: string, ended: number): string => {
    const { backends = [] } = plane.snapshot.pools.find(({ name }) => name === pool) ?? {};
    const row = backends.find(({ name }) => name === backend)?.row;
    return sessionsLeft(row === undefined ? 0 : Atomics.load(board.backendSlots, row), ended);
  };

  const toCluster = async (
    word: NewWord,
    what: string,
    left: (ended: number) => string,
  ): Promise<Outcome> => {
    const said = await operation.say(word);
    if (!said.ok) return { ok: false, message: said.why };
    const { ended, instances } = said;
    const who = instances === 1 ? 'the only instance' : `all ${instances} instances`;
    return { ok: true, message: `${what} for ${who} of the cluster${left(ended)}` };
  };

  return {
    status,
    reload: async () => (upgrading() ? UPGRADING : reload()),
    upgrade,

    sessions: filter => plane.data.views(filter),

    cluster: operation.document,

    async setAdmin(pool, backend, state, endSessions, scope) {
      if (upgrading()) return UPGRADING;
      const why = unknown(pool, backend);
      if (why !== null) return { ok: false, message: why };
      const is = `${pool}/${backend} is ${state === 'ready' ? '' : 'in '}${state}`;
      if (scope === 'cluster') {
        return toCluster({ pool, backend, admin: state, endSessions }, is, ended =>
          running(pool, backend, ended),
        );
      }
      operator.say(pool, backend, { admin: state });
      await plane.publish();
      const ended = endSessions ? await plane.data.endSessions(pool, backend) : 0;
      logger.info({ pool, backend, state, ended }, 'the operator has changed a backend');
      return {
        ok: true,
        message: `${is}${running(pool, backend, ended)}`,
      };
    },

    async setWeight(pool, backend, weight, scope) {
      if (upgrading()) return UPGRADING;
      const why = unknown(pool, backend);
      if (why !== null) return { ok: false, message: why };
      const has = `${pool}/${backend} has ${weight === null ? 'its configured weight' : `weight ${weight}`}`;
      if (scope === 'cluster') return toCluster({ pool, backend, weight }, has, () => '');
      operator.say(pool, backend, { weight });
      await plane.publish();
      logger.info({ pool, backend, weight }, 'the operator has changed a weight');
      return { ok: true, message: has };
    },
  };
}

function sessionsLeft(left: number, ended: number): string {
  const told = ended > 0 ? `, ${ended === 1 ? '1 session was' : `${ended} sessions were`} ended` : '';
  return `${told}; ${left === 1 ? '1 session is' : `${left} sessions are`} running there`;
}

function names(things: readonly { readonly name: string }[]): string {
  return things.map(({ name }) => name).join(', ');
}
