/** The keys of TLS session tickets, shared by the instances that have the same private keys: see ticket-seal.ts. */
import type { MonotonicMs } from '../core/clock.ts';
import { freshTicketKey, isSame, type TicketKeys } from '../tls/ticket-keys.ts';
import { createTicketSeal, SEALED_OCTETS, type TicketSeal } from '../tls/ticket-seal.ts';
import type { ClusterLog, Link } from './link.ts';
import { loadScript } from './script.ts';

const script = loadScript('ticket-keys');

export interface TicketSharingOptions {
  readonly link: Link;
  /** What all keys of the cluster begin with. */
  readonly prefix: string;
  readonly tickets: TicketKeys;
  /** Of the certificates in use, PEM; none where no listener ends TLS. */
  readonly privateKeys: () => readonly string[];
  readonly log: ClusterLog;
  readonly now: MonotonicMs;
  /** Milliseconds a key seals; the same at all instances. */
  readonly periodMs: number;
  /** Milliseconds before that is over in which the next key is made, so that all have it before anybody uses it. */
  readonly leadMs: number;
  /** Milliseconds between two exchanges. */
  readonly exchangeMs: number;
}

export interface TicketSharing {
  /** To be called often; exchanges what is due, renews keys when it is time, and waits for nothing. */
  tick(): void;
  /** One exchange; resolves when it is over. Never rejects. */
  exchange(): Promise<void>;
  /** New tickets are sealed with a key that the others have. */
  readonly isShared: boolean;
}

/** What Redis has: numbers are of periods, by its clock. */
interface Answer {
  readonly period: number;
  readonly leftMs: number;
  readonly sealed: ReadonlyMap<number, string>;
  readonly thrown: number;
}

/** A key for a period, and the value in its place that is none. */
interface Offer {
  readonly period: number;
  readonly key: Uint8Array;
  readonly insteadOf: string;
}

/** Offers in one exchange: keys of three periods may be missing. */
const MOST_OFFERS = 3;

/**
 * Keys belong to periods by the clock of Redis, so that all instances change at one moment. Each takes what it finds
 * there, and offers what is missing: keys that it knows (Redis may have been wiped), or fresh ones. Without Redis an
 * instance uses the keys it has for their time, then its own; what it has sealed with those stays good when it is back.
 */
export function createTicketSharing(options: TicketSharingOptions): TicketSharing {
  const { link, prefix, tickets, privateKeys, log, now, periodMs, leadMs, exchangeMs } = options;
  /** Keys that Redis has, or had, by their period. */
  let known = new Map<number, Uint8Array>();
  let period: number | null = null;
  let endsAtMs = now() + periodMs;
  /** A key that is not shared and was in use until a moment ago. */
  let own: Uint8Array | null = null;
  let isShared = false;
  let askedMs = Number.NEGATIVE_INFINITY;
  let isUnderWay = false;
  let hasTold = false;
  const sealOf = createSealOf(prefix, privateKeys);
  let sealInUse: TicketSeal | null = null;

  const tell = (thrown: number): void => {
    if (thrown === 0 || hasTold) return;
    hasTold = true;
    const message = 'redis held values that are no ticket keys of ours; they were thrown away (told once)';
    log.warn({ event: 'redis-nonsense', values: thrown }, message);
  };

  const ask = async (seal: TicketSeal, offer: Offer | null): Promise<Answer | undefined> => {
    const offered =
      offer === null ? ['', '', ''] : [offer.period, seal.seal(offer.period, offer.key), offer.insteadOf];
    const limits = [periodMs, leadMs, SEALED_OCTETS];
    return parse(await link.run(script, [`${prefix}tickets:${seal.group}`], [...limits, ...offered]));
  };

  /** Opens what there is, and says what is missing. */
  const read = (seal: TicketSeal, { period: current, leftMs, sealed }: Answer): Offer | null => {
    let offer: Offer | null = null;
    for (const at of [current, current + 1, current - 1]) {
      const text = sealed.get(at) ?? '';
      const key = text === '' ? null : seal.open(at, text);
      if (text !== '' && key === null) tell(1);
      const isDue = at === current || (at > current && leftMs <= leadMs) || known.has(at);
      if (key !== null) known.set(at, key);
      else if (isDue && offer === null)
        offer = { period: at, key: known.get(at) ?? freshTicketKey(), insteadOf: text };
    }
    return offer;
  };

  /** Uses what is known for this period; returns whether anything is. */
  const use = (current: number): boolean => {
    for (const at of known.keys()) if (Math.abs(at - current) > 1) known.delete(at);
    const shared = [current, current - 1, current + 1].flatMap(at => known.get(at) ?? []);
    if (!known.has(current)) return false;
    const [sealing] = tickets.keys;
    if (sealing !== undefined && !shared.some(key => isSame(key, sealing))) own = sealing;
    const keys = own === null ? shared : [...shared, own];
    const isNews =
      keys.length !== tickets.keys.length || keys.some((key, at) => !isSame(key, tickets.keys[at]));
    isShared = true;
    if (isNews) tickets.set(keys);
    return true;
  };

  /** What Redis has is known, and has what it lacked. */
  const talk = async (seal: TicketSeal): Promise<void> => {
    let offer: Offer | null = null;
    for (let offers = 0; offers <= MOST_OFFERS; offers++) {
      const answer = await ask(seal, offer);
      if (answer === undefined) break;
      tell(answer.thrown);
      period = answer.period;
      endsAtMs = now() + answer.leftMs;
      offer = read(seal, answer);
      if (offer === null) break;
    }
    if (period !== null) use(period);
  };

  const exchange = async (): Promise<void> => {
    if (isUnderWay) return;
    isUnderWay = true;
    askedMs = now();
    try {
      const seal = sealOf();
      if (seal !== sealInUse) {
        // Who has other private keys now has other company.
        sealInUse = seal;
        known = new Map();
        isShared = false;
      }
      if (seal !== null) await talk(seal);
    } catch (error) {
      // OpenSSL's own words are kept out: nobody promises what they quote.
      const { code = 'unknown' } = error as NodeJS.ErrnoException;
      log.warn({ event: 'ticket-keys', code }, 'ticket keys were not exchanged; those in use stay');
    } finally {
      isUnderWay = false;
    }
  };

  return {
    get isShared() {
      return isShared;
    },
    exchange,
    tick() {
      if (now() >= endsAtMs) {
        endsAtMs += periodMs;
        own = null;
        if (period !== null) period++;
        if (period === null || !use(period)) {
          isShared = false;
          tickets.rotate();
        }
      }
      if (now() - askedMs >= exchangeMs) void exchange();
    },
  };
}

/** Made anew where the private keys are others. */
function createSealOf(cluster: string, privateKeys: () => readonly string[]): () => TicketSeal | null {
  let text = '';
  let seal: TicketSeal | null = null;
  return () => {
    const keys = privateKeys();
    if (keys.join() === text) return seal;
    text = keys.join();
    seal = keys.length === 0 ? null : createTicketSeal(cluster, keys);
    return seal;
  };
}

/** The answer of the script, read with suspicion: undefined where it is none. */
function parse(answer: unknown): Answer | undefined {
  if (!Array.isArray(answer) || answer.length !== 6) return undefined;
  const [period, leftMs, thrown] = [answer[0], answer[1], answer[5]].map(Number);
  if (period === undefined || leftMs === undefined || thrown === undefined) return undefined;
  if (!Number.isSafeInteger(period) || !(leftMs > 0) || !(thrown >= 0)) return undefined;
  const [current, before, next] = [answer[2], answer[3], answer[4]].map(String);
  const sealed = new Map([
    [period, current ?? ''],
    [period - 1, before ?? ''],
    [period + 1, next ?? ''],
  ]);
  return { period, leftMs, sealed, thrown };
}
