import type { ClusterDocument, InstanceStatus, RedisStatus } from '../admin/cluster-status.ts';
import { printableLines } from './printable-lines.ts';
import { table } from './table.ts';

/** What an instance knows of its cluster, as an operator reads it in a terminal. */
export function clusterText({ instances, name, redis, warnings }: ClusterDocument): string {
  const rows = table(
    [
      'INSTANCE',
      'HOST',
      'STATE',
      'VERSION',
      'GENERATION',
      'CONFIG',
      'SHARDS',
      'SESSIONS',
      'HEARTBEAT',
      'SINCE',
    ],
    instances.map(instance => [
      `${instance.instance}${instance.isSelf ? ' *' : ''}`,
      instance.hostName,
      instance.state,
      instance.version,
      instance.generation,
      configText(instance),
      `${instance.shards} ${instance.transport}`,
      instance.sessions,
      instance.isSelf ? '-' : `${Math.round(instance.secondsSinceHeartbeat)} s ago`,
      instance.startedAt,
    ]),
  );
  const wrong = warnings.map(warning => `! ${warning}\n`).join('');
  const head = redis === null ? 'no Redis is configured: this instance is alone' : redisText(redis);
  return printableLines(`cluster ${name}: ${head}\n\n${rows}${wrong === '' ? '' : `\n${wrong}`}`);
}

function redisText({ errors, reason, reconnects, roundTripMs, status }: RedisStatus): string {
  if (status === 'connecting') return 'connecting to Redis';
  if (status === 'unreachable')
    return `Redis is not reachable (${reason ?? 'unknown'}); shown is what was seen last`;
  const trip = roundTripMs === null ? '' : ` in ${roundTripMs.toFixed(1)} ms`;
  return `Redis answers${trip}; ${errors} errors, ${reconnects} reconnects since the start`;
}

function configText({ differences, isSelf }: InstanceStatus): string {
  if (isSelf) return 'this';
  return differences.length === 0 ? 'same' : 'differs';
}
