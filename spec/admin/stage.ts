/** An admin listener in front of a control that only writes down what it is told. */
import { join } from 'node:path';
import { type Admin, type AdminOptions, startAdmin } from '../../lib/admin/admin.ts';
import type { Control } from '../../lib/admin/control.ts';
import type { StatusDocument } from '../../lib/admin/status.ts';
import type { Address } from '../../lib/core/address.ts';
import type { Owner } from '../support/owner.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { madeUpStatus } from './made-up.ts';
import { madeUpCluster } from './made-up-cluster.ts';

export const TOKEN = 'Tq7.wErTz-91_not-to-be-seen';

export interface Stage {
  readonly admin: Admin;
  readonly tcp: Address;
  readonly unix: Address & { family: 'unix' };
  /** What the control was told, in order: `setAdmin mx mx1 drain false` as a list. */
  readonly calls: readonly (readonly unknown[])[];
  /** How often the status document was made. */
  readonly documents: number;
}

export interface StageOptions {
  readonly token?: string | null;
  readonly hosts?: readonly string[];
  readonly maxConnections?: number;
  readonly status?: () => StatusDocument;
  readonly control?: Partial<Control>;
}

export async function startStage(owner: Owner, options: StageOptions = {}): Promise<Stage> {
  const calls: (readonly unknown[])[] = [];
  let documents = 0;
  const told =
    (verb: string) =>
    (...args: readonly unknown[]) => {
      calls.push([verb, ...args]);
      return { ok: true, message: 'done' };
    };
  const control: Control = {
    status() {
      documents++;
      return (options.status ?? madeUpStatus)();
    },
    async sessions(filter) {
      calls.push(['sessions', filter]);
      return [];
    },
    cluster: async () => madeUpCluster(),
    setAdmin: async (...args) => told('setAdmin')(...args),
    setWeight: async (...args) => told('setWeight')(...args),
    reload: async () => told('reload')(),
    upgrade: async () => told('upgrade')(),
    ...options.control,
  };
  const path = join(await temporaryDirectory(owner), 'admin.sock');
  const { hosts = [], maxConnections = 64, token = TOKEN } = options;
  const settings: AdminOptions = {
    listen: { family: 'ipv4', host: '127.0.0.1', port: 0 },
    socket: path,
    access: () => ({ token, hosts }),
    maxConnections,
    metrics: { contentType: 'text/plain', scrape: async () => 'smtplb_up 1\n' },
    unready: () => null,
    control,
    takeInherited: () => undefined,
  };
  const admin = await startAdmin(settings);
  owner.teardown(() => admin.close());
  const { address } = admin;
  if (address === null) throw new Error('no TCP door');
  return {
    admin,
    tcp: address,
    unix: { family: 'unix', path },
    calls,
    get documents() {
      return documents;
    },
  };
}
