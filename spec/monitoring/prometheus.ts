/** A real Prometheus that scrapes an instance: `needs('prometheus')`. */
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress } from '../support/free-port.ts';
import type { Owner } from '../support/owner.ts';
import { start } from '../support/processes.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [atSeconds: number, value: string];
}

export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

export interface Prometheus {
  /** An instant query, evaluated now. Rejects with Prometheus's own words where the query is wrong. */
  query(expr: string): Promise<readonly Series[]>;
  alerts(): Promise<readonly ActiveAlert[]>;
  /** How the rules fare: their names, and their last errors where there were any. */
  rules(): Promise<readonly { readonly name: string; readonly lastError?: string }[]>;
}

/** Scrapes `target` as job `smtplb` twice a second, evaluates the rules of the file, and is gone with the test. */
export async function startPrometheus(owner: Owner, target: Address, ruleFile: string): Promise<Prometheus> {
  const folder = await temporaryDirectory(owner);
  const address = await freeAddress();
  const scrapes = [{ job_name: 'smtplb', static_configs: [{ targets: [formatAddress(target)] }] }];
  const config = {
    global: { scrape_interval: '500ms', scrape_timeout: '500ms', evaluation_interval: '250ms' },
    rule_files: ['rules.yaml'],
    scrape_configs: scrapes,
  };
  await writeFile(join(folder, 'prometheus.yaml'), JSON.stringify(config)); // JSON is YAML
  await copyFile(ruleFile, join(folder, 'rules.yaml'));
  const running = start(owner, 'prometheus', [
    `--config.file=${join(folder, 'prometheus.yaml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=${formatAddress(address)}`,
  ]);
  await running.accepting(address, 30_000);

  const get = async (path: string): Promise<unknown> => {
    const response = await fetch(`http://${formatAddress(address)}/api/v1/${path}`);
    const body = (await response.json()) as { status: string; data: unknown; error?: string };
    if (body.status !== 'success') throw new Error(body.error ?? `${path}: ${response.status}`);
    return body.data;
  };
  const prometheus: Prometheus = {
    async query(expr) {
      const { result } = (await get(`query?${new URLSearchParams({ query: expr })}`)) as { result: Series[] };
      return result;
    },
    async alerts() {
      return ((await get('alerts')) as { alerts: ActiveAlert[] }).alerts;
    },
    async rules() {
      const { groups } = (await get('rules')) as {
        groups: { rules: { name: string; lastError?: string }[] }[];
      };
      return groups.flatMap(({ rules }) => rules);
    },
  };
  await eventually('three scrapes', async () => {
    const [up] = await prometheus.query('count_over_time(up{job="smtplb"}[1m])');
    return Number(up?.value[1] ?? 0) >= 3;
  });
  return prometheus;
}
