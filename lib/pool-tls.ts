import { readFile } from 'node:fs/promises';
import type { BackendAddress, Config, PoolTlsConfig } from './config/config.ts';
import { printable } from './core/text.ts';
import type { PoolTls } from './pool/snapshot.ts';
import { backendContext } from './tls/secure-context.ts';

/** TLS towards the backends, by pool, its files read; pools without are not in it. */
export type PoolTlsTexts = ReadonlyMap<string, PoolTls>;

/**
 * Reads the files of all pools that speak TLS with their backends, at start and at each reload. Rejects with a sentence
 * that names the key and the file where one cannot be read, holds no certificate, or a key does not fit.
 */
export async function readPoolTls({ pools }: Config): Promise<PoolTlsTexts> {
  const texts = new Map<string, PoolTls>();
  for (const { name, tls } of pools) {
    if (tls.mode !== 'none') texts.set(name, await readTexts(name, tls.mode, tls));
  }
  return texts;
}

async function readTexts(pool: string, mode: PoolTls['mode'], config: PoolTlsConfig): Promise<PoolTls> {
  const { verify, fingerprints, minVersion } = config;
  const key = (path: string) => `pool ${pool}: tls.${path}`;
  const ca = config.ca === undefined ? null : await readText(key('ca'), config.ca);
  const certificate = config.certificate && {
    cert: await readText(key('certificate.cert'), config.certificate.cert),
    key: await readText(key('certificate.key'), config.certificate.key),
  };
  const read: PoolTls = {
    mode,
    verify,
    ca,
    fingerprints,
    certificate: certificate ?? null,
    minVersion,
  };
  // One after the other, so that the sentence names the one that is wrong.
  usable(key('ca'), config.ca, { ...read, certificate: null });
  usable(key('certificate'), config.certificate?.cert, { ...read, ca: null });
  return read;
}

async function readText(key: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new Error(`${key}: ${printable(path, 256)} cannot be read (${code})`);
  }
}

function usable(key: string, path: string | undefined, tls: PoolTls): void {
  if (path === undefined) return;
  // OpenSSL takes text without a certificate for an empty list of authorities.
  const text = tls.ca ?? tls.certificate?.cert ?? '';
  if (!/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(text))
    throw new Error(`${key}: ${printable(path, 256)} holds no certificate in PEM`);
  try {
    backendContext(tls);
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    const why =
      code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH'
        ? 'and its key do not fit each other'
        : `cannot be used (${code})`;
    throw new Error(`${key}: ${printable(path, 256)} ${why}`);
  }
}

/** What a backend's certificate must be valid for unless the pool says otherwise. */
export function hostOf(address: BackendAddress): string {
  return address.family === 'unix' ? 'localhost' : address.host;
}
