import { type ParseArgsConfig, parseArgs } from 'node:util';

/** What a command line came to: its values, or the exit status after help or a complaint. */
export type Parsed<T> =
  | { readonly ok: true; readonly args: T }
  | { readonly ok: false; readonly status: number };

/** Parses flags as `util.parseArgs` does; `--help` prints `usage`, and a wrong flag says so before it. */
export function parseFlags<T extends Omit<ParseArgsConfig, 'args'>>(
  argv: readonly string[],
  usage: string,
  config: T,
): Parsed<ReturnType<typeof parseArgs<T>>> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(usage);
    return { ok: false, status: 0 };
  }
  try {
    return { ok: true, args: parseArgs<T>({ args: [...argv], ...config }) };
  } catch (error) {
    return complain((error as Error).message, usage);
  }
}

export function complain(text: string, usage: string): { readonly ok: false; readonly status: number } {
  process.stderr.write(`smtplb: ${text}\n\n${usage}`);
  return { ok: false, status: 2 };
}
