import { runApart } from '../support/apart.ts';

await runApart(process.argv.slice(2));
