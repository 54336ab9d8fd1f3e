/** Operators' words to the whole cluster: said to Redis, heard from it, and told it again where it has lost them. */
import type { ClusterWord } from '../admin/operator-state.ts';
import type { Keys } from './keys.ts';
import { MAX_WORDS, WORD_NAME_OCTETS } from './limits.ts';
import type { ClusterLog, Link } from './link.ts';
import { loadScript } from './script.ts';

const script = loadScript('words');

/** A word that is said now. */
export type NewWord =
  | {
      readonly pool: string;
      readonly backend: string;
      readonly admin: 'ready' | 'drain' | 'maint';
      readonly endSessions: boolean;
    }
  | { readonly pool: string; readonly backend: string; readonly weight: number | null };

export interface OperatorWordsOptions {
  readonly link: Link;
  readonly keys: Keys;
  /** The cluster's words as far as they are known here: Redis is told those it has lost. */
  readonly known: () => readonly ClusterWord[];
  /** All words of the cluster, whenever they may have changed. `said` is the version of a word of our own, or null. */
  readonly onWords: (words: readonly ClusterWord[], said: number | null) => void;
  readonly log: ClusterLog;
}

export interface OperatorWords {
  /** What an exchange has told of the number of the words: if it is another, they are read. Bounded; nobody waits. */
  follow(wordsId: string): void;
  /** Reads them now; resolves when that is done, or has failed. */
  read(): Promise<void>;
  /** Resolves when Redis has it, after `onWords`; undefined when it did not answer, `full` where there is no room. */
  say(word: NewWord): Promise<'said' | 'full' | undefined>;
  /** Values in Redis that were no words and were thrown away, since the start. */
  readonly nonsense: number;
}

export function createOperatorWords(options: OperatorWordsOptions): OperatorWords {
  const { keys, known, link, log, onWords } = options;
  /** Of the words as they were read last; null before that. */
  let readId: string | null = null;
  let isReading = false;
  let nonsense = 0;
  let turn: Promise<unknown> = Promise.resolve();

  /** One at a time, or an older answer could come after a newer one. */
  const exchange = (word: NewWord | null): Promise<'said' | 'full' | undefined> => {
    const exchanged = turn.then(async () => {
      const told = known().map(encode);
      if (word !== null) told.push(encode({ ...word, version: 0 }));
      const answer = parse(
        await link.run(script, [keys.words], [MAX_WORDS, WORD_NAME_OCTETS, ...told.flat()]),
      );
      if (answer === undefined) return undefined;
      readId = answer.id;
      if (answer.nonsense > 0 && nonsense === 0) {
        const message = "redis held values that are no operator's words; they were thrown away (told once)";
        log.warn({ event: 'redis-nonsense', values: answer.nonsense }, message);
      }
      nonsense += answer.nonsense;
      onWords(answer.words, answer.said);
      return word !== null && answer.said === null ? 'full' : 'said';
    });
    turn = exchanged.catch(() => {});
    return exchanged;
  };

  return {
    follow(wordsId) {
      if (wordsId === readId || isReading) return;
      isReading = true;
      exchange(null).then(
        () => {
          isReading = false;
        },
        error => {
          isReading = false;
          log.warn({ event: 'operator-words', err: error }, 'the words of the cluster were not put into use');
        },
      );
    },
    async read() {
      await exchange(null);
    },
    say: exchange,
    get nonsense() {
      return nonsense;
    },
  };
}

function encode(word: ClusterWord): [name: string, version: string, text: string] {
  const path = `${encodeURIComponent(word.pool)}/${encodeURIComponent(word.backend)}`;
  const version = String(word.version);
  if ('admin' in word) return [`a:${path}`, version, `${word.admin}${word.endSessions ? '!' : ''}`];
  return [`w:${path}`, version, word.weight === null ? 'default' : String(word.weight)];
}

function parse(answer: unknown) {
  if (!Array.isArray(answer) || answer.length < 4) return undefined;
  const [id, nonsense, , said, ...rest] = answer as unknown[];
  const words: ClusterWord[] = [];
  for (let at = 0; at + 1 < rest.length; at += 2) {
    const word = decode(String(rest[at]), String(rest[at + 1]));
    if (word !== undefined) words.push(word);
  }
  return { id: String(id), nonsense: Number(nonsense), said: said === '' ? null : Number(said), words };
}

/** The script lets nothing else through than what is read here; what cannot be read is left out all the same. */
function decode(name: string, value: string): ClusterWord | undefined {
  const [, kind, pool, backend] = /^([aw]):([^/]+)\/([^/]+)$/.exec(name) ?? [];
  const [, version, text] = /^(\d{1,16}):(.+)$/.exec(value) ?? [];
  if (pool === undefined || backend === undefined || text === undefined) return undefined;
  try {
    const of = {
      pool: decodeURIComponent(pool),
      backend: decodeURIComponent(backend),
      version: Number(version),
    };
    if (kind === 'w') return { ...of, weight: text === 'default' ? null : Number(text) };
    const admin = text.replace('!', '');
    if (admin !== 'ready' && admin !== 'drain' && admin !== 'maint') return undefined;
    return { ...of, admin, endSessions: text.endsWith('!') };
  } catch {
    return undefined;
  }
}
