/** Connections to backends that are opened before there are clients for them. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { call } from '../support/admin-api.ts';
import { createAuthority } from '../support/certificates.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import { FASTEST, type Instance, mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { needsRoot } from '../support/needs.ts';
import { startPostfix } from '../support/postfix.ts';
import {
  type Script,
  type ScriptedBackend,
  smtp,
  startScriptedBackend,
} from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const TOKEN = 'a-token';

async function warmAre(instance: Instance, count: number, backend = 'b1'): Promise<void> {
  await eventuallyEqual(
    'connections that are warm',
    async () => (await instance.metrics()).value('smtplb_backend_warm_connections', { backend }),
    count,
  );
}

async function became(instance: Instance, result: string): Promise<number> {
  return (await instance.metrics()).value('smtplb_backend_warm_total', { result }) ?? 0;
}

/** Connections that have not been let go. */
const open = ({ connections }: ScriptedBackend) =>
  connections.filter(({ closing, received }) => closing === 'open' && !received.includes('QUIT'));

for (const transport of TRANSPORTS) {
  t.test(`${transport}: a client is greeted on a connection that was there before it`, async t => {
    const backend = await startScriptedBackend(t, smtp());
    const shards = transport === 'net' ? 1 : 2;
    const settings = { ...mx([formatAddress(backend.address)], { warm: 3 }), shards };
    const instance = await startInstance(t, transport, settings);
    await warmAre(instance, 3);
    t.equal(backend.connections.length, 3, 'no more than that, over all shards');
    for (const [at, connection] of backend.connections.entries())
      t.equal(connection.octets, 0, `connection ${at} has heard nothing`);
    const client = await connectClient(t, instance.address());
    await client.expect(220);
    await client.command('EHLO client.example', 250);
    t.equal(
      backend.connections.slice(0, 3).filter(({ received }) => received.includes('EHLO client.example'))
        .length,
      1,
      'one of them, and used by nobody else',
    );
    await eventually('the one that was taken is replaced', () => backend.connections.length === 4);
    await client.command('QUIT', 221);
    client.end();
    t.match(await instance.sessions(1), [{ backend: 'b1', connectMs: 0, cause: 'normal' }]);
    t.equal(await became(instance, 'taken'), 1);
    await warmAre(instance, 3);
    await instance.stop();
    await backend.idle();
    const others = backend.connections.filter(({ received }) => !received.includes('EHLO'));
    t.strictSame(
      others.map(({ received }) => String(received)),
      ['QUIT\r\n', 'QUIT\r\n', 'QUIT\r\n'],
      'a stop says QUIT to the others',
    );
  });

  t.test(
    `${transport}: a stop says QUIT to who is still being opened, too, and opens none again`,
    async t => {
      let greet = (): void => {};
      const awaited = new Promise<void>(resolve => {
        greet = resolve;
      });
      const late: Script = async connection => {
        await awaited;
        await smtp()(connection);
      };
      const backend = await startScriptedBackend(t, [smtp(), late]);
      const instance = await startInstance(t, transport, {
        ...mx([formatAddress(backend.address)], { warm: { size: 2, maxAge: '1h' } }),
        admin: { listen: '127.0.0.1:0', token: TOKEN },
        shards: 1,
      });
      const turns = async () => (await instance.metrics()).sum('smtplb_shard_loop_lag_seconds_count');
      await backend.connection(1);
      const client = await connectClient(t, instance.address());
      await client.expect(220);
      await backend.connection(2);
      const stopped = instance.stop();
      await instance.logged('that it stops', ({ msg }) => String(msg).startsWith('stopping'));
      greet();
      for (const connection of backend.connections.slice(1)) {
        t.equal(await connection.closed, 'fin');
        t.equal(String(connection.received), 'QUIT\r\n', 'in words');
      }
      // The checks go on while the last sessions are served, and so does the operator: what they say is nobody's business.
      for (const verb of ['drain', 'ready'])
        await call(instance.admin, `/api/v1/pools/mx/backends/b1/${verb}`, { method: 'POST', token: TOKEN });
      const before = await turns();
      await eventually(
        'that it has looked whether some are missing',
        async () => (await turns()) >= before + 2,
      );
      t.equal(backend.connections.length, 3, 'none of which is taken up');
      await client.command('QUIT', 221);
      client.end();
      await stopped;
    },
  );

  t.test(`${transport}: what dies or speaks while it waits is given to nobody`, async t => {
    const backend = await startScriptedBackend(t, [
      async connection => {
        await connection.write('220 one ESMTP\r\n');
        connection.destroy();
      },
      async connection => {
        await connection.write('220 two ESMTP\r\n');
        await connection.write('421 4.4.2 two Error: timeout exceeded\r\n');
      },
      smtp({ hostName: 'three.example' }),
    ]);
    const pool = { warm: { size: 1, maxAge: '1h' }, passiveHealth: { pause: '10ms' } };
    const instance = await startInstance(t, transport, mx([formatAddress(backend.address)], pool));
    await backend.connection(2);
    await warmAre(instance, 1);
    const client = await connectClient(t, instance.address());
    await client.expect(/^220 three\.example/);
    await client.command('QUIT', 221);
    client.end();
    // What came with the greeting in one segment is no greeting; what came later ended its wait.
    t.equal((await became(instance, 'lost')) + (await became(instance, 'failed')), 2);
    await instance.sessions(1);
  });

  t.test(
    `${transport}: a backend that will not have us is tried ever more seldom, and no storm ejects it`,
    async t => {
      const backend = await startScriptedBackend(t, async connection => {
        await connection.write('421 4.7.0 too many of you\r\n');
        connection.end();
      });
      const pool = { warm: 8, passiveHealth: { failures: 3, pause: '500ms', maxPause: '1h' } };
      const instance = await startInstance(t, transport, mx([formatAddress(backend.address)], pool));
      await instance.logged('the ejection', line => /left alone|eject/.test(String(line['msg'])));
      t.equal(backend.connections.length, 3, 'one at a time, and the third is one too many');
      t.ok((await became(instance, 'failed')) >= 3);
      await warmAre(instance, 0);
    },
  );

  t.test(`${transport}: they are let go for a drained backend, and for one that has moved`, async t => {
    const backend = await startScriptedBackend(t, smtp());
    const other = await startScriptedBackend(t, smtp({ hostName: 'other.example' }));
    const settings = (address: string) => ({
      ...mx([address], { warm: { size: 2, maxAge: '1h' } }),
      admin: { listen: '127.0.0.1:0', token: TOKEN },
    });
    const instance = await startInstance(t, transport, settings(formatAddress(backend.address)));
    const verb = (name: string) =>
      call(instance.admin, `/api/v1/pools/mx/backends/b1/${name}`, { method: 'POST', token: TOKEN });
    await warmAre(instance, 2);
    t.equal((await verb('drain')).status, 200);
    await eventually('both are told', () => open(backend).length === 0);
    await warmAre(instance, 0);
    t.equal((await verb('ready')).status, 200);
    await warmAre(instance, 2);
    instance.configure(settings(formatAddress(other.address)));
    t.equal((await call(instance.admin, '/api/v1/reload', { method: 'POST', token: TOKEN })).status, 200);
    await eventually('they are told', () => open(backend).length === 0);
    await warmAre(instance, 2);
    t.equal(other.connections.length, 2);
    const client = await connectClient(t, instance.address());
    await client.expect(/^220 other\.example/);
    await client.command('QUIT', 221);
    client.end();
    await instance.sessions(1);
  });

  t.test(
    `${transport}: sessions and warm connections have maxConnections together, and age renews them`,
    async t => {
      const backend = await startScriptedBackend(t, smtp());
      const limited = { address: formatAddress(backend.address), maxConnections: 2 };
      const pool = { warm: { size: 5, maxAge: '1s' } };
      const instance = await startInstance(t, transport, mx([limited], pool));
      await warmAre(instance, 2);
      await eventually('both are renewed', () => backend.connections.length >= 4);
      const client = await connectClient(t, instance.address());
      await client.expect(220);
      await warmAre(instance, 1);
      // One that is renewed is gone for a moment.
      await eventuallyEqual('as many as there may be', () => open(backend).length, 2);
      t.ok((await became(instance, 'expired')) >= 2);
      await client.command('QUIT', 221);
      client.end();
      await warmAre(instance, 2);
      const let_go = backend.connections.filter(({ closing }) => closing !== 'open');
      t.ok(let_go.every(({ received }) => received.includes('QUIT')));
    },
  );

  t.test(
    `${transport}: XCLIENT to one that died as it was taken: dialled anew, and the client sees one greeting`,
    async t => {
      const xclient = smtp({ hostName: 'two.example', capabilities: ['XCLIENT ADDR PORT'] });
      const backend = await startScriptedBackend(t, [
        async connection => {
          await connection.write('220 one ESMTP\r\n');
          await connection.until('EHLO lb.example\r\n');
          await connection.write('250-one\r\n250 XCLIENT ADDR PORT\r\n');
          await connection.until('XCLIENT');
          connection.reset();
        },
        async connection => {
          await connection.write('220 two.example ESMTP\r\n');
          await connection.until('EHLO lb.example\r\n');
          await connection.write('250-two\r\n250 XCLIENT ADDR PORT\r\n');
          await connection.until(/XCLIENT ADDR=127\.0\.0\.7 PORT=\d+\r\n/);
          await xclient(connection);
        },
      ]);
      const pool = { identity: 'xclient', warm: { size: 1, maxAge: '1h' } };
      const settings = { ...mx([formatAddress(backend.address)], pool), shards: 1 };
      const instance = await startInstance(t, transport, settings);
      await warmAre(instance, 1);
      const client = await connectClient(t, instance.address(), { from: '127.0.0.7' });
      await client.expect(/^220 two\.example/);
      t.equal(client.pending(), '');
      await client.command('QUIT', 221);
      client.end();
      t.match(await instance.sessions(1), [{ backend: 'b1', retries: [] }]);
      t.equal(await became(instance, 'lost'), 1);
    },
  );
}

t.test(
  'Postfix knows the client over TLS and XCLIENT, and has nothing to complain of',
  needsRoot('postfix', 'openssl'),
  async t => {
    const authority = await createAuthority(t);
    const { certFile, keyFile } = await authority.issue({ names: ['mx.example'] });
    const postfix = await startPostfix(t, {
      main: [
        'smtpd_authorized_xclient_hosts = 127.0.0.1',
        'smtpd_tls_security_level = may',
        `smtpd_tls_cert_file = ${certFile}`,
        `smtpd_tls_key_file = ${keyFile}`,
      ],
    });
    for (const mode of ['none', 'starttls']) {
      const tls = mode === 'none' ? { mode } : { mode, ca: authority.certFile, serverName: 'mx.example' };
      const warming = async (maxAge: string) => {
        const pool = { identity: 'xclient', xclient: { required: true }, tls, warm: { size: 2, maxAge } };
        return startInstance(t, FASTEST, mx([formatAddress(postfix.address)], pool));
      };
      const instance = await warming('1h');
      await warmAre(instance, 2);
      const from = mode === 'none' ? '127.0.0.7' : '127.0.0.8';
      const client = await connectClient(t, instance.address(), { from });
      await client.expect(/^220 mx\.example ESMTP Postfix.*\r\n$/);
      const { raw } = await client.command('EHLO client.example', 250);
      t.notMatch(raw, /XCLIENT|STARTTLS/, 'not for the client');
      await client.deliver();
      await client.command('QUIT', 221);
      client.end();
      await postfix.logged(new RegExp(`client=unknown\\[${from.replaceAll('.', '\\.')}\\]`));
      t.match(await instance.sessions(1), [
        { connectMs: 0, ...(mode === 'starttls' && { backendTls: /TLS/ }) },
      ]);
      await instance.stop();
      const renewing = await warming('1s');
      await eventually('some are renewed', async () => (await became(renewing, 'expired')) >= 2);
      await warmAre(renewing, 2);
      await renewing.stop();
    }
    t.notMatch(await postfix.log(), /lost connection|timeout|warning:/);
  },
);
