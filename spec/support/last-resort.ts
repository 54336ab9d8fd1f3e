/** What must happen even where no teardown runs: the test is ended by its time limit or by Ctrl-C. */

const resorts = new Set<() => void>();
let isGuarded = false;

/** Calls `end` (which may not wait for anything) when the test's process ends; returns what calls that off. */
export function lastResort(end: () => void): () => void {
  resorts.add(end);
  guard();
  return () => resorts.delete(end);
}

function guard(): void {
  if (isGuarded) return;
  isGuarded = true;
  const endAll = () => {
    for (const end of resorts) end();
    resorts.clear();
  };
  process.on('exit', endAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGALRM'] as const) {
    process.once(signal, () => {
      endAll();
      process.kill(process.pid, signal);
    });
  }
}
