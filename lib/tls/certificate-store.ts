import { readFile, stat } from 'node:fs/promises';
import { type CertificatePair, checkPair, readCertificates } from './certificate-pair.ts';

/** Paths of PEM files: a certificate with its chain, and its key; or an authority, which has no key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string | null;
}

export interface CertificateStore {
  /**
   * Reads what is not known yet and what has changed. A pair that is known and has gone bad is kept as it was, and told;
   * one that is not known rejects, with a sentence that names the file.
   */
  load(wanted: readonly CertificateFiles[]): Promise<void>;
  /** What is watched from now on; all else is forgotten. */
  watch(wanted: readonly CertificateFiles[]): void;
  /** Looks whether files have changed; true where something that is in use is another now. */
  poll(): Promise<boolean>;
  pair(files: CertificateFiles): CertificatePair;
  authority(path: string): string;
}

/** `onBad` is told once for each change of files that will not do. */
export interface CertificateStoreOptions {
  onBad(problem: { readonly path: string; readonly text: string }): void;
  onLoaded(loaded: { readonly path: string; readonly pair: CertificatePair | null }): void;
}

interface Entry {
  readonly files: CertificateFiles;
  readonly signature: string;
  readonly pair: CertificatePair | null;
  readonly authority: string;
  /** Files seen to be bad, so that each is told once; and once more looked at, lest a half-done change is told. */
  bad: { readonly signature: string; told: boolean } | null;
}

/** Octets of a PEM file that are read. */
const PEM_OCTETS = 1_048_576;

export function createCertificateStore({ onBad, onLoaded }: CertificateStoreOptions): CertificateStore {
  const entries = new Map<string, Entry>();

  const renew = async (files: CertificateFiles, patient: boolean): Promise<boolean> => {
    const id = idOf(files);
    const before = entries.get(id);
    let signature = 'unread';
    try {
      signature = await signatureOf(files);
      if (signature === before?.signature) {
        before.bad = null;
        return false;
      }
      const entry = { files, signature, ...(await readEntry(files)), bad: null };
      entries.set(id, entry);
      onLoaded({ path: files.cert, pair: entry.pair });
      return true;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (before === undefined) throw new Error(`${text} (${pathsOf(files)})`);
      const seen = before.bad?.signature === signature;
      if (!seen) before.bad = { signature, told: false };
      // Two files are never replaced at one instant: only what is still bad at the next look is told.
      if (before.bad !== null && !before.bad.told && (seen || !patient)) {
        before.bad.told = true;
        onBad({ path: files.cert, text: `${text}; the one before stays in use` });
      }
      return false;
    }
  };

  return {
    async load(wanted) {
      for (const files of wanted) await renew(files, false);
    },
    watch(wanted) {
      const kept = new Set(wanted.map(idOf));
      for (const id of entries.keys()) if (!kept.has(id)) entries.delete(id);
    },
    async poll() {
      let changed = false;
      for (const { files } of [...entries.values()]) changed = (await renew(files, true)) || changed;
      return changed;
    },
    pair(files) {
      const pair = entries.get(idOf(files))?.pair;
      if (!pair) throw new Error(`${files.cert} was not loaded`);
      return pair;
    },
    authority: path => entries.get(idOf({ cert: path, key: null }))?.authority ?? '',
  };
}

function idOf({ cert, key }: CertificateFiles): string {
  return `${cert}\0${key ?? ''}`;
}

function pathsOf({ cert, key }: CertificateFiles): string {
  return key === null ? cert : `${cert}, ${key}`;
}

/** What changes when a file is written, replaced, or a link in its path leads elsewhere. */
async function signatureOf({ cert, key }: CertificateFiles): Promise<string> {
  const signs = [];
  for (const path of key === null ? [cert] : [cert, key]) {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path).catch(unreadable);
    if (size > PEM_OCTETS) throw new Error(`${path} is no PEM file: it has ${size} octets`);
    signs.push(dev, ino, size, mtimeMs, ctimeMs);
  }
  return signs.join();
}

async function readEntry({ cert, key }: CertificateFiles): Promise<Pick<Entry, 'pair' | 'authority'>> {
  const text = await readFile(cert, 'utf8').catch(unreadable);
  if (key !== null)
    return {
      pair: checkPair({ cert: text, key: await readFile(key, 'utf8').catch(unreadable) }),
      authority: '',
    };
  readCertificates(text);
  return { pair: null, authority: text };
}

function unreadable(error: NodeJS.ErrnoException): never {
  const why =
    error.code === 'ENOENT' ? 'there is no such file' : error.code === 'EACCES' ? 'it may not be read' : '';
  throw new Error(why === '' ? error.message : `${error.path ?? 'a certificate'}: ${why}`);
}
