import { runTogether, specsOutside } from '../support/together.ts';

/** Everything that no other suite has. */
await runTogether(
  specsOutside([
    'admin',
    'bench',
    'cli',
    'cluster',
    'end-to-end',
    'health',
    'monitoring',
    'support',
    'transport',
  ]),
);
