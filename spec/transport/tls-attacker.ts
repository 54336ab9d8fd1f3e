/** A TLS client that, once the handshake is whole, says what it likes: any record, well sealed or not. */
import { createCipheriv, createHmac } from 'node:crypto';
import { connect as connectPlain, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { IpAddress } from '../../lib/core/address.ts';
import { createAuthority } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import type { Owner } from '../support/owner.ts';
import { openWorld, type Side, type TransportName, type World } from './peers.ts';
import { serverSettings } from './tls-settings.ts';

/** Types of records (RFC 8446 section 5.1). */
export const RECORD = { CHANGE: 20, ALERT: 21, HANDSHAKE: 22, DATA: 23 } as const;
export const CLOSE_NOTIFY = Uint8Array.of(1, 0);

export interface Attacker {
  /** What bytes go through; `seal` them first, or do not. */
  readonly socket: Socket;
  /** Hears what the server answers; writes no more. */
  readonly tls: TLSSocket;
  /** The next record, as the server expects it. `padding`: zeros behind the content (TLS 1.3). */
  seal(type: number, content: Uint8Array, padding?: number): Buffer;
  /** TLS 1.3: a KeyUpdate (RFC 8446 section 4.6.3); what is sealed next has the new keys. `asking`: for one of the server's. */
  updateKeys(asking: boolean): Buffer;
}

type Version = 'TLSv1.2' | 'TLSv1.3';

/** A transport that such clients connect to. */
export interface Attacked {
  readonly world: World;
  /** One more client, and the server's side of it, when the handshake is whole. */
  begin(version: Version): Promise<{ readonly attacker: Attacker; readonly accepted: Side }>;
}

/** Needs openssl. */
export async function openAttacked(owner: Owner, name: TransportName): Promise<Attacked> {
  const authority = await createAuthority(owner);
  const settings = serverSettings([
    await authority.issue({ names: ['mx.example.net'] }),
    await authority.issue({ names: ['mx.example.net'], type: 'rsa' }),
  ]);
  const world = openWorld(owner, name, true);
  const listening = await world.listen();
  const { port } = listening.address as IpAddress;
  return {
    world,
    async begin(version) {
      const socket = connectPlain(port, '127.0.0.1').setNoDelay(true);
      socket.on('error', () => {});
      owner.teardown(() => socket.destroy());
      const accepted = await listening.accept();
      world.transport.secure?.(accepted.connection, {
        role: 'server',
        settingsFor: () => settings,
        clientCertificates: 'ignored',
      });
      const attacker = await attack(owner, socket, version);
      await accepted.told.came('secure');
      return { attacker, accepted };
    },
  };
}

/** The next record with bytes of the client's. */
export function data({ seal }: Attacker, said: string, padding = 0): Buffer {
  return seal(RECORD.DATA, Buffer.from(said), padding);
}

/** Shakes hands on a connected socket; resolves when that is done. */
async function attack(owner: Owner, socket: Socket, version: Version): Promise<Attacker> {
  let serverRandom: Buffer | null = null;
  const wire = new Duplex({
    read() {},
    write(bytes, _encoding, done) {
      socket.write(bytes, () => done());
    },
  });
  wire.on('error', () => {});
  socket.on('data', bytes => {
    serverRandom ??= Buffer.from(bytes.subarray(11, 43)); // of the ServerHello
    wire.push(bytes);
  });
  socket.on('end', () => wire.push(null));
  socket.on('close', () => wire.destroy());
  const tls = connectTls({
    socket: wire,
    rejectUnauthorized: false,
    minVersion: version,
    maxVersion: version,
    ciphers:
      'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:AES128-GCM-SHA256',
  });
  tls.on('error', () => {});
  owner.teardown(() => tls.destroy());
  const secrets = new Map<string, readonly Buffer[]>();
  tls.on('keylog', (line: Buffer) => {
    const [label = '', ...values] = String(line).trim().split(' ');
    secrets.set(
      label,
      values.map(value => Buffer.from(value, 'hex')),
    );
  });
  const label = version === 'TLSv1.3' ? 'CLIENT_TRAFFIC_SECRET_0' : 'CLIENT_RANDOM';
  const [random, secret] = await eventually(
    'the handshake',
    () => tls.getPeerCertificate()?.subject && secrets.get(label),
  );
  const sealer =
    version === 'TLSv1.3'
      ? modernSealer(secret as Buffer)
      : { ...classicSealer(secret as Buffer, random as Buffer, serverRandom as unknown as Buffer) };
  return { socket, tls, ...sealer };
}

type Sealer = Pick<Attacker, 'seal' | 'updateKeys'>;

/** RFC 8446 sections 5.2 and 7.3. */
function modernSealer(first: Buffer): Sealer {
  let secret = first;
  let sequence = 0;
  const expand = (label: string, octets: number): Buffer => expandLabel(secret, label, octets);
  const seal: Attacker['seal'] = (type, content, padding = 0) => {
    const inner = Buffer.concat([content, Uint8Array.of(type), new Uint8Array(padding)]);
    const header = headerOf(RECORD.DATA, inner.length + 16);
    const nonce = expand('iv', 12);
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ sequence++) >>> 0, 8);
    const cipher = createCipheriv('aes-128-gcm', expand('key', 16), nonce).setAAD(header);
    return Buffer.concat([header, cipher.update(inner), cipher.final(), cipher.getAuthTag()]);
  };
  return {
    seal,
    updateKeys(asking) {
      const record = seal(RECORD.HANDSHAKE, Uint8Array.of(24, 0, 0, 1, asking ? 1 : 0));
      secret = expand('traffic upd', 32);
      sequence = 0;
      return record;
    },
  };
}

function expandLabel(secret: Buffer, label: string, octets: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Uint8Array.of(0, octets, name.length), name, Uint8Array.of(0)]);
  // Expand without extract: one block of HMAC is enough for all lengths here.
  return createHmac('sha256', secret).update(info).update(Uint8Array.of(1)).digest().subarray(0, octets);
}

/** RFC 5246 sections 5 and 6.3, RFC 5288. */
function classicSealer(master: Buffer, clientRandom: Buffer, serverRandom: Buffer): Sealer {
  const seed = Buffer.concat([Buffer.from('key expansion'), serverRandom, clientRandom]);
  const blocks: Buffer[] = [];
  let a: Buffer = seed;
  while (blocks.length < 2) {
    a = createHmac('sha256', master).update(a).digest();
    blocks.push(createHmac('sha256', master).update(a).update(seed).digest());
  }
  const keys = Buffer.concat(blocks);
  let sequence = 1n; // the Finished was the first
  return {
    seal(type, content) {
      const number = Buffer.alloc(8);
      number.writeBigUInt64BE(sequence++);
      const aad = Buffer.concat([number, headerOf(type, content.length)]);
      const nonce = Buffer.concat([keys.subarray(32, 36), number]);
      const cipher = createCipheriv('aes-128-gcm', keys.subarray(0, 16), nonce).setAAD(aad);
      const sealed = Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
      return Buffer.concat([headerOf(type, 8 + sealed.length), number, sealed]);
    },
    updateKeys() {
      throw new Error('TLS 1.2 knows no KeyUpdate');
    },
  };
}

function headerOf(type: number, octets: number): Buffer {
  return Buffer.from([type, 3, 3, octets >> 8, octets & 255]);
}
