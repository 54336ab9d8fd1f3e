/** The command line without a process of its own: for what ends by itself, and as it would for a shell. */
import { main } from '../../lib/cli/main.ts';

const STREAMS = ['stdout', 'stderr'] as const;

/** What a command prints, and its exit status. Nothing else of this process may print meanwhile. */
export async function called(...args: readonly string[]) {
  const printed = { stdout: '', stderr: '' };
  const own = { stdout: process.stdout.write, stderr: process.stderr.write };
  for (const stream of STREAMS) {
    process[stream].write = (text: string | Uint8Array) => {
      printed[stream] += String(text);
      return true;
    };
  }
  try {
    return { exitCode: await main(args), ...printed };
  } finally {
    for (const stream of STREAMS) process[stream].write = own[stream];
  }
}
