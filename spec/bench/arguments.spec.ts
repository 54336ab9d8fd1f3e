import t from 'tap';
import { type Arguments, parseArguments } from '../../bench/arguments.ts';
import { parseLoad } from '../../bench/workloads/tls.ts';

function parsed(...argv: readonly string[]): Arguments {
  const options = parseArguments(argv);
  if (options === undefined || typeof options === 'string') throw new Error(options ?? 'help');
  return options;
}
const names = (all: readonly { name: string }[]) => all.map(one => one.name);

t.test('without a suite it is mail passed through, and all of it', async t => {
  const options = parsed();
  t.equal(options.suite.name, 'relay');
  t.strictSame(options.workloads, options.suite.workloads);
  t.strictSame(names(options.subjects), [
    'direct',
    'smtplb-net',
    'smtplb-epoll',
    'smtplb-uring',
    'haproxy',
    'nginx',
  ]);
  t.equal(options.rounds, 5);
});

t.test('a suite has its own workloads and subjects', async t => {
  const options = parsed('tls', 'transfer', 'ecdsa', '--subjects', 'nginx-mail,haproxy-ssl');
  t.equal(options.suite.name, 'tls');
  t.strictSame(names(options.workloads), ['ecdsa', 'transfer']);
  t.strictSame(names(options.subjects), ['haproxy-ssl', 'nginx-mail']);
  t.match(parseArguments(['tls', 'sessions']), /no workload 'sessions'; there are ecdsa/);
});

t.test('all subjects', async t => {
  const options = parsed('--subjects', 'all');
  t.strictSame(options.subjects, options.suite.subjects);
});

t.test('what is wrong is said', async t => {
  t.match(parseArguments(['--subjects', 'f5']), /no subject 'f5'/);
  t.match(parseArguments(['--rounds', '0']), /--rounds wants a number from 1 on/);
  t.equal(parseArguments(['--help']), undefined);
});

t.test('every base and direct way is a subject of its suite', async t => {
  for (const { suite } of [parsed(), parsed('tls'), parsed('warm')]) {
    const all = new Set(names(suite.subjects));
    for (const name of [suite.base, suite.nothing, ...suite.subjects.map(one => one.base)])
      if (name !== undefined) t.ok(all.has(name), `${name} in ${suite.name}`);
  }
});

t.test('what the load says of itself', async t => {
  const line = '{"seconds": 1.5, "cpuSeconds": 2, "sessions": 10, "resumed": 9}\n';
  t.strictSame(parseLoad(line), { seconds: 1.5, cpuSeconds: 2, sessions: 10, resumed: 9 });
  t.throws(() => parseLoad('{"seconds": 1}'), /the load said/);
});
