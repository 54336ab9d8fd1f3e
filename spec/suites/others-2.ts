import { runTogether, specsOutside } from '../support/together.ts';

await runTogether(specsOutside('end-to-end', 2, 4));
