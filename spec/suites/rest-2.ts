import { runTogether, specsOnOthers } from '../support/together.ts';

await runTogether(specsOnOthers('end-to-end', 2, 4));
