/**
 * Everybody who speaks the PROXY protocol with everybody: senders in front of smtplb, versions out, receivers behind.
 * Each cell is one session of a client with an address of its own, and is good when the receiver names that address.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { formatAddress, type IpAddress } from '../../lib/core/address.ts';
import { startAiosmtpd } from '../support/aiosmtpd.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress } from '../support/free-port.ts';
import { type Forward, startHaproxy } from '../support/haproxy.ts';
import { ABOVE_TRANSPORTS, startInstance } from '../support/instance.ts';
import { needsRoot } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startPostfix } from '../support/postfix.ts';
import { start } from '../support/processes.ts';
import { type Script, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { swaks } from '../support/swaks.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const RECEIVERS = ['smtpd', 'postscreen', 'haproxy', 'aiosmtpd'] as const;
const VERSIONS = ['v1', 'v2'] as const;
const SENDERS = ['swaks v1', 'swaks v2', 'haproxy v1', 'haproxy v2', 'nginx v1'] as const;

interface Receiver {
  readonly address: IpAddress;
  /** Addresses of clients as it knows them so far. */
  clients(): Promise<readonly string[]>;
}

const sending = (version: 'v1' | 'v2') => (version === 'v1' ? 'send-proxy' : 'send-proxy-v2');

/** nginx sends version 1 only. */
async function startNginx(owner: Owner, forwards: readonly Forward[]): Promise<void> {
  const folder = await temporaryDirectory(owner);
  const listens = forwards.map(
    ({ from, to }) =>
      `server { listen ${formatAddress(from)}; proxy_pass ${formatAddress(to)}; proxy_protocol on; }`,
  );
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n' +
      `daemon off;\nmaster_process off;\npid ${folder}/nginx.pid;\nerror_log ${folder}/error.log;\n` +
      `events {}\nstream {\n  ${listens.join('\n  ')}\n}\n`,
  );
  const program = start(owner, 'nginx', ['-p', folder, '-e', `${folder}/error.log`, '-c', file]);
  await Promise.all(forwards.map(({ from }) => program.accepting(from)));
}

/** What HAProxy has understood of a header it passes on in a header of its own. */
const behindHaproxy: Script = async connection => {
  await connection.until(/^PROXY [^\r]*\r\n/);
  await smtp()(connection);
};

async function receivers(owner: Owner): Promise<Record<(typeof RECEIVERS)[number], Receiver>> {
  const smtpd = await startPostfix(owner, { proxyProtocol: true });
  const screened = await startPostfix(owner, { proxyProtocol: true, postscreen: true });
  const aiosmtpd = await startAiosmtpd(owner);
  const behind = await startScriptedBackend(owner, behindHaproxy);
  const front = await freeAddress();
  await startHaproxy(owner, [
    { from: front, to: behind.address, bindOptions: 'accept-proxy', serverOptions: sending('v1') },
  ]);
  return {
    smtpd,
    postscreen: {
      address: screened.address,
      async clients() {
        const seen = (await screened.log()).matchAll(/postscreen\[\d+\]: CONNECT from \[([^\]]+)\]/g);
        return Array.from(seen, ([, client = '']) => client);
      },
    },
    haproxy: {
      address: front,
      clients: async () =>
        behind.connections.map(({ received }) => /^PROXY TCP4 (\S+)/.exec(received.toString())?.[1] ?? ''),
    },
    aiosmtpd: {
      address: aiosmtpd.address,
      clients: async () => aiosmtpd.clients().map(client => client.slice(0, client.lastIndexOf(':'))),
    },
  };
}

for (const transport of ABOVE_TRANSPORTS) {
  t.test(
    `${transport}: every sender, every version, every receiver`,
    needsRoot('postfix', 'haproxy', 'nginx', 'swaks'),
    async t => {
      const receiving = await receivers(t);
      const columns = RECEIVERS.flatMap(receiver => VERSIONS.map(out => ({ receiver, out })));
      const instance = await startInstance(t, transport, {
        listeners: columns.map(({ receiver, out }) => ({
          name: `${receiver}-${out}`,
          pool: `${receiver}-${out}`,
          proxyProtocol: { from: ['127.0.0.0/8'] },
        })),
        pools: columns.map(({ receiver, out }) => ({
          name: `${receiver}-${out}`,
          identity: `proxy-${out}`,
          backends: [{ address: formatAddress(receiving[receiver].address) }],
        })),
      });
      const listeners = columns.map(
        ({ receiver, out }) => instance.address(`${receiver}-${out}`) as IpAddress,
      );
      const forwards = async (version: 'v1' | 'v2'): Promise<Forward[]> =>
        Promise.all(
          listeners.map(async to => ({ from: await freeAddress(), to, serverOptions: sending(version) })),
        );
      const fronts = {
        'haproxy v1': await forwards('v1'),
        'haproxy v2': await forwards('v2'),
        'nginx v1': await forwards('v1'),
      };
      await startHaproxy(t, [...fronts['haproxy v1'], ...fronts['haproxy v2']]);
      await startNginx(t, fronts['nginx v1']);

      /** One session by way of `sender` to a column; resolves with whether the receiver knew the client. */
      const cell = async (
        sender: (typeof SENDERS)[number],
        row: number,
        column: number,
      ): Promise<boolean> => {
        const { receiver } = columns[column] as (typeof columns)[number];
        const client = sender.startsWith('swaks')
          ? `192.0.2.${10 * row + column}`
          : `127.7.${row}.${column + 1}`;
        if (sender === 'swaks v1' || sender === 'swaks v2') {
          await sendBySwaks(t, listeners[column] as IpAddress, sender, client);
        } else {
          const peer = await connectClient(t, fronts[sender][column]?.from as IpAddress, { from: client });
          await peer.expect(220);
          await peer.command('QUIT', 221);
          peer.end();
        }
        return eventually(`${receiver} to know ${client} by ${sender}`, async () =>
          (await receiving[receiver].clients()).includes(client),
        );
      };

      const table = await Promise.all(
        SENDERS.map((sender, row) => Promise.all(columns.map((_, column) => cell(sender, row, column)))),
      );
      const width = 14;
      const line = (cells: readonly string[]) => cells.map(text => text.padEnd(width)).join('');
      t.comment(line(['in \\ out', ...columns.map(({ receiver, out }) => `${receiver} ${out}`)]));
      for (const [row, sender] of SENDERS.entries()) {
        t.comment(line([sender, ...columns.map((_, column) => (table[row]?.[column] ? 'ok' : 'FAILED'))]));
      }
      t.ok(
        table.flat().every(good => good),
        `${table.flat().length} cells`,
      );
      await instance.idle();
    },
  );
}

async function sendBySwaks(
  owner: Owner,
  listener: IpAddress,
  sender: 'swaks v1' | 'swaks v2',
  client: string,
): Promise<void> {
  const header =
    sender === 'swaks v1'
      ? ['--proxy-version', '1', '--proxy-family', 'TCP4']
      : ['--proxy-version', '2', '--proxy-family', 'AF_INET', '--proxy-protocol', 'STREAM'];
  const ends = ['--proxy-source', client, '--proxy-source-port', '5050', '--proxy-dest', '198.51.100.1'];
  const { exitCode, stdout, stderr } = await swaks(owner, {
    server: listener,
    extra: [...header, ...ends, '--proxy-dest-port', '25', '--quit-after', 'EHLO'],
  });
  if (exitCode !== 0) throw new Error(`swaks ended with ${exitCode}: ${stdout}${stderr}`);
}
