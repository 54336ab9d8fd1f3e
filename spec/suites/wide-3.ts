import { runTogether, wideSpecs } from '../support/together.ts';

await runTogether(wideSpecs(3, 8));
