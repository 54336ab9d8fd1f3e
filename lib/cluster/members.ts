/** Who is in the cluster: each instance says once a second what it is, and looks now and then who else is there. */
import { type MonotonicMs, monotonicMs } from '../core/clock.ts';
import { printable } from '../core/text.ts';
import { differences } from './fingerprint.ts';
import type { Keys } from './keys.ts';
import {
  COUNTS_LEASE_MS,
  MAX_INSTANCES,
  MEMBER_BEAT_MS,
  MEMBER_OCTETS,
  MEMBERS_AGE_MS,
  MEMBERS_LOOK_MS,
} from './limits.ts';
import type { ClusterLog, Link } from './link.ts';
import { decodeMember, encodeMember, type MemberReport } from './member.ts';
import { loadScript } from './script.ts';

const membersScript = loadScript('members');
const leaveScript = loadScript('leave');

export interface Member extends MemberReport {
  readonly isSelf: boolean;
  /** Milliseconds since it last said so. */
  readonly silentMs: number;
  /** Where its configuration differs from ours, in sentences. */
  readonly differences: readonly string[];
}

export interface MembersOptions {
  readonly link: Link;
  readonly keys: Keys;
  readonly incarnation: string;
  readonly own: () => MemberReport;
  /** The process that was here before lives and finishes its sessions: it is left alone. */
  readonly isSuccessor: boolean;
  readonly log: ClusterLog;
  readonly now?: MonotonicMs;
}

export interface Members {
  /** To be called often: says what this instance is, and looks around, when it is time. Nobody waits for it. */
  tick(): void;
  /** Sees to it that `seen` is at most MEMBERS_AGE_MS old, if Redis answers. */
  look(): Promise<void>;
  /** Who was there when it was last seen, by name; nobody before the first look. */
  readonly seen: readonly Member[];
  /** What is wrong among the members as they were last seen, in sentences; nothing where they have never been seen. */
  readonly warnings: readonly string[];
}

/** Milliseconds within which a predecessor has said that it is stopping. */
const SETTLING_MS = 5_000;

export function createMembers(options: MembersOptions): Members {
  const { incarnation, isSuccessor, keys, link, log, own, now = monotonicMs } = options;
  const bornMs = now();
  let beatMs = Number.NEGATIVE_INFINITY;
  let lookedMs = Number.NEGATIVE_INFINITY;
  let hasLooked = false;
  let seen: readonly Member[] = [];
  let warnings: readonly string[] = [];
  let turn: Promise<void> | null = null;

  /** Says what this instance is, and hears the others. */
  async function ask(): Promise<void> {
    const askedMs = now();
    const report = own();
    const answer = await run(report, true);
    if (answer === undefined) return;
    const all = parse(answer, report, incarnation);
    lookedMs = askedMs;
    const isFirst = !hasLooked;
    hasLooked = true;
    const before = isFirst && !isSuccessor ? all.filter(member => isSame(member, report)) : [];
    if (before.length > 0) {
      // Dead, most likely: its counts would stand beside ours until its lease ends. If it lives, it puts itself back.
      const gone = before.map(member => member.incarnation);
      await link.run(leaveScript, [keys.leases, keys.counts, keys.sum, keys.members], gone);
      log.info(
        { event: 'members', replaced: before.length },
        'an earlier run of this instance has been forgotten',
      );
    }
    seen = all
      .filter(member => !before.includes(member))
      .sort((a, b) => (a.instance < b.instance ? -1 : a.instance > b.instance ? 1 : 0));
    tell(warningsOf(seen, report, now() - bornMs > SETTLING_MS));
  }

  async function run(report: MemberReport, all: boolean): Promise<unknown> {
    beatMs = now();
    const args = [
      incarnation,
      encodeMember(report),
      all ? 1 : 0,
      COUNTS_LEASE_MS,
      MEMBER_OCTETS,
      MAX_INSTANCES,
    ];
    return link.run(membersScript, [keys.leases, keys.members], args);
  }

  function tell(found: readonly string[]): void {
    for (const warning of found) {
      if (!warnings.includes(warning)) log.warn({ event: 'members' }, warning);
    }
    for (const warning of warnings) {
      if (!found.includes(warning)) log.info({ event: 'members' }, `no longer so: ${warning}`);
    }
    warnings = found;
  }

  function look(): Promise<void> {
    if (turn !== null) return turn;
    if (now() - lookedMs < MEMBERS_AGE_MS) return Promise.resolve();
    turn = ask().finally(() => {
      turn = null;
    });
    return turn;
  }

  return {
    tick() {
      const nowMs = now();
      if (nowMs - beatMs < MEMBER_BEAT_MS || turn !== null) return;
      const isDue =
        nowMs - lookedMs >= (nowMs - bornMs < 2 * SETTLING_MS ? SETTLING_MS / 2 : MEMBERS_LOOK_MS);
      (isDue ? look() : run(own(), false)).catch(error => {
        log.warn({ event: 'members', err: error }, 'this instance could not say what it is');
      });
    },
    look,
    get seen() {
      const sinceMs = now() - lookedMs;
      return seen.map(member => ({ ...member, silentMs: member.silentMs + sinceMs }));
    },
    get warnings() {
      return warnings;
    },
  };
}

interface Seen extends Member {
  readonly incarnation: string;
}

function parse(answer: unknown, own: MemberReport, incarnation: string): Seen[] {
  const list: unknown[] = Array.isArray(answer) ? answer : [];
  const all: Seen[] = [];
  for (let at = 0; at + 2 < list.length; at += 3) {
    const who = String(list[at]);
    const report = decodeMember(String(list[at + 2]));
    const silentMs = Number(list[at + 1]);
    if (report === undefined || !Number.isFinite(silentMs)) continue;
    const isSelf = who === incarnation;
    const differs = isSelf ? [] : differences(own.fingerprint, report.fingerprint);
    all.push({ ...report, incarnation: who, isSelf, silentMs, differences: differs });
  }
  return all;
}

function isSame({ isSelf, instance, host }: Member, own: MemberReport): boolean {
  return !isSelf && instance === own.instance && host === own.host;
}

function warningsOf(members: readonly Member[], own: MemberReport, isSettled: boolean): string[] {
  const warnings: string[] = [];
  const name = (text: string): string => printable(text);
  const others = members.filter(({ isSelf, state }) => !isSelf && state === 'running');
  const twins = others.filter(({ instance }) => instance === own.instance);
  if (twins.length > 0 && isSettled && own.state === 'running') {
    const hosts = [...new Set([own, ...twins].map(({ hostName }) => name(hostName)))].join(', ');
    warnings.push(
      `${twins.length + 1} running instances are called ${name(own.instance)} (on ${hosts}): give each its own "instance"`,
    );
  }
  const listed = others.filter(member => member.differences.length > 0).slice(0, MAX_LISTED);
  for (const { instance, hostName, differences: how } of listed) {
    const who = instance === own.instance ? `${name(instance)} on ${name(hostName)}` : name(instance);
    warnings.push(
      `the configuration of ${who} is another one than here: ${how.slice(0, MAX_LISTED).map(name).join(', ')}`,
    );
  }
  return warnings;
}

/** Of what is wrong, more would not help. */
const MAX_LISTED = 10;
