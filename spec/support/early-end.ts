/** A suite in which something ends all tests before its last file, for together.spec.ts. */
import t from 'tap';
import { runTogether, specsOf } from './together.ts';

t.end();
await runTogether(specsOf('core', 1, 1).slice(0, 1));
