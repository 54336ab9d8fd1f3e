import { runTogether, wideSpecs } from '../support/together.ts';

await runTogether(wideSpecs(7, 8));
