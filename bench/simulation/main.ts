import { parseArgs } from 'node:util';
import { SCENARIOS } from './scenarios.ts';
import { simulate } from './simulate.ts';
import { STRATEGIES } from './strategies.ts';

/** `npm run simulate`: how evenly a cluster loads its backends, as a table in Markdown. */

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, only: { type: 'string', default: '' } },
});
const seed = Number(values.seed);
if (!Number.isSafeInteger(seed)) throw new Error(`--seed wants a whole number, not '${values.seed}'`);

const print = (line: string) => void process.stdout.write(`${line}\n`);
print(`seed ${seed}; fullest backend over the average: averaged over time / 99th percentile\n`);
for (const { name, says } of STRATEGIES) print(`- ${name}: ${says}`);
print(`\n| scenario | sessions a backend | ${STRATEGIES.map(({ name }) => name).join(' | ')} |`);
print(`| --- | --: | ${STRATEGIES.map(() => '--:').join(' | ')} |`);
for (const scenario of SCENARIOS.filter(({ name }) => name.includes(values.only))) {
  const spreads = STRATEGIES.map(strategy => simulate(scenario, strategy, seed));
  const cells = spreads.map(({ mean, p99 }) => `${mean.toFixed(3)} / ${p99.toFixed(3)}`);
  print(`| ${scenario.name} | ${spreads[0]?.load.toFixed(0)} | ${cells.join(' | ')} |`);
}
