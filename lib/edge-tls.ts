import type { Config, ListenerConfig } from './config/config.ts';
import type { Logger } from './core/log.ts';
import type { CertificatePair } from './tls/certificate-pair.ts';
import { type CertificateFiles, createCertificateStore } from './tls/certificate-store.ts';
import { createListenerTls, type TlsSnapshot } from './tls/listener-tls.ts';
import { createTicketKeys, TICKET_KEY_PERIOD_MS, type TicketKeys } from './tls/ticket-keys.ts';

/** What listeners need to end TLS: certificates, which are watched, and the keys of session tickets. */
export interface EdgeTls {
  readonly tickets: TicketKeys;
  /** The private keys in use, PEM. */
  privateKeys(): readonly string[];
  /** Reads what a configuration names; rejects with a sentence where a file will not do. */
  prepare(config: Config): Promise<void>;
  /** The configuration that is in use now: its files are watched, all others forgotten. */
  adopt(config: Config): void;
  /** Null for a listener that passes TLS through. Its files have been prepared. */
  of(listener: ListenerConfig): TlsSnapshot | null;
  /** Certificates in use, by the path of their file. */
  certificates(): readonly { readonly path: string; readonly expiresAtMs: number }[];
  /**
   * Looks for changed files from now on, and, with `rotates`, renews the keys of tickets; without, somebody else does.
   * `onChange` is called when snapshots are to be made anew.
   */
  start(options: { readonly onChange: () => void; readonly rotates: boolean }): void;
  stop(): void;
}

/** Milliseconds between two looks at the files; the next handshake after that has the new ones. */
const LOOK_MS = 2_000;
const DAY_MS = 86_400_000;
/** Days before its end from which on a certificate is warned of. */
const SOON_DAYS = 14;

export function createEdgeTls(logger: Logger, lookMs = LOOK_MS): EdgeTls {
  let changed = (): void => {};
  const tickets = createTicketKeys(() => changed());
  const store = createCertificateStore({
    onBad: ({ path, text }) => logger.error({ certificate: path }, `certificate not reloaded: ${text}`),
    onLoaded({ path, pair }) {
      if (pair === null) logger.info({ certificate: path }, 'certificate authority loaded');
      else tellLoaded(logger, path, pair);
    },
  });
  let inUse: Config | null = null;
  const timers: NodeJS.Timeout[] = [];

  const of = ({ tls }: ListenerConfig): TlsSnapshot | null => {
    if (tls.mode === 'passthrough') return null;
    const { ciphers, clientCertificates, mode, minVersion, required } = tls;
    return {
      mode,
      required,
      minVersion,
      ciphers: ciphers ?? null,
      certificates: tls.certificates.map(files => store.pair(files)),
      clientCertificates: clientCertificates
        ? { ca: store.authority(clientCertificates.ca), required: clientCertificates.required }
        : null,
      ticketKeys: tickets.keys,
    };
  };

  const pairsInUse = () =>
    (inUse?.listeners ?? []).flatMap(({ tls }) =>
      tls.certificates.map(files => [files.cert, store.pair(files)] as const),
    );

  return {
    tickets,
    of,
    privateKeys: () => pairsInUse().map(([, { key }]) => key),
    async prepare(config) {
      for (const listener of config.listeners) {
        try {
          await store.load(filesOf(listener));
          const snapshot = of(listener);
          if (snapshot !== null) createListenerTls(listener.name, snapshot).tryAll();
        } catch (error) {
          throw new Error(`listener ${listener.name}, tls: ${reasonOf(error)}`);
        }
      }
    },
    adopt(config) {
      inUse = config;
      store.watch(config.listeners.flatMap(filesOf));
    },
    certificates() {
      return [...new Map(pairsInUse())].map(([path, { expiresAtMs }]) => ({ path, expiresAtMs }));
    },
    start({ onChange, rotates }) {
      changed = onChange;
      let looking = false;
      const look = async (): Promise<void> => {
        if (looking) return;
        looking = true;
        try {
          if (await store.poll()) onChange();
        } finally {
          looking = false;
        }
      };
      timers.push(setInterval(() => void look(), lookMs).unref());
      if (rotates) timers.push(setInterval(tickets.rotate, TICKET_KEY_PERIOD_MS).unref());
    },
    stop() {
      changed = () => {};
      for (const timer of timers.splice(0)) clearInterval(timer);
    },
  };
}

function filesOf({ tls }: ListenerConfig): CertificateFiles[] {
  const { certificates, clientCertificates } = tls;
  return [...certificates, ...(clientCertificates ? [{ cert: clientCertificates.ca, key: null }] : [])];
}

function tellLoaded(logger: Logger, path: string, { names, beginsAtMs, expiresAtMs }: CertificatePair): void {
  const days = Math.floor((expiresAtMs - Date.now()) / DAY_MS);
  const about = {
    certificate: path,
    names: names.slice(0, 10),
    expires: new Date(expiresAtMs).toISOString(),
  };
  if (expiresAtMs < Date.now()) logger.warn(about, 'certificate has expired: clients will not accept it');
  else if (beginsAtMs > Date.now())
    logger.warn(about, 'certificate is not in force yet: clients will not accept it');
  else if (days < SOON_DAYS) logger.warn(about, `certificate expires in ${days} days`);
  else logger.info(about, 'certificate loaded');
}

/** OpenSSL's errors have a reason that reads better than the message around it. */
function reasonOf(error: unknown): string {
  const { reason, message } = error as { readonly reason?: string; readonly message?: string };
  return reason ?? message ?? String(error);
}
