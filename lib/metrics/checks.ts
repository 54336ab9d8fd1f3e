import type { Registry } from 'prom-client';
import type { BackendHealth } from '../health/backend-check.ts';
import { CHECK_SECONDS_BOUNDS, type CheckCounts } from '../health/results.ts';
import { ScrapedHistogram, scrapedCounter, scrapedGauge } from './samples.ts';

/** Where the metrics of active checks come from; a monitor is one. */
export interface CheckSource {
  all(): (BackendHealth & { readonly pool: string; readonly backend: string })[];
  results(): CheckCounts[];
}

/** The metrics of active checks; only backends that are checked have them. */
export function checks(registry: Registry, source: CheckSource): void {
  const labels = ['pool', 'backend'];
  scrapedCounter(
    registry,
    { name: 'smtplb_checks_total', help: 'Checks made, by outcome.', labels: [...labels, 'outcome'] },
    () =>
      source
        .results()
        .flatMap(({ pool, backend, outcomes }) =>
          [...outcomes].map(([outcome, value]) => ({ labels: { pool, backend, outcome }, value })),
        ),
  );
  new ScrapedHistogram(
    registry,
    { name: 'smtplb_check_duration_seconds', help: 'Time from dialling to the verdict.', labels },
    CHECK_SECONDS_BOUNDS,
    () =>
      source.results().map(({ pool, backend, seconds }) => ({ labels: { pool, backend }, rows: [seconds] })),
  );
  scrapedGauge(
    registry,
    {
      name: 'smtplb_backend_checked_here',
      help: '1 while this instance checks the backend, 0 while it takes over what others find.',
      labels,
    },
    () =>
      source.all().map(({ pool, backend, isCheckedHere }) => ({
        labels: { pool, backend },
        value: isCheckedHere ? 1 : 0,
      })),
  );
  scrapedGauge(
    registry,
    {
      name: 'smtplb_backend_certificate_days_left',
      help: 'Whole days until the certificate that the last check saw expires; negative once it has.',
      labels,
    },
    () =>
      source
        .all()
        .flatMap(({ pool, backend, certificateDaysLeft }) =>
          certificateDaysLeft === null ? [] : [{ labels: { pool, backend }, value: certificateDaysLeft }],
        ),
  );
}
