import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { printable } from '../../lib/core/text.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { everywhere, pieces } from '../smtp/replay.ts';
import type { Step, Transcript } from '../smtp/transcript.ts';
import { TRANSCRIPTS } from '../smtp/transcripts.ts';
import { eventually } from '../support/eventually.ts';
import { type Instance, type LogLine, mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { type ScriptedBackend, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

/** How a step's text is cut into segments. */
type Cuts = (step: Step) => readonly number[];

/** Sessions that smtplb ends itself are told in greeting.spec.ts and foreign.wide.spec.ts. */
const PASSED_ON = TRANSCRIPTS.filter(({ expected }) => expected.phase !== 'refused');
const ENDED = TRANSCRIPTS.filter(({ expected }) => expected.phase === 'refused');
/** Byte by byte would be 16,000 segments. */
const LONG_OCTETS = 4_000;

/** What a record says of the handshake: it must not depend on the cuts. */
const LEARNT = ['greetingCode', 'hello', 'helloName', 'capabilities', 'starttls', 'cause', 'phase'] as const;

interface Played {
  /** Whose record it is: the client as the record names it. */
  readonly client: string;
  readonly atClient: string;
  readonly atBackend: string;
}

/** Plays a transcript through the balancer; each step has arrived before the next, but for words before the greeting. */
async function play(
  owner: Owner,
  instance: Instance,
  backend: ScriptedBackend,
  number: number,
  steps: readonly Step[],
  cuts: Cuts,
): Promise<Played> {
  const client = await connectClient(owner, instance.address());
  const server = await backend.connection(number);
  const sent = { client: 0, backend: 0 };
  const arrived = () =>
    server.octets === sent.client && client.octets === sent.backend && client.closing === 'open';
  for (const step of steps) {
    const from = step.from === 'client' ? client : server;
    await from.writePieces(pieces(step.text, cuts(step)).filter(piece => piece !== ''));
    sent[step.from] += step.text.length;
    if (sent.backend > 0)
      await eventually(`${step.from}: ${JSON.stringify(step.text.slice(0, 40))}`, arrived);
  }
  client.end();
  await server.expectClosed('fin');
  server.end();
  await client.expectClosed('fin');
  return {
    client: `127.0.0.1:${client.ports.local}`,
    atClient: client.received.toString('latin1'),
    atBackend: server.received.toString('latin1'),
  };
}

function said(by: Step['from'], { steps }: Transcript): string {
  return steps.map(step => (step.from === by ? step.text : '')).join('');
}

for (const transport of TRANSPORTS) {
  t.test(`${transport}: every transcript passes through unchanged, however it is cut`, async t => {
    const seed = seedOfRun();
    const random = randomFrom(seed);
    const someCuts: Cuts = ({ text }) => {
      const offsets = Array.from({ length: 1 + random.below(5) }, () => random.below(text.length + 1));
      return [...new Set(offsets)].sort((a, b) => a - b);
    };
    const ways: readonly (readonly [string, Cuts])[] = [
      ['in one piece', () => []],
      ['byte by byte', step => (step.text.length > LONG_OCTETS ? someCuts(step) : everywhere(step))],
      ['cut at random', someCuts],
      ['cut at random again', someCuts],
    ];
    const backend = await startScriptedBackend(t, () => {});
    const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
    const all: { readonly transcript: Transcript; readonly way: string; readonly played: Played }[] = [];
    for (const transcript of PASSED_ON) {
      for (const [way, cuts] of ways) {
        const played = await play(t, instance, backend, all.length, transcript.steps, cuts);
        all.push({ transcript, way, played });
      }
    }
    // In their order: some client may have been given a port that another had before.
    const records = new Map<unknown, LogLine[]>();
    for (const record of await instance.sessions(all.length))
      records.set(record['client'], [...(records.get(record['client']) ?? []), record]);

    let octets = 0;
    for (const transcript of PASSED_ON) {
      const wrong: string[] = [];
      const learnt = new Set<string>();
      for (const { way, played } of all.filter(one => one.transcript === transcript)) {
        const { client, atClient, atBackend } = played;
        if (atClient !== said('backend', transcript)) wrong.push(`${way}: at the client`);
        if (atBackend !== said('client', transcript)) wrong.push(`${way}: at the backend`);
        const record = records.get(client)?.shift();
        if (record?.['bytesFromClient'] !== atBackend.length) wrong.push(`${way}: counted from the client`);
        if (record?.['bytesFromBackend'] !== atClient.length) wrong.push(`${way}: counted from the backend`);
        learnt.add(JSON.stringify(LEARNT.map(key => record?.[key])));
        octets += atClient.length + atBackend.length;
      }
      t.strictSame(wrong, [], `${transcript.name}: octets`);
      const { code, hello, name, capabilities, starttls } = transcript.expected;
      const expected = [code, hello, printable(name), capabilities, starttls, 'normal', 'relaying'];
      t.strictSame([...learnt], [JSON.stringify(expected)], `${transcript.name}: record`);
    }
    await instance.idle();
    t.comment(
      `SMTPLB_SEED=${seed}: ${PASSED_ON.length} transcripts, ${all.length} sessions, ${octets} octets`,
    );
  });

  t.test(
    `${transport}: a transcript that must not go on ends, however it is cut, with the same cause`,
    async t => {
      const backend = await startScriptedBackend(t, () => {});
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(backend.address)], { passiveHealth: { failures: 1_000 } }),
      );
      let number = 0;
      for (const { name, steps, expected } of ENDED) {
        for (const cuts of [() => [], everywhere] satisfies Cuts[]) {
          const client = await connectClient(t, instance.address());
          const server = await backend.connection(number++);
          for (const step of steps) {
            const from = step.from === 'client' ? client : server;
            await from.writePieces(pieces(step.text, step.text.length > LONG_OCTETS ? [] : cuts(step)));
          }
          await Promise.all([client.closed, server.closed]);
          client.destroy();
          server.destroy();
          const record = (await instance.sessions(number)).at(-1);
          const cause = expected.fault === 'foreign-protocol' ? 'foreign-protocol' : 'backend-protocol';
          t.match(record, { cause }, `${name}: ${record?.['termination']}`);
          const heard = client.received.toString('latin1');
          const words = steps.map(step => (step.from === 'backend' ? step.text : '')).join('');
          t.ok(
            words.startsWith(heard) || /^421 4\.3\.2 lb\.example [^\r]+\r\n$/.test(heard),
            'no word made up',
          );
          const asked = steps.map(step => (step.from === 'client' ? step.text : '')).join('');
          t.ok(asked.startsWith(server.received.toString('latin1')));
        }
      }
      await instance.idle();
      t.comment(`${ENDED.length} transcripts, ${number} sessions`);
    },
  );
}
