/** Real Redis: one, with replica and Sentinels, or a Cluster of three; each in a directory of its own. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RedisConfig } from '../../lib/config/config.ts';
import { eventually } from './eventually.ts';
import { freePort, loopback } from './free-port.ts';
import type { Owner } from './owner.ts';
import { type Running, run, start } from './processes.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export interface RedisServer {
  readonly port: number;
  readonly process: Running;
  /** As `redis-cli` prints it, without the line feed at the end. Rejects where redis-cli fails. */
  cli(...words: readonly string[]): Promise<string>;
  /** The same place with the same data directory, after it was stopped. */
  again(): Promise<RedisServer>;
}

export interface RedisOptions {
  readonly port?: number;
  /** More of redis.conf: `['--maxmemory', '1mb']`. */
  readonly args?: readonly string[];
  /** What redis-cli needs before its words, such as `['--tls', '--cacert', ...]`. */
  readonly cliArgs?: readonly string[];
  readonly directory?: string;
}

/** What a configuration that only says `redis: redis://...` comes to. */
export function redisUrl(port: number, rest: Partial<RedisConfig> = {}): RedisConfig {
  const url = `redis://127.0.0.1:${port}/0`;
  return {
    kind: 'url',
    url,
    username: undefined,
    password: undefined,
    tls: undefined,
    ...rest,
  } as RedisConfig;
}

/** Starts redis-server on a free port of 127.0.0.1 and waits until it answers. Nothing is saved to disk. */
export async function startRedis(owner: Owner, options: RedisOptions = {}): Promise<RedisServer> {
  const directory = options.directory ?? (await temporaryDirectory(owner));
  const port = options.port ?? (await freePort());
  const base = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory];
  const plain = ['--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0'];
  const args = [...base, ...plain, ...(options.args ?? [])];
  const process = start(owner, 'redis-server', args);
  await process.printed(/Ready to accept connections|accept connections/);
  return {
    port,
    process,
    async cli(...words) {
      const all = ['-p', String(port), ...(options.cliArgs ?? []), ...words];
      const { exitCode, stdout, stderr } = await run(owner, 'redis-cli', all);
      if (exitCode !== 0) throw new Error(`redis-cli ${words.join(' ')}: ${stderr}${stdout}`);
      return stdout.trimEnd();
    },
    async again() {
      await process.stop();
      return startRedis(owner, { ...options, directory, port });
    },
  };
}

export interface SentinelSet {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly number[];
  readonly config: RedisConfig;
}

/** A primary, a replica that is in step with it, and three Sentinels that know both. Notices a death in 1 s. */
export async function startSentinelSet(owner: Owner): Promise<SentinelSet> {
  const primary = await startRedis(owner);
  const replica = await startRedis(owner, { args: ['--replicaof', `127.0.0.1 ${primary.port}`] });
  await eventually('the replica to be in step', async () =>
    (await primary.cli('info', 'replication')).includes('state=online'),
  );
  const directory = await temporaryDirectory(owner);
  const sentinels = await Promise.all([1, 2, 3].map(async () => freePort()));
  for (const port of sentinels) {
    const file = join(directory, `sentinel-${port}.conf`);
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${directory}`,
      `sentinel monitor mail 127.0.0.1 ${primary.port} 2`,
      'sentinel down-after-milliseconds mail 1000',
      'sentinel failover-timeout mail 3000',
    ];
    await writeFile(file, `${lines.join('\n')}\n`);
    const process = start(owner, 'redis-server', [file, '--sentinel']);
    await process.accepting(loopback(port));
  }
  await eventually('the Sentinels to know each other and the replica', async () => {
    for (const port of sentinels) {
      const seen = await primary.cli('-p', String(port), 'sentinel', 'master', 'mail');
      if (!/num-other-sentinels\n2\b/.test(seen) || !/num-slaves\n1\b/.test(seen)) return false;
    }
    return true;
  });
  const config: RedisConfig = {
    kind: 'sentinel',
    sentinels: sentinels.map(port => ({ host: '127.0.0.1', port })),
    master: 'mail',
    sentinelUsername: undefined,
    sentinelPassword: undefined,
    database: 0,
    username: undefined,
    password: undefined,
    tls: undefined,
  };
  return { primary, replica, sentinels, config };
}

export interface RedisCluster {
  readonly nodes: readonly RedisServer[];
  readonly config: RedisConfig;
}

/** A Redis Cluster of three primaries that has all slots. */
export async function startRedisCluster(owner: Owner): Promise<RedisCluster> {
  const nodes = await Promise.all(
    [1, 2, 3].map(async () => {
      // The bus listens at the port + 10000, unless told otherwise.
      const bus = String(await freePort());
      const args = ['--cluster-enabled', 'yes', '--cluster-port', bus, '--cluster-node-timeout', '2000'];
      return startRedis(owner, { args });
    }),
  );
  const [first] = nodes;
  if (first === undefined) throw new Error('no nodes');
  const slots = [
    [0, 5_460],
    [5_461, 10_922],
    [10_923, 16_383],
  ];
  for (const [at, node] of nodes.entries()) {
    await node.cli('cluster', 'addslotsrange', ...(slots[at] ?? []).map(String));
    const bus = await node.cli('config', 'get', 'cluster-port');
    if (at > 0) {
      await node.cli('cluster', 'set-config-epoch', String(at + 1));
      await first.cli('cluster', 'meet', '127.0.0.1', String(node.port), bus.split('\n')[1] ?? '');
    }
  }
  await eventually('the Redis Cluster to be whole', async () => {
    for (const node of nodes) {
      const info = await node.cli('cluster', 'info');
      if (!info.includes('cluster_state:ok') || !info.includes('cluster_known_nodes:3')) return false;
    }
    return true;
  });
  const config: RedisConfig = {
    kind: 'cluster',
    nodes: nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
    username: undefined,
    password: undefined,
    tls: undefined,
  };
  return { nodes, config };
}
