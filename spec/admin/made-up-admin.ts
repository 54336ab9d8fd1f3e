import { startAdmin } from '../../lib/admin/admin.ts';
import type { StatusDocument } from '../../lib/admin/status.ts';
import { formatAddress } from '../../lib/core/address.ts';
import type { Owner } from '../support/owner.ts';
import { madeUpCluster } from './made-up-cluster.ts';

export const MADE_UP_TOKEN = 'a-token-that-is-made-up';

/** An admin listener on 127.0.0.1 that shows `status()`, and refuses every verb with a sentence. */
export async function startMadeUpAdmin(
  owner: Owner,
  status: () => StatusDocument,
  port = 0,
  cluster = async () => madeUpCluster(),
): Promise<{ readonly url: string; readonly port: number; close(): Promise<void> }> {
  const no = { ok: false, message: 'this instance is made up' };
  const admin = await startAdmin({
    listen: { family: 'ipv4', host: '127.0.0.1', port },
    socket: null,
    takeInherited: () => undefined,
    access: () => ({ token: MADE_UP_TOKEN, hosts: [] }),
    maxConnections: 100,
    metrics: { contentType: 'text/plain', scrape: async () => '' },
    unready: () => null,
    control: {
      status,
      cluster,
      sessions: async () => [],
      setAdmin: async () => no,
      setWeight: async () => no,
      reload: async () => no,
      upgrade: async () => no,
    },
  });
  let closed: Promise<void> | null = null;
  const close = () => {
    closed ??= admin.close();
    return closed;
  };
  owner.teardown(close);
  const { address } = admin;
  if (address === null || address.family === 'unix') throw new Error('there is no TCP address');
  return { url: `http://${formatAddress(address)}/`, port: address.port, close };
}
