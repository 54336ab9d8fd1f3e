import { runTogether, specsOutside } from '../support/together.ts';

await runTogether(specsOutside('end-to-end', 1, 4));
