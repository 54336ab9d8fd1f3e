import t from 'tap';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import { encodeProxyV1, encodeProxyV2, type ProxyV2Options } from '../../lib/proxy-protocol/encode.ts';
import { ascii, headerOf, type Random, randomAddress, randomFrom, seed } from './samples.ts';

const ROUNDS = 2_000;

function randomEnds(random: Random) {
  const address = () => randomAddress(random, random(2) === 0 ? 'ipv4' : 'ipv6');
  return { source: address(), destination: address() };
}

function randomText(random: Random): string {
  return Array.from({ length: random(20) }, () => 'aé€\0\x7f.-'[random(7)]).join('');
}

/** Each of the properties, or not. */
function some<T extends object>(random: Random, all: T): Partial<T> {
  return Object.fromEntries(Object.entries(all).filter(() => random(2) === 0)) as Partial<T>;
}

function randomOptions(random: Random): { readonly options: ProxyV2Options; readonly tlvs: object } {
  const ends =
    random(5) === 0
      ? { source: randomAddress(random, 'unix'), destination: randomAddress(random, 'unix') }
      : randomEnds(random);
  const texts = () => randomText(random);
  const named = {
    version: texts(),
    commonName: texts(),
    cipher: texts(),
    signatureAlgorithm: texts(),
    keyAlgorithm: texts(),
  };
  const tlvs = some(random, {
    uniqueId: Uint8Array.from({ length: random(129) }, () => random(256)),
    authority: texts(),
    alpn: texts(),
    tls: { client: random(8), verify: random(0xffffffff), ...some(random, named) },
  });
  return { options: { command: 'proxy', ...ends, ...tlvs, crc32c: random(2) === 0 }, tlvs };
}

t.test(`what is written is read again: version 1, seed ${seed}`, async t => {
  const random = randomFrom(seed);
  for (let round = 0; round < ROUNDS; round++) {
    const ends = randomEnds(random);
    const line = encodeProxyV1(ends);
    const expected = {
      status: 'valid',
      length: line.length,
      header: { version: 1, command: 'proxy', ...ends },
    };
    if (!t.strictSame(decodeProxyHeader(Buffer.concat([line, ascii('\r\n')])), expected)) break;
  }
});

t.test(`what is written is read again: version 2, seed ${seed}`, async t => {
  const random = randomFrom(seed);
  for (let round = 0; round < ROUNDS; round++) {
    const { options, tlvs } = randomOptions(random);
    const { source, destination } = options;
    const bytes = encodeProxyV2(options);
    const header = { version: 2, command: 'proxy', source, destination, tlvs };
    const expected = { status: 'valid', length: bytes.length, header };
    if (!t.strictSame(decodeProxyHeader(Buffer.concat([bytes, ascii('EHLO')])), expected)) break;
  }
});

/** Headers of every kind, with octets of the session behind them. */
function samples(random: Random): Uint8Array[] {
  const lines = ['PROXY UNKNOWN\r\n', 'PROXY UNKNOWN ffff::1 x y z\r\n'].map(ascii);
  const written = Array.from({ length: 20 }, () => [
    encodeProxyV1(randomEnds(random)),
    encodeProxyV2(randomOptions(random).options),
  ]);
  const local = encodeProxyV2({ command: 'local', source: null, destination: null });
  return [...lines, local, ...written.flat()];
}

t.test(`cut at every offset: incomplete until whole, then always the same, seed ${seed}`, async t => {
  for (const bytes of samples(randomFrom(seed))) {
    const whole = decodeProxyHeader(bytes);
    t.equal(whole.status, 'valid');
    const wrong = Array.from(bytes.keys()).filter(
      cut => decodeProxyHeader(bytes.subarray(0, cut)).status !== 'incomplete',
    );
    t.strictSame(wrong, []);
    const behind = Buffer.concat([bytes, ascii('EHLO client.example.net\r\n')]);
    for (let cut = bytes.length; cut <= behind.length; cut++) {
      t.strictSame(decodeProxyHeader(behind.subarray(0, cut)), whole);
    }
  }
});

t.test(`any octet changed: no throw, and invalid stays invalid whatever follows, seed ${seed}`, async t => {
  const random = randomFrom(seed);
  const statuses = new Map<string, number>();
  for (const bytes of samples(random)) {
    for (const at of bytes.keys()) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 + random(255));
      let settled = 'incomplete';
      for (let cut = 0; cut <= changed.length; cut++) {
        const { status } = decodeProxyHeader(changed.subarray(0, cut));
        if (settled !== 'incomplete' && status !== settled)
          t.fail(`${settled} became ${status} at ${cut}: ${changed.toString('hex')}`);
        settled = status;
      }
      statuses.set(settled, (statuses.get(settled) ?? 0) + 1);
      if (at < 6 && settled !== 'invalid') t.fail(`octet ${at} of a signature was changed unnoticed`);
    }
  }
  t.comment(Object.fromEntries(statuses));
  t.strictSame([...statuses.keys()].sort(), ['incomplete', 'invalid', 'valid'], 'changes of every outcome');
});

t.test(`rubbish behind either signature does not throw, seed ${seed}`, async t => {
  const random = randomFrom(seed);
  const starts = [
    ascii('PROXY TCP4 '),
    ascii('PROXY TCP6 '),
    ascii('PROXY '),
    Buffer.from('0d0a0d0a000d0a515549540a2111', 'hex'),
  ];
  for (let round = 0; round < 5 * ROUNDS; round++) {
    const start = starts[random(starts.length)] ?? ascii('');
    const rubbish = Uint8Array.from({ length: random(150) }, () =>
      random(3) ? random(256) : (ascii('0:. 1f\r\n')[random(8)] ?? 0),
    );
    if (start.length > 12 && rubbish.length > 2) rubbish[0] = 0;
    const decoded = decodeProxyHeader(Buffer.concat([start, rubbish]));
    const header = headerOf(decoded);
    if (header !== undefined) encodeProxyV2(header);
  }
  t.pass(`${5 * ROUNDS} pieces of rubbish`);
});
