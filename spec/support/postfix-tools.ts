/** Postfix's load generator and its drain; neither needs a running Postfix. */
import { type Address, formatAddress, type IpAddress } from '../../lib/core/address.ts';
import { freeAddress } from './free-port.ts';
import type { Owner } from './owner.ts';
import { type Exit, type Running, run, start } from './processes.ts';

export interface SourceOptions {
  readonly address: Address;
  /** Connections at a time; default 1. */
  readonly sessions?: number;
  /** Messages in all; default 1. */
  readonly messages?: number;
  /** Octets of a message's body; default a short text. */
  readonly length?: number;
  /** Recipients of a message; default 1. */
  readonly recipients?: number;
  /** All messages of a session over one connection; default one connection each. */
  readonly keepConnections?: boolean;
  readonly lmtp?: boolean;
  /** More flags, as smtp-source(1) has them. */
  readonly flags?: readonly string[];
  readonly deadlineMs?: number;
}

export interface SourceResult extends Exit {
  /** Messages for which it has seen 250 after the dot. It stops at the first reply that is no success. */
  readonly messages: number;
}

/**
 * Runs smtp-source to its end: `needs('smtp-source')`. A failure is in `exitCode` and `stderr`, it does not
 * reject. A short run may last a second longer than its work: its event loop ticks once a second.
 */
export async function smtpSource(owner: Owner, options: SourceOptions): Promise<SourceResult> {
  const exit = await run(owner, 'smtp-source', sourceArguments(options), {
    deadlineMs: options.deadlineMs ?? 60_000,
  });
  return { ...exit, messages: countOf(exit.stdout) };
}

/** As `smtpSource`, without waiting for the end: for faults that strike under load. */
export function startSmtpSource(owner: Owner, options: SourceOptions): Running {
  return start(owner, 'smtp-source', sourceArguments(options));
}

function sourceArguments(options: SourceOptions): string[] {
  const { address, sessions = 1, messages = 1, length, recipients = 1 } = options;
  return [
    '-c',
    ...(options.keepConnections === true ? ['-d'] : []),
    ...(options.lmtp === true ? ['-L'] : []),
    ...(length === undefined ? [] : ['-l', `${length}`]),
    ...['-s', `${sessions}`, '-m', `${messages}`, '-r', `${recipients}`],
    ...['-M', 'source.example', '-f', 'from@example.org', '-t', 'to@example.com'],
    ...(options.flags ?? []),
    address.family === 'unix' ? formatAddress(address) : `inet:${formatAddress(address)}`,
  ];
}

/** The running counter of `-c`: numbers that overwrite each other. */
function countOf(stdout: string): number {
  return Number(/(\d+)\s*$/.exec(stdout)?.[1] ?? 0);
}

export interface SinkServer {
  readonly address: IpAddress;
  readonly process: Running;
  stop(): Promise<Exit>;
}

export interface SinkServerOptions {
  /** More flags, as smtp-sink(1) has them: `-w 1` delays the reply to the dot, `-f` and `-q` misbehave. */
  readonly flags?: readonly string[];
  readonly hostName?: string;
}

/** Starts smtp-sink and resolves when it accepts: `needs('smtp-sink')`. */
export async function startSmtpSink(owner: Owner, options: SinkServerOptions = {}): Promise<SinkServer> {
  const address = await freeAddress();
  const isRoot = process.getuid?.() === 0;
  const running = start(owner, 'smtp-sink', [
    ...(isRoot ? ['-u', 'nobody'] : []),
    ...['-h', options.hostName ?? 'sink.example'],
    ...(options.flags ?? []),
    formatAddress(address),
    '4096',
  ]);
  await running.accepting(address);
  return { address, process: running, stop: () => running.stop() };
}
