/** What the tests of probes have in common: a backend to check, and a probe run to its end. */
import type { Address } from '../../lib/core/address.ts';
import type { CheckedBackend, CheckOptions } from '../../lib/health/options.ts';
import { LEAVE_MS, type ProbeResult, startProbe } from '../../lib/health/probe.ts';
import { PATIENCE_MS, within } from '../support/eventually.ts';

type Settings = Partial<CheckOptions> & Pick<Partial<CheckedBackend>, 'identity'>;

/** A backend of pool mx that is checked in SMTP; `settings` win. */
export function checked(address: Address, settings: Settings = {}): CheckedBackend {
  const { identity = 'none', ...check } = settings;
  return {
    pool: 'mx',
    backend: 'b1',
    address,
    identity,
    check: {
      type: 'smtp',
      intervalMs: 5_000,
      timeoutMs: 5_000,
      rise: 2,
      fall: 3,
      helo: 'probe.example',
      starttls: undefined,
      mail: undefined,
      ...check,
    },
  };
}

/** Runs one probe until its socket is gone, and fails where it takes longer than it may. */
export async function probed(address: Address, settings: Settings = {}): Promise<ProbeResult> {
  const backend = checked(address, settings);
  const { result, closed } = startProbe(backend);
  const found = await within('a result', result, backend.check.timeoutMs + PATIENCE_MS);
  await within('the end of the probe', closed, LEAVE_MS + PATIENCE_MS);
  if (found === null) throw new Error('a probe that was not cancelled has a result');
  return found;
}
