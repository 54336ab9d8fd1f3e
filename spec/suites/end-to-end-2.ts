import { runTogether, specsOf } from '../support/together.ts';

await runTogether(specsOf('end-to-end', 2, 4));
