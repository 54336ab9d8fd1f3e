/** Checks shared over the cluster: who checks which backend, and what those have found. */

import { unitHash } from '../balancer/source-hash.ts';
import { type MonotonicMs, monotonicMs } from '../core/clock.ts';
import { printable } from '../core/text.ts';
import { OUTCOMES, type Outcome } from '../health/outcome.ts';
import type { CheckSharing, Finding } from '../health/sharing.ts';
import { parseObject } from './json.ts';
import {
  CHECKS_EXCHANGE_MS,
  CHECKS_LEASE_MS,
  CHECKS_NAME_OCTETS,
  MAX_INSTANCES,
  REPORT_OCTETS,
} from './limits.ts';
import type { Link } from './link.ts';
import { loadScript } from './script.ts';

const script = loadScript('checks');

export interface SharedChecksOptions {
  readonly link: Link;
  /** What all keys of the cluster begin with. */
  readonly prefix: string;
  /** Unique to this run of this instance. */
  readonly incarnation: string;
  /** The name others show it by. */
  readonly instance: string;
  /** What this instance may check with others, by `pool/backend`, and what it has found; null where nothing yet. */
  readonly own: () => ReadonlyMap<string, Finding | null>;
  /** Who checks what may have changed, or what they have found. */
  readonly onNews: () => void;
  readonly now?: MonotonicMs;
}

export interface SharedChecks extends CheckSharing {
  /** To be called often; exchanges what is due, and waits for nothing. */
  tick(): void;
  /** One exchange; resolves when it is over. Never rejects. */
  exchange(): Promise<void>;
  /** The others take over at once what this instance has checked; the last call. */
  leave(): Promise<void>;
}

interface Member {
  readonly name: string;
  readonly findings: ReadonlyMap<string, Finding | null>;
}

export function createSharedChecks(options: SharedChecksOptions): SharedChecks {
  const { link, prefix, incarnation, instance, own, onNews, now = monotonicMs } = options;
  const keys = [`${prefix}checkers`, `${prefix}checks`];
  const limits = [REPORT_OCTETS, MAX_INSTANCES];
  let members = new Map<string, Member>();
  /** The checkers of a backend, as long as the same instances can check it. */
  let assigned = new Map<string, readonly string[]>();
  let number = '';
  let isAlone = true;
  let isUnderWay = false;
  let isOver = false;
  let askedMs = Number.NEGATIVE_INFINITY;
  let sentText = '';

  const text = (): string => {
    const found = [...own()]
      .map(([id, finding]) => [id, finding === null ? '?' : `${finding.health} ${finding.outcome}`])
      .sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
    return found.length === 0 ? '' : JSON.stringify({ n: instance, r: Object.fromEntries(found) });
  };

  const assign = (id: string, count: number): readonly string[] => {
    const key = `${count} ${id}`;
    const known = assigned.get(key);
    if (known !== undefined) return known;
    const checkers = [...members]
      .filter(([, { findings }]) => findings.has(id))
      .map(([member]) => ({ member, score: unitHash(`${member}|${id}`) }))
      .sort((a, b) => b.score - a.score)
      .slice(0, count)
      .map(({ member }) => member);
    assigned.set(key, checkers);
    return checkers;
  };

  const alone = (): void => {
    if (isAlone) return;
    isAlone = true;
    onNews();
  };

  const exchange = async (): Promise<void> => {
    if (isUnderWay || isOver) return;
    const mine = text();
    if (mine === '' && sentText === '') return;
    if (mine.length > REPORT_OCTETS) return alone();
    isUnderWay = true;
    askedMs = now();
    const answer = await link.run(script, keys, [incarnation, mine, CHECKS_LEASE_MS, number, ...limits]);
    isUnderWay = false;
    if (isOver) return;
    if (!Array.isArray(answer) || typeof answer[0] !== 'string' || answer.length % 2 === 0) {
      number = '';
      return alone();
    }
    sentText = mine;
    const isNews = answer[0] !== number;
    if (isNews) {
      number = answer[0];
      const before = memberships(members);
      members = decode(answer.slice(1));
      if (memberships(members) !== before) assigned = new Map();
    }
    if (!isNews && !isAlone) return;
    isAlone = false;
    onNews();
  };

  return {
    checkers: (id, count) =>
      isAlone ? null : assign(id, count).map(member => members.get(member)?.name ?? ''),
    isChecker: (id, count) => isAlone || assign(id, count).includes(incarnation),
    verdict(id, count) {
      if (isAlone) return null;
      const checkers = assign(id, count);
      const found = checkers.flatMap(member => members.get(member)?.findings.get(id) ?? []);
      for (const health of ['up', 'down'] as const) {
        const same = found.filter(finding => finding.health === health);
        if (same.length * 2 > checkers.length) return same[0] ?? null;
      }
      return null;
    },
    exchange,
    tick() {
      const nowMs = now();
      // A question that hangs is as good as none: nobody else's eyes can be relied on.
      if (isUnderWay && nowMs - askedMs > CHECKS_EXCHANGE_MS * 3) alone();
      if (isUnderWay) return;
      const isDue = nowMs - askedMs >= CHECKS_EXCHANGE_MS;
      // What this instance has found is told at once.
      if (isDue || (!isAlone && text() !== sentText)) void exchange();
    },
    async leave() {
      isOver = true;
      if (sentText !== '')
        await link.run(script, keys, [incarnation, '', CHECKS_LEASE_MS, number, ...limits]);
    },
  };
}

/** Who can check what: what assignments follow from. */
function memberships(members: ReadonlyMap<string, Member>): string {
  return JSON.stringify([...members].map(([member, { findings }]) => [member, [...findings.keys()]]).sort());
}

/** What does not look like a report is left out: anybody may write to Redis. */
function decode(pairs: readonly unknown[]): Map<string, Member> {
  const members = new Map<string, Member>();
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const member = decodeReport(String(pairs[at + 1]));
    if (member !== undefined) members.set(String(pairs[at]), member);
  }
  return members;
}

function decodeReport(text: string): Member | undefined {
  const value = parseObject(text);
  if (value === undefined) return undefined;
  const { n, r } = value;
  if (typeof n !== 'string' || typeof r !== 'object' || r === null) return undefined;
  const findings = new Map<string, Finding | null>();
  for (const [id, word] of Object.entries(r)) {
    const finding = decodeFinding(word);
    if (finding === undefined) return undefined;
    findings.set(id, finding);
  }
  return { name: printable(n, CHECKS_NAME_OCTETS), findings };
}

function decodeFinding(word: unknown): Finding | null | undefined {
  if (word === '?') return null;
  const [health, outcome = ''] = String(word).split(' ');
  if ((health !== 'up' && health !== 'down') || !Object.hasOwn(OUTCOMES, outcome)) return undefined;
  return { health, outcome: outcome as Outcome };
}
