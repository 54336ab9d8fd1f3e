import { runTogether, wideSpecs } from '../support/together.ts';

await runTogether(wideSpecs(5, 8));
