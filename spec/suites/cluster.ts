import { runTogether, specsOf } from '../support/together.ts';

await runTogether(specsOf('cluster'));
