import { runTogether, wideSpecs } from '../support/together.ts';

await runTogether(wideSpecs(8, 8));
