import t from 'tap';
import { OUTCOME_NAMES, OUTCOMES } from '../../lib/health/outcome.ts';
import { page, tableUnder } from '../support/markdown.ts';

t.test('the documentation has exactly the outcomes there are', async t => {
  const documented = tableUnder(page('checks.md'), 'Outcomes');
  t.strictSame(
    documented.map(([outcome, counts, text]) => [outcome, counts, text]),
    OUTCOME_NAMES.map(name => {
      const { success, blamesBackend, text } = OUTCOMES[name];
      return [name, success ? 'good' : blamesBackend ? 'bad' : 'neither way', text];
    }),
  );
  for (const [outcome, , , advice] of documented) t.match(advice, /[\w`)]\.$/, `${outcome}: what to do`);
});
