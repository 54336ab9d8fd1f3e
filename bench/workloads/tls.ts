import { scriptCommand } from '../scripts.ts';
import { mean } from '../stats.ts';
import type { CertificateKind } from '../subjects/certificates.ts';
import { throughput } from './throughput.ts';
import type { Metric, Samples, Visit, Workload } from './workload.ts';

/** Workloads for subjects at which TLS ends. */

/** What the load's processes say of themselves. */
interface LoadSaid {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly sessions: number;
  readonly resumed: number;
}

/** Reads the line that tls-load.py prints. Throws where it is not what it should be. */
export function parseLoad(line: string): LoadSaid {
  const said: unknown = JSON.parse(line);
  const number = (key: string): number => {
    const value: unknown = typeof said === 'object' && said !== null ? Reflect.get(said, key) : undefined;
    if (typeof value !== 'number') throw new Error(`the load said ${line.trim()}`);
    return value;
  };
  return {
    seconds: number('seconds'),
    cpuSeconds: number('cpuSeconds'),
    sessions: number('sessions'),
    resumed: number('resumed'),
  };
}

const further: readonly Metric[] = [
  { key: 'core', title: '% of a core', unit: '%', of: 'core', reduce: mean, compared: false },
  { key: 'loadCpu', title: 'load CPU µs', unit: 'µs', of: 'load', reduce: mean, compared: false },
  { key: 'resumed', title: 'resumed %', unit: '%', of: 'resumed', reduce: mean, compared: false },
];

interface TlsLoad {
  readonly certificate: CertificateKind;
  readonly resume: boolean;
  readonly octets: number;
  /** All messages on one session a process, instead of a session for each. */
  readonly kept: boolean;
}

/** Sends a visit's messages through the subject's door for that kind of certificate. */
function sending({ certificate, resume, octets, kept }: TlsLoad) {
  return async ({ subject, surroundings, running, count, parallel }: Visit): Promise<Samples> => {
    const door = running.doors?.get(certificate);
    if (door === undefined || subject.tls === undefined) throw new Error('it has no TLS');
    const processes = Math.min(parallel, count);
    const [sessions, messages] = kept ? [processes, Math.ceil(count / processes)] : [count, 1];
    const numbers = [sessions, messages, octets, processes].map(String);
    const args = [door.host, `${door.port}`, subject.tls, ...numbers, resume ? 'resumed' : 'full'];
    const command = scriptCommand('tls-load.py', args);
    const said = parseLoad(await surroundings.children.run(command.program, command.args));
    return {
      rate: [count / said.seconds],
      load: [(1e6 * said.cpuSeconds) / count],
      resumed: [(100 * said.resumed) / said.sessions],
    };
  };
}

function handshakes(certificate: CertificateKind, resume: boolean): Workload {
  const kind = certificate === 'ecdsa' ? 'ECDSA P-256' : 'RSA 2048';
  return throughput({
    name: `${certificate}${resume ? '-resumed' : ''}`,
    says: `a handshake and one message of 1 KiB a session; ${kind}, ${resume ? 'resumed' : 'in full'}`,
    unit: 'handshake',
    count: 1_000,
    parallel: 4,
    further,
    work: sending({ certificate, resume, octets: 1_024, kept: false }),
  });
}

/** In the order in which they run. */
export const TLS_WORKLOADS: readonly Workload[] = [
  handshakes('ecdsa', false),
  handshakes('ecdsa', true),
  handshakes('rsa', false),
  handshakes('rsa', true),
  throughput({
    name: 'transfer',
    says: 'messages of 1 MiB on kept sessions',
    unit: 'MiB',
    count: 400,
    parallel: 4,
    further: further.filter(metric => metric.key !== 'resumed'),
    work: sending({ certificate: 'ecdsa', resume: false, octets: 1_048_576, kept: true }),
  }),
];
