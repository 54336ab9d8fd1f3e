/** swaks, the operator's SMTP client. */
import { formatAddress, type IpAddress } from '../../lib/core/address.ts';
import type { Owner } from './owner.ts';
import { type Exit, run } from './processes.ts';

export interface SwaksOptions {
  readonly server: IpAddress;
  readonly from?: string;
  /** Default to@example.com. */
  readonly to?: string;
  readonly helo?: string;
  readonly body?: string;
  /** More options, as swaks has them: `--pipeline`, `--tls`, `--proxy-version 2`, `--quit-after EHLO`. */
  readonly extra?: readonly string[];
  readonly deadlineMs?: number;
}

/** One line of the dialogue. */
export interface SwaksLine {
  /** `hint`: what swaks itself has to say (connected, TLS, errors). */
  readonly by: 'client' | 'backend' | 'hint';
  readonly text: string;
  /** The line went through TLS. */
  readonly tls: boolean;
  /** swaks took it as a failure (`<**`, `***`). */
  readonly failed: boolean;
}

export interface SwaksResult extends Exit {
  readonly lines: readonly SwaksLine[];
  /** Every line of the first reply. */
  readonly greeting: readonly string[];
  /** The last line of each reply, the greeting's first. */
  readonly replies: readonly string[];
}

/** Sends one message: `needs('swaks')`. A failure is in `exitCode` and the lines, it does not reject. */
export async function swaks(owner: Owner, options: SwaksOptions): Promise<SwaksResult> {
  const { server, from = 'from@example.org', to = 'to@example.com', helo = 'client.example' } = options;
  const exit = await run(
    owner,
    'swaks',
    [
      ...['--server', formatAddress(server), '--from', from, '--to', to, '--helo', helo],
      ...(options.body === undefined ? [] : ['--body', options.body]),
      ...(options.extra ?? []),
    ],
    { deadlineMs: options.deadlineMs ?? 30_000 },
  );
  return { ...exit, ...parseTranscript(exit.stdout + exit.stderr) };
}

/** Reads swaks's transcript by its line marks: ` -> `, `<-  `, `<** `, `**> `, with `~` inside TLS, `=== `, `*** `. */
export function parseTranscript(text: string): Pick<SwaksResult, 'lines' | 'greeting' | 'replies'> {
  const lines: SwaksLine[] = [];
  for (const line of text.split('\n')) {
    const [, mark = '', rest = ''] =
      /^( [-~]> |\*[*~]> |<[-~] {2}|<[*~]\* |=== |\*\*\* )(.*)$/.exec(line) ?? [];
    if (mark === '') continue;
    const by = mark.includes('>') ? 'client' : mark.startsWith('<') ? 'backend' : 'hint';
    lines.push({ by, text: rest.trimEnd(), tls: mark.includes('~'), failed: mark.includes('*') });
  }
  const said = lines.filter(({ by }) => by === 'backend').map(line => line.text);
  const isLast = (line: string) => /^\d{3}(?: |$)/.test(line);
  return {
    lines,
    greeting: said.slice(0, said.findIndex(isLast) + 1),
    replies: said.filter(isLast),
  };
}
