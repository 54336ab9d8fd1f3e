import { runTogether, wideSpecs } from '../support/together.ts';

await runTogether(wideSpecs(6, 8));
