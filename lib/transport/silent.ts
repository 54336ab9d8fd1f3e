import type { ConnectionHandler } from './contract.ts';

/** Hears everything and does nothing: for a connection whose owner has let go of it. */
export const SILENT: ConnectionHandler = {
  onConnect() {},
  onBytes() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
};
