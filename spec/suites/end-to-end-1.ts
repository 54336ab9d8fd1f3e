import { runTogether, specsOf } from '../support/together.ts';

await runTogether(specsOf('end-to-end', 1, 4));
