/** How an instance is operated as one of a cluster: words that all hear, and what each knows of the others. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { ClusterDocument, ClusterSummary, InstanceStatus } from './admin/cluster-status.ts';
import type { ClusterWord, OperatorState } from './admin/operator-state.ts';
import { type Fingerprint, fingerprintOf } from './cluster/fingerprint.ts';
import { MAX_WORDS } from './cluster/limits.ts';
import type { MemberReport } from './cluster/member.ts';
import { createMembers } from './cluster/members.ts';
import { createOperatorWords, type NewWord } from './cluster/operator-words.ts';
import type { ClusterPlane } from './cluster-plane.ts';
import type { Config } from './config/config.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Logger } from './core/log.ts';

/** Milliseconds an instance that starts waits to hear what operators have said, before it listens. */
const FIRST_WORDS_MS = 500;
const FIRST_WORDS_TRY_MS = 10;
/** Milliseconds whoever asks for the instances waits for a fresh look; then those that were seen last are shown. */
const LOOK_MS = 1_000;

/** What came of a word: the sessions it ended here, or why it was not said. */
export type SaidToCluster =
  | { readonly ok: true; readonly ended: number; readonly instances: number }
  | { readonly ok: false; readonly why: string };

export interface ClusterOperation {
  /** Before the instance listens: resolves when it knows the words of the cluster, soon in any case. */
  listen(): Promise<void>;
  /** What there is to be operated, from now on. */
  attach(plane: ControlPlane): void;
  /** Resolves when Redis has the word and this instance goes by it. */
  say(word: NewWord): Promise<SaidToCluster>;
  document(): Promise<ClusterDocument>;
  /** Null where the instance is alone. */
  summary(): ClusterSummary | null;
}

export interface ClusterOperationOptions {
  /** Null where the configuration names no Redis. */
  readonly cluster: ClusterPlane | null;
  readonly config: Pick<Config, 'instance' | 'cluster'>;
  readonly operator: OperatorState;
  readonly version: string;
  readonly startedAtMs: number;
  readonly state: () => MemberReport['state'];
  /** A predecessor lives and finishes its sessions. */
  readonly isSuccessor: boolean;
  readonly logger: Logger;
}

export function createClusterOperation(options: ClusterOperationOptions): ClusterOperation {
  const { cluster, config, operator, logger } = options;
  const { name } = config.cluster;
  const { own, attach } = createReport(options);
  let plane: ControlPlane | null = null;

  if (cluster === null) {
    return {
      listen: async () => {},
      attach,
      say: async () => ({
        ok: false,
        why: 'this instance is alone: no cluster.redis is configured; say it without --cluster',
      }),
      document: async () => {
        const self = { ...own(), isSelf: true, silentMs: 0, differences: [] };
        return { name, redis: null, instances: [instanceStatus(self)], warnings: [] };
      },
      summary: () => null,
    };
  }

  /** Words are put into use one after the other, as they came. */
  let turn: Promise<unknown> = Promise.resolve();
  let isHeard = false;
  let endedByOwn = 0;
  const use = async (all: readonly ClusterWord[], said: number | null): Promise<void> => {
    const news = operator.hear(all);
    isHeard = true;
    if (plane === null || news.length === 0) return;
    await plane.publish();
    for (const word of news) {
      const { pool, backend } = word;
      if (!has(plane, pool, backend)) continue;
      const what = 'admin' in word ? { state: word.admin } : { weight: word.weight };
      const ends = 'admin' in word && word.endSessions;
      const ended = ends ? await plane.data.endSessions(pool, backend) : 0;
      if (word.version === said) endedByOwn = ended;
      logger.info({ pool, backend, ...what, scope: 'cluster', ended }, 'the operator has changed a backend');
    }
  };
  const { link, keys, incarnation } = cluster;
  const words = createOperatorWords({
    link,
    keys,
    known: operator.heard,
    onWords(all, said) {
      turn = turn
        .then(() => use(all, said))
        .catch(error => {
          logger.error({ err: error }, 'the words of the cluster were not put into use');
        });
    },
    log: logger,
  });
  const { isSuccessor } = options;
  const members = createMembers({ link, keys, incarnation, own, isSuccessor, log: logger });
  cluster.join({
    tick: members.tick,
    exchanged: ({ wordsId }) => words.follow(wordsId),
  });

  return {
    async listen() {
      const deadline = performance.now() + FIRST_WORDS_MS;
      while (!isHeard && link.state().status !== 'unreachable' && performance.now() < deadline) {
        await Promise.race([words.read(), pause(FIRST_WORDS_MS)]);
        await turn;
        if (!isHeard) await pause(FIRST_WORDS_TRY_MS);
      }
    },
    attach(attached) {
      plane = attached;
      attach(attached);
      // What came while the sockets were opened.
      void attached.publish();
    },
    async say(word) {
      endedByOwn = 0;
      const outcome = await words.say(word);
      if (outcome === undefined) return { ok: false, why: unheard(link.state()) };
      if (outcome === 'full') {
        return { ok: false, why: `the cluster remembers ${MAX_WORDS} words and has no room for another` };
      }
      await turn;
      return { ok: true, ended: endedByOwn, instances: Math.max(1, cluster.state().instances) };
    },
    async document() {
      await Promise.race([members.look(), pause(LOOK_MS)]);
      const { seen, warnings } = members;
      const instances = seen.length > 0 ? seen : [{ ...own(), isSelf: true, silentMs: 0, differences: [] }];
      return { name, redis: link.state(), instances: instances.map(instanceStatus), warnings };
    },
    summary() {
      const { instances, redis } = cluster.state();
      return { name, redis, instances, warnings: members.warnings };
    },
  };
}

function unheard({ reason }: { readonly reason: string | null }): string {
  const why = reason === null ? '' : ` (${reason})`;
  return `Redis did not take it${why}: the cluster may not have heard; without --cluster it is said to this instance alone`;
}

function has(plane: ControlPlane, pool: string, backend: string): boolean {
  const { backends = [] } = plane.snapshot.pools.find(({ name }) => name === pool) ?? {};
  return backends.some(({ name }) => name === backend);
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

/** What this instance says of itself. */
function createReport({ config, startedAtMs, state, version }: ClusterOperationOptions) {
  const host = hostId();
  let plane: ControlPlane | null = null;
  let compared: { readonly config: Config; readonly fingerprint: Fingerprint } | null = null;
  const fingerprint = (of: Config): Fingerprint => {
    if (compared?.config !== of) compared = { config: of, fingerprint: fingerprintOf(of) };
    return compared.fingerprint;
  };
  return {
    attach(attached: ControlPlane): void {
      plane = attached;
    },
    own(): MemberReport {
      if (plane === null) throw new Error('an instance says nothing of itself before it has started');
      const { shards, sessions } = plane.data;
      return {
        instance: config.instance,
        hostName: hostname(),
        host,
        version,
        generation: plane.generation,
        fingerprint: fingerprint(plane.config),
        shards: shards.length,
        transport: [...new Set(shards.map(({ transport }) => transport))].join('+'),
        sessions,
        startedAtMs,
        state: state(),
      };
    },
  };
}

/** The same for all that runs on this machine, or in this container, and for nothing else. */
function hostId(): string {
  let machine = '';
  try {
    machine = readFileSync('/etc/machine-id', 'utf8');
  } catch {
    // Not every system has it; the host's name tells most of them apart.
  }
  return createHash('sha256').update(`${hostname()}\n${machine}`).digest('hex').slice(0, 16);
}

function instanceStatus(
  member: MemberReport & Pick<InstanceStatus, 'isSelf' | 'differences'> & { readonly silentMs: number },
): InstanceStatus {
  const { instance, hostName, isSelf, version, state, generation, shards, transport, sessions } = member;
  return {
    ...{ instance, hostName, isSelf, version, state, generation },
    startedAt: new Date(member.startedAtMs).toISOString(),
    ...{ shards, transport, sessions },
    secondsSinceHeartbeat: Math.round(member.silentMs / 100) / 10,
    differences: member.differences,
  };
}
