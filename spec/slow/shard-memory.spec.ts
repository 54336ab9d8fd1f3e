/** Shards that die with open TLS sessions, again and again: what OpenSSL kept for these is given back. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { FAST_TRANSPORTS, loadFast } from '../../lib/transport/fast.ts';
import { faultyShards } from '../shard/faulty-shards.ts';
import { createAuthority } from '../support/certificates.ts';
import { mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import { startSmtpSink } from '../support/postfix-tools.ts';
import { startScript } from '../support/processes.ts';

const SESSIONS = 300;
/** Deaths before it is measured: threads, their heaps and their code come to stay at first. */
const FIRST = 4;
/** Deaths between two looks, and how many times they are had at most: the heap of this process moves as well. */
const DEATHS = 6;
const PARTS = 3;
/** Octets. An idle TLS session has 20,000 and more. */
const BOUND = 8_000;

for (const transport of FAST_TRANSPORTS) {
  const { reason, withoutTls } = { withoutTls: null, ...(await loadFast(transport)) };
  const skip = reason ?? withoutTls ?? needs('smtp-sink', 'openssl').skip ?? false;
  t.test(`${transport}: ${FIRST + DEATHS} times ${SESSIONS} TLS sessions, and more`, { skip }, async t => {
    const [sink, authority] = await Promise.all([
      startSmtpSink(t, { flags: ['-m', '1000'] }),
      createAuthority(t),
    ]);
    const { certFile: cert, keyFile: key } = await authority.issue({ names: ['mx.example'] });
    const shards = faultyShards(t, transport);
    const listener = { tls: { mode: 'implicit', certificates: [{ cert, key }] } };
    const settings = mx([formatAddress(sink.address)], {}, listener);
    const instance = await startInstance(t, transport, settings, shards.choice);
    const args = [formatAddress(instance.address()), `${SESSIONS}`];
    const clients = startScript(t, 'spec/slow/idle-tls-clients', args, { interactive: true });
    const sizes: number[] = [];
    const die = async (): Promise<void> => {
      const death = sizes.length + 1;
      clients.write('\n');
      await clients.printed(new RegExp(`open ${death};`));
      t.equal((await instance.metrics()).sum('smtplb_sessions_active'), SESSIONS);
      shards.suffer('exit');
      const replaced = () => instance.log.filter(({ msg }) => msg === 'the shard has been replaced').length;
      await instance.logged(`replacement ${death}`, () => replaced() === death);
      await instance.idle();
      sizes.push(process.memoryUsage.rss());
    };
    const dieOften = async (deaths: number): Promise<number> => {
      for (let times = 0; times < deaths; times++) await die();
      return sizes.at(-1) ?? 0;
    };
    let before = await dieOften(FIRST);
    let kept = Number.POSITIVE_INFINITY;
    for (let parts = 0; kept >= BOUND && parts < PARTS; parts++) {
      const after = await dieOften(DEATHS);
      kept = (after - before) / (DEATHS * SESSIONS);
      before = after;
    }
    t.comment(`resident, in MiB: ${sizes.map(size => Math.round(size / 1_048_576)).join(' ')}`);
    t.ok(kept < BOUND, `${Math.round(kept)} octets are kept for a session that was lost`);
  });
}
