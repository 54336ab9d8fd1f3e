/** Postfix itself as a backend: an instance of its own for each test, nothing shared with the system's. */
import { chmod, chown, mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { IpAddress } from '../../lib/core/address.ts';
import { eventually } from './eventually.ts';
import { freeAddress } from './free-port.ts';
import type { Owner } from './owner.ts';
import { run, start } from './processes.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export interface PostfixOptions {
  /** `smtpd_upstream_proxy_protocol = haproxy`: a PROXY header, version 1 or 2, must open each connection. */
  readonly proxyProtocol?: boolean;
  /** postscreen in front: it sends `220-`, waits a second and only then goes on. */
  readonly postscreen?: boolean;
  /** More lines for main.cf; they win over the fixture's. */
  readonly main?: readonly string[];
  /** More lines for master.cf. */
  readonly master?: readonly string[];
  /** Name in the greeting; default mx.example. */
  readonly hostName?: string;
  /** What runs it elsewhere: `ip netns exec NAME`. */
  readonly within?: readonly string[];
}

export interface Postfix {
  readonly address: IpAddress;
  readonly hostName: string;
  /** The mail log so far. */
  log(): Promise<string>;
  /** Waits for a log line that matches. */
  logged(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray>;
  /** Messages accepted and thrown away so far: queue ids that the discard transport has marked sent. */
  delivered(): Promise<number>;
  /** Client addresses as smtpd saw them, one per connection, in order: behind PROXY, the real ones. */
  clients(): Promise<string[]>;
  /** Ends all its processes and removes its files; also at the end of the test. */
  stop(): Promise<void>;
}

/**
 * Starts an instance that takes mail for everyone from 127.0.0.0/8 and, with PROXY, from anyone, and discards
 * it. Resolves when it accepts. Needs root and Debian's package: `needsRoot('postfix')`. Under a second.
 */
export async function startPostfix(owner: Owner, options: PostfixOptions = {}): Promise<Postfix> {
  const { hostName = 'mx.example' } = options;
  // First of all: it is removed last, when the processes are gone.
  const home = await temporaryDirectory(owner);
  const address = await freeAddress();
  const config = join(home, 'etc');
  const logFile = join(home, 'maillog');

  const { mailOwner, dropGroup, daemons } = await installation(owner);
  // Its daemons run as mail_owner and must get through; the directory lets nobody in.
  await chmod(home, 0o755);
  await mkdir(config);
  await writeFile(join(config, 'main.cf'), mainCf(home, logFile, hostName, options));
  await writeFile(join(config, 'master.cf'), masterCf(address, options));
  // Postfix waits until a file is some seconds old, lest someone is still writing it.
  const minuteAgo = Date.now() / 1_000 - 60;
  for (const file of ['main.cf', 'master.cf']) await utimes(join(config, file), minuteAgo, minuteAgo);
  await makeDirectory(join(home, 'data'), 0o700, mailOwner);
  await makeQueue(join(home, 'queue'), mailOwner, dropGroup);

  // Not `postfix start-fg`: that leaves a shell between us and master, and no signal gets through it.
  const [program = '', ...words] = [...(options.within ?? []), join(daemons, 'master'), '-c', config, '-s'];
  const master = start(owner, program, words, {
    env: { MAIL_CONFIG: config },
  });
  const log = () => readFile(logFile, 'utf8').catch(() => '');
  // Not a trial connection: it would be in the log as a client.
  await eventually('postfix to start', async () => {
    const text = await log();
    if (/fatal:|panic:/.test(text)) return true;
    return text.includes('daemon started');
  }).catch(error => {
    throw new Error(`${error.message}: ${master.stderr}`);
  });
  if (/fatal:|panic:/.test(await log())) throw new Error(`postfix: ${await log()}`);

  const postfix: Postfix = {
    address,
    hostName,
    log,
    logged: (pattern, deadlineMs) =>
      eventually(`a log line ${pattern}`, async () => pattern.exec(await log()), deadlineMs),
    async delivered() {
      const sent = (await log()).matchAll(/postfix\/discard\[\d+\]: ([0-9A-Za-z]+): .* status=sent/g);
      return new Set(Array.from(sent, ([, queueId]) => queueId)).size;
    },
    async clients() {
      const seen = (await log()).matchAll(/postfix\/smtpd\[\d+\]: connect from \S*\[([^\]]+)\]/g);
      return Array.from(seen, ([, client = '']) => client);
    },
    async stop() {
      await master.stop();
      await rm(home, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  return postfix;
}

interface Installation {
  /** User and group ids. */
  readonly mailOwner: number;
  readonly dropGroup: number;
  /** Where master and the others are. */
  readonly daemons: string;
}

async function installation(owner: Owner): Promise<Installation> {
  const settings = await run(owner, 'postconf', ['-dh', 'mail_owner', 'setgid_group', 'daemon_directory']);
  const [mailOwner = '', dropGroup = '', daemons = ''] = settings.stdout.trim().split('\n');
  const user = await run(owner, 'getent', ['passwd', mailOwner]);
  const group = await run(owner, 'getent', ['group', dropGroup]);
  const idIn = ({ stdout }: { stdout: string }) => Number(stdout.split(':')[2]);
  return { mailOwner: idIn(user), dropGroup: idIn(group), daemons };
}

/** The directories and modes of Postfix's own postfix-files, which `postfix check` makes with a swarm of shells. */
async function makeQueue(queue: string, mailOwner: number, dropGroup: number): Promise<void> {
  await makeDirectory(queue, 0o755, 0);
  await makeDirectory(join(queue, 'pid'), 0o755, 0);
  await makeDirectory(join(queue, 'maildrop'), 0o730, mailOwner, dropGroup);
  await makeDirectory(join(queue, 'public'), 0o710, mailOwner, dropGroup);
  const own = ['active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming', 'private'];
  for (const name of [...own, 'saved', 'trace']) await makeDirectory(join(queue, name), 0o700, mailOwner);
}

async function makeDirectory(path: string, mode: number, user: number, group = 0): Promise<void> {
  await mkdir(path);
  await chown(path, user, group);
  await chmod(path, mode); // mkdir's mode is cut by the umask
}

function mainCf(home: string, logFile: string, hostName: string, options: PostfixOptions): string {
  const proxied = options.proxyProtocol === true;
  const lines = [
    'compatibility_level = 3.6',
    `queue_directory = ${home}/queue`,
    `data_directory = ${home}/data`,
    `maillog_file = ${logFile}`,
    `maillog_file_prefixes = ${home}`,
    `myhostname = ${hostName}`,
    'inet_interfaces = 127.0.0.1',
    'inet_protocols = ipv4',
    'mydestination =',
    'alias_maps =',
    'alias_database =',
    'local_recipient_maps =',
    'default_transport = discard',
    'relay_transport = discard',
    // Names of clients are nothing to look up for a test, least of all outside this machine.
    'smtpd_peername_lookup = no',
    'disable_dns_lookups = yes',
    'smtpd_client_connection_count_limit = 0',
    'smtpd_client_connection_rate_limit = 0',
    `mynetworks = ${proxied ? '0.0.0.0/0 [::]/0' : '127.0.0.0/8'}`,
    ...(proxied
      ? [`${options.postscreen === true ? 'postscreen' : 'smtpd'}_upstream_proxy_protocol = haproxy`]
      : []),
    ...(options.postscreen === true
      ? [
          'postscreen_greet_action = ignore',
          'postscreen_greet_wait = 1s',
          'postscreen_cache_map =',
          'postscreen_access_list =',
        ]
      : []),
    ...(options.main ?? []),
  ];
  return `${lines.join('\n')}\n`;
}

function masterCf(address: IpAddress, options: PostfixOptions): string {
  const at = `${address.host}:${address.port}`;
  const front =
    options.postscreen === true
      ? [
          `${at} inet n - n - 1 postscreen`,
          'smtpd pass - - n - - smtpd',
          'dnsblog unix - - n - 0 dnsblog',
          'tlsproxy unix - - n - 0 tlsproxy',
        ]
      : [`${at} inet n - n - - smtpd`];
  const lines = [
    ...front,
    'pickup unix n - n 60 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'verify unix - - n - 1 verify',
    'proxymap unix - - n - - proxymap',
    'anvil unix - - n - 1 anvil',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'discard unix - - n - - discard',
    'postlog unix-dgram n - n - 1 postlogd',
    ...(options.master ?? []),
  ];
  return `${lines.join('\n')}\n`;
}
