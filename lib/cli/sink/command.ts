/** `smtplb sink`: the command line around startSink. */
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { type Address, formatAddress, parseAddress } from '../../core/address.ts';
import { type Sink, startSink } from './sink.ts';

export const SINK_USAGE = `Usage: smtplb sink --listen ADDRESS [--listen ADDRESS ...] [--name NAME] [--quiet]

An SMTP and LMTP server that accepts every message and forgets it: a backend for trials and benchmarks.

  --listen ADDRESS   127.0.0.1:2601, [::1]:2601 or unix:/path; may be given more than once
  --name NAME        the name in the greeting (default: this host's name)
  --quiet            print errors only
`;

interface SinkArguments {
  readonly listen: readonly Address[];
  readonly name: string;
  readonly quiet: boolean;
}

/**
 * Runs `smtplb sink` with the arguments after its name until SIGINT or SIGTERM; a second signal ends the
 * process at once. Resolves with the exit status: 0 after a signal or --help, 1 where an address cannot be
 * listened on, 2 for arguments that are no use. Prints a line per address when all listen, and totals at the end.
 */
export async function sinkCommand(argv: readonly string[]): Promise<number> {
  const parsed = parse(argv);
  if (parsed === 'help') {
    process.stdout.write(SINK_USAGE);
    return 0;
  }
  if (typeof parsed === 'string') {
    process.stderr.write(`smtplb sink: ${parsed}\n\n${SINK_USAGE}`);
    return 2;
  }
  const say = (line: string) => parsed.quiet || process.stdout.write(`${line}\n`);
  // The signals are ours before the first line invites anyone to send one.
  const { ended, release } = untilSignal();
  const sinks: Sink[] = [];
  try {
    for (const listen of parsed.listen) {
      const sink = await startSink({ listen, hostName: parsed.name }).catch(reason =>
        faultOf(listen, reason),
      );
      if (typeof sink === 'string') {
        process.stderr.write(`smtplb sink: ${sink}\n`);
        return 1;
      }
      sinks.push(sink);
    }
    for (const { address } of sinks) say(`smtplb sink: listening on ${formatAddress(address)}`);
    await ended;
  } finally {
    release();
    await Promise.all(sinks.map(sink => sink.stop()));
  }
  for (const sink of sinks) {
    const { connections, messages, recipients, octets } = sink.stats();
    const took = `${messages} messages, ${recipients} recipients, ${octets} octets`;
    say(`smtplb sink: ${formatAddress(sink.address)} took ${connections} connections, ${took}`);
  }
  return 0;
}

function parse(argv: readonly string[]): SinkArguments | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        listen: { type: 'string', multiple: true },
        name: { type: 'string', default: hostname() },
        quiet: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return 'help';
    if (values.listen === undefined) return '--listen is needed';
    if (!/^[!-~]{1,255}$/.test(values.name)) return `--name: ${JSON.stringify(values.name)} is no host name`;
    const listen: Address[] = [];
    for (const text of values.listen) {
      const address = parseAddress(text);
      if (address === undefined) return `--listen: ${JSON.stringify(text)} is no address`;
      listen.push(address);
    }
    return { listen, name: values.name, quiet: values.quiet };
  } catch (fault) {
    return fault instanceof Error ? fault.message : String(fault);
  }
}

function faultOf(listen: Address, reason: unknown): string {
  const code = reason instanceof Error && 'code' in reason ? reason.code : reason;
  return `cannot listen on ${formatAddress(listen)}: ${code}`;
}

/** `ended` resolves at the first SIGINT or SIGTERM; after it, or after `release`, signals do what they always do. */
function untilSignal(): { ended: Promise<void>; release(): void } {
  let release = () => {};
  const ended = new Promise<void>(resolve => {
    release = () => {
      process.off('SIGINT', release);
      process.off('SIGTERM', release);
      resolve();
    };
    process.on('SIGINT', release);
    process.on('SIGTERM', release);
  });
  return { ended, release };
}
