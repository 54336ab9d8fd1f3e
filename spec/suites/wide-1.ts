import { runTogether, wideSpecs } from '../support/together.ts';

await runTogether(wideSpecs(1, 8));
