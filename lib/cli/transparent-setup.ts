import { spawnSync } from 'node:child_process';
import { complain, parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb transparent-setup [--remove] [--apply] [--mark N] [--table N]

With identity transparent the backends answer to the addresses of the clients, and this host must take those answers for
its own. Prints the nft rule, the routing rules and the routes for that, for IPv4 and IPv6, as a shell script.

  --apply    runs the script instead of printing it; needs root. May be repeated: it replaces what it made before
  --remove   the script that takes it all away again
  --mark N   the mark of such packets, 1 to 4294967295; default 0x534d
  --table N  the routing table, 1 to 4294967295 (not 253 to 255, which are the system's); default 2525

The backends must send their answers through this host: as their default gateway, or by a policy route of theirs.
`;

const TABLE_NAME = 'smtplb_transparent';
const PRIORITY = 2525;

export interface TransparentSetup {
  readonly mark: number;
  readonly table: number;
}

/**
 * A shell script that makes the kernel deliver packets for transparent sockets (tproxy.txt of the kernel's
 * documentation): their destination is no address of this host, so a mark leads them to a table that calls all local.
 */
export function setupScript(setup: TransparentSetup): string {
  const { table } = setup;
  return `${removeScript(setup)}nft -f - <<'END'
table inet ${TABLE_NAME} {
  chain prerouting {
    type filter hook prerouting priority mangle; policy accept;
    meta l4proto tcp socket transparent 1 meta mark set ${hex(setup.mark)}
  }
}
END
${families(
  family => `  ip ${family} rule add ${ruleOf(setup)} priority ${PRIORITY}
  ip ${family} route replace local default dev lo table ${table}`,
)}`;
}

/** Takes away what `setupScript` made, and says nothing where there is nothing. */
export function removeScript(setup: TransparentSetup): string {
  return `set -e
nft delete table inet ${TABLE_NAME} 2>/dev/null || true
${families(
  family => `  while ip ${family} rule del ${ruleOf(setup)} 2>/dev/null; do :; done
  ip ${family} route flush table ${setup.table} 2>/dev/null || true`,
)}`;
}

export async function transparentSetupCommand(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, USAGE, {
    options: {
      apply: { type: 'boolean' },
      remove: { type: 'boolean' },
      mark: { type: 'string', default: '0x534d' },
      table: { type: 'string', default: '2525' },
    },
  });
  if (!parsed.ok) return parsed.status;
  const { apply, mark, remove, table } = parsed.args.values;
  const setup = { mark: Number(mark), table: Number(table) };
  for (const [name, value] of Object.entries(setup)) {
    if (!Number.isInteger(value) || value < 1 || value > 0xffff_ffff)
      return complain(`--${name} is no whole number from 1 to 4294967295`, USAGE).status;
  }
  if (setup.table >= 253 && setup.table <= 255) return complain('--table is one of the system', USAGE).status;
  const script = remove === true ? removeScript(setup) : setupScript(setup);
  if (apply !== true) {
    process.stdout.write(script);
    return 0;
  }
  const { status, error } = spawnSync('/bin/sh', ['-c', script], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status === 0) return 0;
  process.stderr.write(
    `smtplb: that could not be done${error === undefined ? '' : ` (${error.message})`}; it needs root, nft and ip\\n`,
  );
  return 1;
}

function ruleOf({ mark, table }: TransparentSetup): string {
  return `fwmark ${hex(mark)} lookup ${table}`;
}

/** Lines for both families; a host may be without IPv6. */
function families(lines: (family: '-4' | '-6') => string): string {
  return `${lines('-4').replaceAll(/^ {2}/gm, '')}\nif [ -e /proc/net/if_inet6 ]; then\n${lines('-6')}\nfi\n`;
}

function hex(mark: number): string {
  return `0x${mark.toString(16)}`;
}
