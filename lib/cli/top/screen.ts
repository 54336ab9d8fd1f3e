import type { BackendStatus, StatusDocument } from '../../admin/status.ts';
import { printable } from '../../core/text.ts';
import { stateText } from '../status.ts';
import { table } from '../table.ts';
import type { Rates } from './rates.ts';

/** One line of the screen: its text, and how it is to be shown. */
export interface ScreenLine {
  readonly text: string;
  readonly look: 'plain' | 'heading' | 'good' | 'warning' | 'bad' | 'selected' | 'faint';
}

export interface ScreenState {
  readonly status: StatusDocument;
  readonly rates: Rates;
  /** Position of the selected backend among all backends. */
  readonly selected: number;
  /** What the last verb came to, or a question; one line. */
  readonly message: string;
}

const KEYS = 'up/down select   r ready   d drain   m maint   q quit';

/** The whole screen, cut to its size. What comes from outside is made printable. */
export function screenLines(
  { status, rates, selected, message }: ScreenState,
  columns: number,
  rows: number,
): ScreenLine[] {
  const { instance, version, state, generation, lastReload } = status;
  const lines: ScreenLine[] = [
    { text: `${instance}   smtplb ${version}   generation ${generation}   ${status.now}`, look: 'heading' },
    { text: state === 'running' ? '' : 'STOPPING: no new sessions are taken', look: 'warning' },
  ];
  if (lastReload !== null && !lastReload.ok) {
    lines.push({
      text: `LAST RELOAD FAILED at ${lastReload.at}: ${firstLine(lastReload.message)}`,
      look: 'bad',
    });
  }
  lines.push(...listenerLines(status, rates), { text: '', look: 'plain' }, ...queueLines(status));
  lines.push(...backendLines(status, rates, selected));
  const shown = lines.slice(0, Math.max(0, rows - 2));
  return [...shown, { text: message, look: 'warning' as const }, { text: KEYS, look: 'faint' as const }].map(
    line => ({
      ...line,
      text: printable(line.text, columns - 1),
    }),
  );
}

function listenerLines({ listeners }: StatusDocument, rates: Rates): ScreenLine[] {
  const rows = listeners.map(listener => {
    const { sessions, bytes } = rates.listener(listener.name);
    const { name, addresses, active, limit, accepted } = listener;
    return [name, addresses.join(' '), active, limit ?? '-', sessions.toFixed(1), bytesText(bytes), accepted];
  });
  return tableLines(
    ['LISTENER', 'ADDRESSES', 'ACTIVE', 'LIMIT', 'NEW/S', 'BYTES/S', 'ACCEPTED'],
    rows,
    () => 'plain',
  );
}

function queueLines({ pools }: StatusDocument): ScreenLine[] {
  return pools
    .filter(({ queued }) => queued > 0)
    .map(({ name, queued, queueSize }) => ({
      text: `POOL ${name}: ${queued} OF AT MOST ${queueSize} SESSIONS WAIT`,
      look: 'warning' as const,
    }));
}

function backendLines(status: StatusDocument, rates: Rates, selected: number): ScreenLine[] {
  const all = status.pools.flatMap(pool => pool.backends.map(backend => ({ pool: pool.name, backend })));
  const rows = all.map(({ pool, backend }) => {
    const { picks, failures } = rates.backend(pool, backend.name);
    const { active, limit, weight, check } = backend;
    const checked = check === null ? '-' : `${check.outcome ?? 'none yet'} ${check.detail}`.trim();
    const name = `${pool}/${backend.name}`;
    return [
      name,
      stateText(backend),
      active,
      limit ?? '-',
      weight,
      picks.toFixed(1),
      failures.toFixed(1),
      checked,
    ];
  });
  const heading = ['BACKEND', 'STATE', 'ACTIVE', 'LIMIT', 'WEIGHT', 'NEW/S', 'FAILED/S', 'LAST CHECK'];
  return tableLines(heading, rows, at => {
    const backend = all[at]?.backend;
    return at === selected || backend === undefined ? 'selected' : lookOf(backend);
  });
}

function lookOf({ admin, health, ejectedForSeconds }: BackendStatus): ScreenLine['look'] {
  if (health === 'down' || ejectedForSeconds !== null) return 'bad';
  return admin === 'ready' ? 'good' : 'warning';
}

function tableLines(
  heading: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  look: (row: number) => ScreenLine['look'],
): ScreenLine[] {
  const [first = '', ...rest] = table(heading, rows).trimEnd().split('\n');
  return [{ text: first, look: 'heading' }, ...rest.map((text, at) => ({ text, look: look(at) }))];
}

/** `1.5 MB`: three digits at most before the unit, as long as there is one. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1_000 && unit < units.length - 1) [value, unit] = [value / 1_000, unit + 1];
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
