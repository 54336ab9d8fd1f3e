import type { Registry } from 'prom-client';
import type { ListenerColumn, ShardStats } from '../core/shard-stats.ts';
import { TLS_FAULTS, TLS_VERSIONS } from '../core/tls-fault.ts';
import type { ShardSnapshot } from '../shard/snapshot.ts';
import { scrapedCounter, scrapedGauge, sum } from './samples.ts';

export interface TlsSource {
  readonly shards: readonly ShardStats[];
  readonly snapshot: () => ShardSnapshot;
  /** Certificates in use, by the path of their file. */
  readonly certificates: () => readonly { readonly path: string; readonly expiresAtMs: number }[];
  /** The keys of session tickets: how often another began to seal; whether the cluster has it, null without a cluster. */
  readonly ticketKeys: () => { readonly changes: number; readonly isShared: boolean | null };
}

/** The metrics of TLS that ends here; only listeners where it does have them. */
export function tls(registry: Registry, { certificates, shards, snapshot, ticketKeys }: TlsSource): void {
  const listeners = () => snapshot().listeners.filter(listener => listener.tls !== null);
  const total = (row: number, column: ListenerColumn) =>
    sum(shards.map(shard => shard.listeners.get(row, column)));

  scrapedCounter(
    registry,
    {
      name: 'smtplb_tls_handshakes_total',
      help: 'TLS handshakes with clients that succeeded.',
      labels: ['listener', 'version'],
    },
    () =>
      listeners().flatMap(({ row, name }) =>
        TLS_VERSIONS.map(version => ({
          labels: { listener: name, version },
          value: total(row, `tls/${version}`),
        })),
      ),
  );
  scrapedCounter(
    registry,
    {
      name: 'smtplb_tls_resumed_total',
      help: 'TLS handshakes with clients that resumed an earlier session.',
      labels: ['listener'],
    },
    () =>
      listeners().map(({ row, name }) => ({ labels: { listener: name }, value: total(row, 'tlsResumed') })),
  );
  scrapedCounter(
    registry,
    {
      name: 'smtplb_tls_failures_total',
      help: 'TLS handshakes with clients that failed, by reason.',
      labels: ['listener', 'reason'],
    },
    () =>
      listeners().flatMap(({ row, name }) =>
        TLS_FAULTS.map(reason => ({
          labels: { listener: name, reason },
          value: total(row, `tlsFault/${reason}`),
        })),
      ),
  );
  scrapedGauge(
    registry,
    {
      name: 'smtplb_certificate_expiry_seconds',
      help: 'Seconds until a certificate that clients are shown expires; negative once it has.',
      labels: ['certificate'],
    },
    () =>
      certificates().map(({ path, expiresAtMs }) => ({
        labels: { certificate: path },
        value: Math.floor((expiresAtMs - Date.now()) / 1_000),
      })),
  );
  const ofTickets = (read: () => number | null) => () => {
    const value = listeners().length === 0 ? null : read();
    return value === null ? [] : [{ labels: {}, value }];
  };
  scrapedCounter(
    registry,
    {
      name: 'smtplb_tls_ticket_key_changes_total',
      help: 'Times another key began to seal session tickets.',
      labels: [],
    },
    ofTickets(() => ticketKeys().changes),
  );
  scrapedGauge(
    registry,
    {
      name: 'smtplb_tls_ticket_keys_shared',
      help: '1 while new session tickets are good at other instances of the cluster, too.',
      labels: [],
    },
    ofTickets(() => {
      const { isShared } = ticketKeys();
      return isShared === null ? null : Number(isShared);
    }),
  );
}
