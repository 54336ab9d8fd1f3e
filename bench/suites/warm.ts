import { startServer } from '../scripts.ts';
import { direct } from '../subjects/direct.ts';
import { haproxy } from '../subjects/haproxy.ts';
import { smtplbSubject } from '../subjects/smtplb.ts';
import type { Surroundings } from '../subjects/subject.ts';
import { farGreeting } from '../workloads/warm.ts';
import type { Suite } from './suite.ts';

const ONE_WAY_MS = 20;

/** The suite's backends, far away. */
async function prepare(surroundings: Surroundings): Promise<Surroundings> {
  const [first, ...others] = surroundings.backends;
  const away = async ({ host, port }: typeof first) => {
    const args = [host, String(port), String(ONE_WAY_MS)];
    return (await startServer(surroundings.children, 'far-backend.ts', args)).address;
  };
  return { ...surroundings, backends: [await away(first), ...(await Promise.all(others.map(away)))] };
}

/** Backends that are far away, and connections to them that are opened ahead of clients. */
export const warm: Suite = {
  name: 'warm',
  says: `backends ${ONE_WAY_MS} ms away in each direction, with and without connections opened ahead`,
  subjects: [
    direct,
    smtplbSubject({ name: 'smtplb-cold', usual: true }),
    smtplbSubject({ name: 'smtplb-warm', usual: true, pool: { warm: 8 } }),
    haproxy,
  ],
  workloads: [farGreeting],
  base: haproxy.name,
  nothing: undefined,
  prepare,
};
