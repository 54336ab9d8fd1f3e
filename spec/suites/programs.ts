import { runTogether, specsOf } from '../support/together.ts';

await runTogether([...specsOf('cli'), ...specsOf('bench'), ...specsOf('monitoring'), ...specsOf('support')]);
