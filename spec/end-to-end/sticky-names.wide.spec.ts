/** Clients remembered by a name they give: the server's in TLS, their own in EHLO; where it is known in time. */
import t, { type Test } from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { createAuthority } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import {
  FASTEST,
  type Instance,
  type Settings,
  startInstance,
  type TransportName,
  WITH_NET,
} from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startRedis } from '../support/redis.ts';
import {
  type Script,
  type ScriptedBackend,
  smtp,
  startScriptedBackend,
} from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { connectTls } from '../support/tls-client.ts';
import { clientHello, opens } from './routed.ts';

const programs = needs('redis-server', 'redis-cli', 'openssl');
const NAMES = Array.from({ length: 6 }, (_, at) => `tenant${at}.example`);

/** Which backend serves a session with that name. */
type Serve = (owner: Owner, instance: Instance, name: string) => Promise<string>;

interface Case {
  readonly by: 'server-name' | 'hello-name';
  readonly listener: object;
  readonly script: (name: string) => Script;
  readonly serve: Serve;
}

/** The client speaks TLS from its first byte. */
async function implicit(owner: Owner): Promise<Case> {
  const { certFile, keyFile } = await createAuthority(owner).then(ca => ca.issue({ names: ['*.example'] }));
  return {
    by: 'server-name',
    listener: { tls: { mode: 'implicit', certificates: [{ cert: certFile, key: keyFile }] } },
    script: name => smtp({ hostName: `${name}.example` }),
    async serve(owner, instance, servername) {
      const client = await connectTls(owner, instance.address(), { servername });
      const { raw } = await client.expect(220);
      await client.command('QUIT', 221);
      client.end();
      return /220 (\w+)\./.exec(raw)?.[1] ?? raw;
    },
  };
}

/** It asks for STARTTLS, and its handshake goes to the backend as it is; who it is it has said before, in EHLO. */
function routed(by: Case['by'], hellos: ReadonlyMap<string, Buffer>): Case {
  return {
    by,
    listener: { tls: { routeBy: 'server-name' } },
    script: opens,
    async serve(owner, instance, name) {
      const client = await connectClient(owner, instance.address());
      await client.expect(220);
      await client.command(`EHLO ${by === 'hello-name' ? name : 'client.example'}`, 250);
      await client.command('STARTTLS', 220);
      await client.write(hellos.get(by === 'server-name' ? name : 'a.example') as Buffer);
      const answer = await client.until(/b\d/);
      client.reset();
      return answer;
    },
  };
}

const settings = (
  instance: string,
  backends: readonly ScriptedBackend[],
  port: number,
  { by, listener }: Case,
): Settings => ({
  instance,
  cluster: { name: 'edge', redis: `redis://127.0.0.1:${port}` },
  listeners: [{ name: 'mx', pool: 'mx', ...listener }],
  pools: [
    {
      name: 'mx',
      sticky: { by, timeout: '1s' },
      backends: backends.map(({ address }, at) => ({ name: `b${at + 1}`, address: formatAddress(address) })),
    },
  ],
});

async function served(owner: Owner, instance: Instance, { serve }: Case): Promise<string[]> {
  const found: string[] = [];
  for (const name of NAMES) found.push(await serve(owner, instance, name));
  return found;
}

async function remembers(t: Test, transport: TransportName, one: Case): Promise<void> {
  const { port, cli } = await startRedis(t);
  const backends = await Promise.all(
    ['b1', 'b2', 'b3'].map(name => startScriptedBackend(t, one.script(name))),
  );
  const a = await startInstance(t, transport, settings('a', backends.slice(0, 2), port, one));
  const isReachable = (instance: Instance) =>
    instance.logged('redis', ({ msg }) => msg === 'redis is reachable');
  await isReachable(a);
  const learnt = await served(t, a, one);
  t.equal(new Set(learnt).size, 2, 'each name has a backend, and not all the same');
  const keys = await eventually('all of them in Redis', async () => {
    const found = (await cli('keys', '*sticky*')).split('\n').sort();
    return found.length === NAMES.length && found;
  });
  const prefix = one.by === 'server-name' ? 'sni' : 'ehlo';
  t.same(
    keys,
    NAMES.map(name => `smtplb:{edge}:sticky:mx:${prefix}:${name}`),
  );

  // The third backend would have a third of the names, if the hash were asked.
  const b = await startInstance(t, transport, settings('b', backends, port, one));
  await isReachable(b);
  t.same(await served(t, b, one), learnt, 'another instance goes by what the first has learnt');
  t.equal(
    (await b.metrics()).value('smtplb_sticky_lookups_total', { pool: 'mx', result: 'redis' }),
    NAMES.length,
  );
}

t.test('by server name, TLS that ends here', programs, async t => {
  await remembers(t, FASTEST, await implicit(t));
});

for (const [at, by] of (['server-name', 'hello-name'] as const).entries()) {
  const transport = WITH_NET[at % WITH_NET.length] ?? FASTEST;
  t.test(`${transport}: by ${by}, STARTTLS passed through`, programs, async t => {
    const hellos = new Map<string, Buffer>();
    for (const name of [...NAMES, 'a.example']) hellos.set(name, await clientHello(t, name));
    await remembers(t, transport, routed(by, hellos));
  });
}
