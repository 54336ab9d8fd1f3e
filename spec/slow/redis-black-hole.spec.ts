/**
 * PROOF fault 10: packets to and from Redis vanish. The test runs itself once more in a network namespace of its own, where
 * nft may drop what it likes.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { needsRoot } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { startArena } from './redis-arena.ts';
import { ordeal } from './redis-ordeal.ts';

const INSIDE = 'SMTPLB_SPEC_NAMESPACE';
const redis = { timeout: 300_000, ...needsRoot('redis-server', 'redis-cli', 'unshare', 'ip', 'nft') };

function command(program: string, args: readonly string[], input = ''): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8', input });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
}

if (process.env[INSIDE] === undefined && redis.skip === undefined) {
  const again = [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url)];
  // The runner would have it, and all that it starts, load its hooks.
  const plainly = ['env', '-u', 'NODE_OPTIONS', `${INSIDE}=1`];
  t.spawn('unshare', ['--net', ...plainly, ...again], {}, 'in a namespace');
} else {
  t.test('black-holed', redis, async t => {
    command('ip', ['link', 'set', 'lo', 'up']);
    const server = await startRedis(t);
    const arena = await startArena(t, server);
    const { port } = server;
    await ordeal(t, arena, {
      what: 'black-holed',
      begin: () =>
        command(
          'nft',
          ['-f', '-'],
          `table inet hole {
            chain in { type filter hook input priority 0; tcp dport ${port} drop; tcp sport ${port} drop; }
          }\n`,
        ),
      isNoticed: true,
      sessions: 600,
      end: () => command('nft', ['delete', 'table', 'inet', 'hole']),
    });
  });
}
