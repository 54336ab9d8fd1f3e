import t from 'tap';
import { FAULT_CODES, FAULTS } from '../../lib/core/fault.ts';
import { CAUSE_NAMES, CAUSES, PHASE_NAMES, PHASES, terminationCode } from '../../lib/core/termination.ts';
import { page, tableUnder } from '../support/markdown.ts';

const terminations = page('terminations.md');

t.test('two letters name one cause and one phase', async t => {
  const codes = CAUSE_NAMES.flatMap(cause => PHASE_NAMES.map(phase => terminationCode(cause, phase)));
  t.equal(new Set(codes).size, CAUSE_NAMES.length * PHASE_NAMES.length);
  t.ok(codes.every(code => /^[A-Za-z-][A-Z]$/.test(code)));
  t.equal(terminationCode('normal', 'relaying'), '-R');
  t.equal(terminationCode('backend-timeout', 'connecting'), 'TC');
});

t.test('the documentation has exactly the causes there are', async t => {
  const documented = tableUnder(terminations, 'Causes');
  t.strictSame(
    documented.map(([letter, cause, text]) => [letter, cause, text]),
    CAUSE_NAMES.map(cause => [CAUSES[cause].letter, cause, CAUSES[cause].text]),
  );
  for (const [, cause, , advice] of documented) t.match(advice, /[\w`)]\.$/, `${cause}: what to do`);
});

t.test('the documentation has exactly the phases there are', async t => {
  t.strictSame(
    tableUnder(terminations, 'Phases').map(([letter, phase, text]) => [letter, phase, text]),
    PHASE_NAMES.map(phase => [PHASES[phase].letter, phase, PHASES[phase].text]),
  );
});

t.test('the documentation has exactly the faults of backends there are', async t => {
  const yes = (holds: boolean) => (holds ? 'yes' : 'no');
  const documented = tableUnder(terminations, 'Faults of backends');
  t.strictSame(
    documented.map(([reason, , another, counts]) => [reason, another, counts]),
    FAULT_CODES.map(code => [code, yes(FAULTS[code].retryable), yes(FAULTS[code].blamesBackend)]),
  );
  for (const [reason, , , , cause] of documented)
    t.ok((CAUSE_NAMES as readonly (string | undefined)[]).includes(cause), `${reason} ends as ${cause}`);
});

t.test('a table that differs from the program is noticed', async t => {
  const rows = tableUnder(
    '# A\n\n## Causes\n\n| a | b |\n|---|---|\n| `-` | `x` |\n\n## B\n| no | row |\n',
    'Causes',
  );
  t.strictSame(rows, [['-', 'x']]);
  t.throws(() => tableUnder('# A\n', 'Causes'), { message: /no heading/ });
  t.throws(() => tableUnder('# Causes\n\nNo table.\n', 'Causes'), { message: /no table/ });
});
