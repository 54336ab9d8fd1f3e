import type { Config } from '../config/config.ts';
import { type ConfigFault, formatFault } from '../config/faults.ts';
import { warnings } from '../config/warnings.ts';

/** Prints every fault to standard error; what an editor can jump to. */
export function printFaults(faults: readonly ConfigFault[]): void {
  process.stderr.write(faults.map(fault => `${formatFault(fault)}\n`).join(''));
}

/** What is allowed, and better thought over. */
export function printWarnings(config: Config): void {
  for (const { path, text } of warnings(config)) process.stderr.write(`warning: ${path}: ${text}\n`);
}
