/** A thread that belongs to an epoll transport, as a shard's does: it relays whatever comes, and answers messages. */
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { type Address, ipAddress } from '../../../lib/core/address.ts';
import { loadEpoll } from '../../../lib/transport/epoll/load.ts';

export interface RelayThreadStart {
  readonly backend: Address;
  readonly descriptorRecord: SharedArrayBuffer;
}

export type FromRelayThread =
  | { readonly type: 'listening'; readonly address: Address; readonly wake: number }
  | { readonly type: 'answer'; readonly ticks: number; readonly relays: number }
  | { readonly type: 'error'; readonly error: string };

async function run({ backend, descriptorRecord }: RelayThreadStart): Promise<void> {
  const tell = (message: FromRelayThread): void => parentPort?.postMessage(message);
  const loaded = await loadEpoll();
  if (loaded.reason !== undefined) throw new Error(loaded.reason);
  const transport = loaded.create(error => tell({ type: 'error', error: String(error) }), {
    descriptorRecord,
  });
  let ticks = 0;
  let relays = 0;
  setInterval(() => ticks++, 50);
  const { address } = await transport.listen(
    ipAddress('127.0.0.1', 0) as Address,
    { backlog: 4_096 },
    client => {
      client.pause();
      const upstream = transport.connect(backend, {
        onConnect() {
          relays++;
          transport.relay(client, upstream, { onRelayEnd: () => void relays-- });
        },
        onBytes() {},
        onEnd() {},
        onDrain() {},
        onClose: () => client.destroy(),
      });
    },
  );
  parentPort?.on('message', () => tell({ type: 'answer', ticks, relays }));
  transport.start();
  tell({ type: 'listening', address, wake: transport.wakeDescriptor });
}

if (!isMainThread && parentPort !== null) await run(workerData as RelayThreadStart);
