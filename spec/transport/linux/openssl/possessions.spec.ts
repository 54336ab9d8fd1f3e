/** What a thread owns of OpenSSL's, as who survives it finds it noted. */
import t from 'tap';
import type { Place, Releases } from '../../../../lib/transport/linux/openssl/calls.ts';
import {
  createPossessions,
  freeAbandoned,
  openPossessions,
} from '../../../../lib/transport/linux/openssl/possessions.ts';

/** Says what was freed, in order. */
function witness(): { readonly freed: string[]; readonly releases: Releases } {
  const freed: string[] = [];
  const of = (kind: string) => (place: Place) => void freed.push(`${kind} ${place}`);
  return { freed, releases: { sslFree: of('session'), contextFree: of('context'), storeFree: of('store') } };
}

const place = (address: number): Place => address as Place;

t.test('what was not struck out is freed once, sessions first', async t => {
  const memory = openPossessions();
  const owned = createPossessions(memory);
  owned.note('store', place(0x7fff_0000_0010));
  owned.note('context', place(0x7fff_0000_0020));
  const gone = owned.note('session', place(0x7fff_0000_0030));
  owned.note('session', place(0x7fff_0000_0040));
  owned.strike('session', gone);
  t.equal(owned.note('session', place(0x7fff_0000_0050)), gone, 'its place is used again');
  const { freed, releases } = witness();
  t.equal(freeAbandoned(memory, releases), 4);
  t.strictSame(freed, [
    `session ${0x7fff_0000_0050}`,
    `session ${0x7fff_0000_0040}`,
    `context ${0x7fff_0000_0020}`,
    `store ${0x7fff_0000_0010}`,
  ]);
  t.equal(freeAbandoned(memory, releases), 0);
  t.equal(freed.length, 4, 'and never again');
});

t.test('where there is no room for more, the rest is nobody else’s', async t => {
  const memory = openPossessions();
  const owned = createPossessions(memory);
  const first = owned.note('store', place(16));
  const second = owned.note('store', place(32));
  t.equal(second, -1);
  owned.strike('store', second);
  const { freed, releases } = witness();
  freeAbandoned(memory, releases);
  t.strictSame(freed, ['store 16']);
  t.equal(first, 0);
});
