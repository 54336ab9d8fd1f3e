/**
 * What must hold between the parts of a configuration: names are unique, pools that are named exist, no address
 * is listened on twice. Looks at the data as it was written and skips what has no sense by itself, so that these
 * faults are found even where others are.
 */
import { formatAddress } from '../core/address.ts';
import { MAX_BACKENDS } from '../core/limits.ts';
import type { Finding, KeyPath } from './faults.ts';
import { formatPath, quoted } from './faults.ts';
import { didYouMean, valueAt } from './issues.ts';
import { DEFAULT_ADMIN_LISTEN, DEFAULT_POOL, listenerNames } from './names.ts';
import { formatBackendAddress } from './resolve.ts';
import { parseBackendAddress, parseListenAddress } from './units.ts';

export function relationFindings(root: unknown): Finding[] {
  return [
    ...poolFindings(root),
    ...listenerFindings(root),
    ...stickyFindings(root),
    ...scopeFindings(root),
    ...routedFindings(root),
    ...addressFindings(root),
  ];
}

/** Something with a name, given or by default. */
interface Named {
  readonly path: KeyPath;
  readonly name: string | undefined;
  readonly given: boolean;
}

function poolFindings(root: unknown): Finding[] {
  const pools = entries(root, ['pools']);
  const findings = duplicates(poolNames(root), 'pools');
  let backends = 0;
  for (const path of pools) {
    const named = entries(root, [...path, 'backends']).map((backend): Named => {
      const name = textAt(root, [...backend, 'name']);
      return { path: backend, name: name ?? addressName(root, backend), given: name !== undefined };
    });
    findings.push(...duplicates(named, 'backends of a pool'));
    backends += named.length;
  }
  if (backends > MAX_BACKENDS) {
    const expected = `found ${backends} backends in all pools, expected at most ${MAX_BACKENDS}`;
    findings.push({ path: ['pools'], at: 'key', expected });
  }
  return findings;
}

function listenerFindings(root: unknown): Finding[] {
  const listeners = entries(root, ['listeners']);
  const given = listeners.map(path => ({
    path,
    name: textAt(root, [...path, 'name']),
    pool: textAt(root, [...path, 'pool']),
  }));
  const names = listenerNames(given);
  const named = given.map(
    ({ path, name }, at): Named => ({ path, name: names[at], given: name !== undefined }),
  );
  const findings = duplicates(named, 'listeners');

  const pools = new Set(poolNames(root).flatMap(({ name }) => (name === undefined ? [] : [name])));
  if (pools.size === 0) return findings;
  const naming = given.flatMap(({ path }) => [path, ...entries(root, [...path, 'tls', 'routes'])]);
  for (const path of naming) {
    const pool = textAt(root, [...path, 'pool']);
    if (pool === undefined || pools.has(pool)) continue;
    const hint = didYouMean(pool, pools) || `, expected one of ${Array.from(pools, quoted).join(', ')}`;
    findings.push({
      path: [...path, 'pool'],
      at: 'value',
      expected: `no pool is named ${quoted(pool)}${hint}`,
    });
  }
  return findings;
}

/** Stickiness by a name, behind a listener that learns the name only when a backend has been chosen. */
function stickyFindings(root: unknown): Finding[] {
  return entries(root, ['pools']).flatMap((pool, at): Finding[] => {
    const by = textAt(root, [...pool, 'sticky', 'by']);
    if (by !== 'server-name' && by !== 'hello-name') return [];
    const name = poolNames(root)[at]?.name;
    const late = entries(root, ['listeners']).find(listener => {
      const routes = entries(root, [...listener, 'tls', 'routes']);
      if (![listener, ...routes].some(path => textAt(root, [...path, 'pool']) === name)) return false;
      const routed = textAt(root, [...listener, 'tls', 'routeBy']) === 'server-name';
      return !routed && !(by === 'server-name' && textAt(root, [...listener, 'tls', 'mode']) === 'implicit');
    });
    if (late === undefined) return [];
    const known = by === 'server-name' ? 'tls.mode implicit or tls.routeBy' : 'tls.routeBy';
    const expected =
      `${formatPath(late)} learns the ${by === 'server-name' ? 'server' : 'EHLO'} name after a backend is chosen, ` +
      `expected listeners with ${known} for this pool`;
    return [{ path: [...pool, 'sticky', 'by'], at: 'value', expected }];
  });
}

/** Limits over a cluster that there is not. */
function scopeFindings(root: unknown): Finding[] {
  if (valueAt(root, ['cluster', 'redis']) !== undefined) return [];
  const limits = [
    ...entries(root, ['pools'])
      .flatMap(pool => entries(root, [...pool, 'backends']))
      .map(backend => [...backend, 'maxConnections'])
      .filter(path => typeof valueAt(root, [...path, 'count']) === 'number'),
    ...entries(root, ['listeners']).map(listener => [...listener, 'limits', 'perClient']),
  ];
  return limits
    .map((path): KeyPath => [...path, 'scope'])
    .filter(path => textAt(root, path) === 'cluster')
    .map(path => ({
      path,
      at: 'value',
      expected: 'scope cluster needs a Redis that the instances share, expected cluster.redis',
    }));
}

/**
 * Pools that a listener with `tls.routeBy` may give a session to: its clients speak TLS with their backends, so that nobody
 * else can, and nobody can read whether a client says XCLIENT.
 */
function routedFindings(root: unknown): Finding[] {
  const naming = entries(root, ['listeners'])
    .filter(listener => textAt(root, [...listener, 'tls', 'routeBy']) !== undefined)
    .flatMap(listener => [listener, ...entries(root, [...listener, 'tls', 'routes'])]);
  return entries(root, ['pools']).flatMap((pool, at): Finding[] => {
    const name = poolNames(root)[at]?.name;
    const routed = naming.find(path => textAt(root, [...path, 'pool']) === name);
    if (routed === undefined) return [];
    const through = `clients of ${formatPath(routed)} speak TLS with its backends`;
    const findings: Finding[] = [];
    if (textAt(root, [...pool, 'identity']) === 'xclient') {
      const expected = `${through} and could say XCLIENT there unseen, expected proxy-v1, proxy-v2 or none`;
      findings.push({ path: [...pool, 'identity'], at: 'value', expected });
    }
    const mode = textAt(root, [...pool, 'tls', 'mode']);
    if (mode !== undefined && mode !== 'none') {
      const expected = `${through}, so that smtplb cannot, expected none`;
      findings.push({ path: [...pool, 'tls', 'mode'], at: 'value', expected });
    }
    return findings;
  });
}

/** The admin listener's default address counts too, and so do different spellings of one address. */
function addressFindings(root: unknown): Finding[] {
  const places: KeyPath[] = entries(root, ['listeners']).flatMap(listener => {
    const path = [...listener, 'listen'];
    const several = entries(root, path);
    return several.length === 0 ? [path] : several;
  });
  places.push(['admin', 'listen'], ['admin', 'socket']);
  const first = new Map<string, KeyPath>();
  const findings: Finding[] = [];
  for (const path of places) {
    const address = parseListenAddress(listenText(root, path));
    if (address === undefined || (address.family !== 'unix' && address.port === 0)) continue;
    const spelt = formatAddress(address);
    const other = first.get(spelt);
    if (other === undefined) first.set(spelt, path);
    else {
      const expected = `${quoted(spelt)} is listened on already by ${formatPath(other)}, expected another address`;
      findings.push({ path, at: 'value', expected });
    }
  }
  return findings;
}

function listenText(root: unknown, path: KeyPath): string {
  const text = textAt(root, path);
  if (path.at(-1) === 'socket') return text === undefined ? '' : `unix:${text}`;
  const left = path[0] === 'admin' && valueAt(root, path) === undefined;
  return left ? DEFAULT_ADMIN_LISTEN : (text ?? '');
}

function duplicates(named: readonly Named[], where: string): Finding[] {
  const first = new Map<string, KeyPath>();
  const findings: Finding[] = [];
  for (const { path, name, given } of named) {
    if (name === undefined) continue;
    const other = first.get(name);
    if (other === undefined) {
      first.set(name, path);
      continue;
    }
    const taken = `the name of ${formatPath(other)} already, expected names to be unique among ${where}`;
    findings.push(
      given
        ? { path: [...path, 'name'], at: 'value', expected: `${quoted(name)} is ${taken}` }
        : { path, at: 'value', expected: `its default name ${quoted(name)} is ${taken}` },
    );
  }
  return findings;
}

function poolNames(root: unknown): Named[] {
  return entries(root, ['pools']).map(path => {
    const given = valueAt(root, [...path, 'name']) !== undefined;
    return { path, name: given ? textAt(root, [...path, 'name']) : DEFAULT_POOL, given };
  });
}

function addressName(root: unknown, backend: KeyPath): string | undefined {
  const address = parseBackendAddress(textAt(root, [...backend, 'address']) ?? '');
  return address === undefined ? undefined : formatBackendAddress(address);
}

/** The paths of the entries of the list at `path`; none where there is no list. */
function entries(root: unknown, path: KeyPath): KeyPath[] {
  const value = valueAt(root, path);
  return Array.isArray(value) ? value.map((_, at) => [...path, at]) : [];
}

function textAt(root: unknown, path: KeyPath): string | undefined {
  const value = valueAt(root, path);
  return typeof value === 'string' ? value : undefined;
}
