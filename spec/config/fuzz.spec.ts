// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of the configuration look like that
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { formatFault } from '../../lib/config/faults.ts';
import { loadConfigText } from '../../lib/config/load.ts';
import { warnings } from '../../lib/config/warnings.ts';

const ROUNDS = 1_500;
const env = { SMTPLB_ADMIN_TOKEN: 'token' };

/** Numbers from a seed (mulberry32), so that a failure can be replayed. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const SCRAPS = [
  ...'\n\t :-,[]{}#&*!|>\'"%@`?0\0\u2028\ufeff\ud800',
  '\n---\n',
  '&a ',
  '*a',
  '<<: ',
  '${',
  '${SMTPLB_ADMIN_TOKEN}',
  '__proto__: 1\n',
  '!!binary ',
  '.nan',
  '-1',
  '1e999',
  'null',
  '\r\n',
  '%YAML 1.1\n---\n',
];

function mutate(text: string, below: (below: number) => number): string {
  let mutated = text;
  for (let times = 1 + below(4); times > 0; times--) {
    const [from, length] = [below(mutated.length + 1), below(30)];
    const [head, tail] = [mutated.slice(0, from), mutated.slice(from)];
    const cut = tail.slice(length);
    const other = below(mutated.length + 1);
    const kinds = [
      head + cut,
      head + (SCRAPS[below(SCRAPS.length)] ?? '') + tail,
      head + (SCRAPS[below(SCRAPS.length)] ?? '') + cut,
      head + mutated.slice(other, other + below(200)) + tail,
      head,
    ];
    mutated = kinds[below(kinds.length)] ?? '';
  }
  return mutated;
}

t.test('whatever the text is, it is a configuration or has faults with places', async t => {
  const { SMTPLB_FUZZ_SEED: seed = '1' } = process.env;
  const below = numbers(Number(seed));
  const examples = await Promise.all(
    ['full', 'postfix', 'quick-start'].map(name => readFile(`examples/${name}.yaml`, 'utf8')),
  );
  const count = { good: 0, bad: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const text = mutate(examples[below(examples.length)] ?? '', below);
    const loaded = loadConfigText(text, 'f', env);
    if (loaded.ok) {
      count.good++;
      const places = warnings(loaded.config).map(({ path }) => loaded.locate(path));
      if (!places.every(isPlace)) t.fail('a place', { seed, round, text });
    } else {
      count.bad++;
      const fine = loaded.faults.every(
        fault => isPlace(fault) && /^f:\d+:\d+: [^\n\0]+$/.test(formatFault(fault)),
      );
      if (loaded.faults.length === 0 || !fine) t.fail('faults', { seed, round, text, faults: loaded.faults });
    }
  }
  t.ok(count.good > 0 && count.bad > 0, `${count.good} good and ${count.bad} bad ones`);
});

function isPlace({ line, column }: { line: number; column: number }): boolean {
  return Number.isInteger(line) && line >= 1 && Number.isInteger(column) && column >= 1;
}
