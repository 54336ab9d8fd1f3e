/**
 * A configuration that must be refused, and every fault that must be named: `LINE:COLUMN PATH: ` and the beginning
 * of the sentence, as patterns. The list of faults is complete: one more or one less fails.
 */
export interface BadConfig {
  readonly what: string;
  readonly yaml: string;
  readonly faults: readonly string[];
}

export const pool = 'pools: [{name: mx, backends: [{address: "10.0.0.1:25"}]}]';
export const listener = 'listeners: [{listen: "0.0.0.0:25", pool: mx}]';

/** A bad line at the top level, in line 1. */
export function top(what: string, line: string, ...faults: string[]): BadConfig {
  return { what, yaml: `${line}\n${listener}\n${pool}\n`, faults };
}

/** Lines of a listener; the first one is line 4, its keys begin in column 3. */
export function ofListener(what: string, lines: string, ...faults: string[]): BadConfig {
  const yaml = `${pool}\nlisteners:\n- listen: 0.0.0.0:25\n  ${lines.replaceAll('\n', '\n  ')}\n  pool: mx\n`;
  return { what, yaml, faults };
}

/** Lines of a pool; the first one is line 4, its keys begin in column 3. */
export function ofPool(what: string, lines: string, ...faults: string[]): BadConfig {
  const rest = 'name: mx\n  backends: [{address: "10.0.0.1:25"}]';
  return { what, yaml: `${listener}\npools:\n-\n  ${lines.replaceAll('\n', '\n  ')}\n  ${rest}\n`, faults };
}

/** One backend, in line 3 and from column 14. */
export function ofBackend(what: string, backend: string, ...faults: string[]): BadConfig {
  return { what, yaml: `${listener}\npools:\n- backends: [${backend}]\n  name: mx\n`, faults };
}
