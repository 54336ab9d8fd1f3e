import t from 'tap';
import { judge, type Standing, untested } from '../../lib/health/rise-fall.ts';

/** Health after each result of a sequence of `+` and `-`: `U` up, `d` down. */
function after(results: string, rise: number, fall: number): string {
  let standing: Standing = untested(fall);
  return [...results]
    .map(result => {
      standing = judge(standing, result === '+', rise, fall);
      return standing.health === 'up' ? 'U' : 'd';
    })
    .join('');
}

t.test('rise and fall', async t => {
  // Results, rise, fall, and what comes of them.
  const cases: readonly [string, number, number, string, string][] = [
    ['-', 2, 3, 'd', 'after a start, the first failure takes it down'],
    ['+---', 2, 3, 'UUUd', 'later, `fall` of them do'],
    ['+--+--+---', 2, 3, 'UUUUUUUUUd', 'in a row'],
    ['-+-+-++', 2, 3, 'ddddddU', 'and `rise` good ones in a row bring it back'],
    ['-++-', 2, 3, 'ddUU', 'one that returned has its full credit'],
    ['-+-+', 1, 1, 'dUdU', 'at once, where so configured'],
    ['+-+-+-+-+-', 2, 2, 'UUUUUUUUUU', 'every other check fails: it stays up'],
    ['-+-+-+-+-+', 2, 2, 'dddddddddd', 'and stays down'],
  ];
  for (const [results, rise, fall, wanted, what] of cases)
    t.equal(after(results, rise, fall), wanted, `${results} (rise ${rise}, fall ${fall}): ${what}`);
});

t.test('results of one kind are counted', async t => {
  let standing = untested(3);
  const counts = [...'++--+'].map(result => {
    standing = judge(standing, result === '+', 2, 3);
    return standing.consecutive;
  });
  t.same(counts, [1, 2, 1, 2, 1]);
});

t.test('a reload with a smaller bound takes effect at the next result', async t => {
  let standing = judge(untested(9), true, 2, 9);
  for (let count = 0; count < 4; count++) standing = judge(standing, false, 2, 9);
  t.equal(standing.health, 'up');
  t.equal(judge(standing, false, 2, 3).health, 'down');
});
