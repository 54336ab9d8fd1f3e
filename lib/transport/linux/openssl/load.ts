import type { ServerTlsSettings, TlsClientOptions } from '../../tls-contract.ts';
import { HERE, loadProgram, type Machine } from '../foreign.ts';
import { bindCalls, bindReleases, type Releases } from './calls.ts';
import { type AskClients, TlsContexts } from './context.ts';
import { createPossessions, openPossessions } from './possessions.ts';
import { TlsSession } from './session.ts';

/** The OpenSSL of this process, for one thread. */
export interface OpenSsl {
  /** A new session with a client. Throws OpenSSL's reason where these settings will not do, or memory is short. */
  accept(settings: ServerTlsSettings, ask: AskClients): TlsSession;
  /** A new session with a backend; throws as above. */
  connect(options: TlsClientOptions): TlsSession;
}

/**
 * OpenSSL, or why there is none, as the end of a sentence. Each thread loads it for itself. What it owns is noted in
 * `possessions`, from `openPossessions`, for who survives it.
 */
export async function loadOpenSsl(
  possessions: SharedArrayBuffer = openPossessions(),
  machine: Machine = HERE,
): Promise<OpenSsl | string> {
  const program = await loadProgram(machine);
  if (typeof program === 'string') return program;
  try {
    const calls = bindCalls(program);
    const owned = createPossessions(possessions);
    const contexts = new TlsContexts(calls, owned);
    return {
      accept: (settings, ask) => new TlsSession(calls, owned, contexts.server(settings, ask), null),
      connect: options => new TlsSession(calls, owned, contexts.client(options.settings), options),
    };
  } catch (error) {
    return `does not find OpenSSL in this program: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** For a thread that only frees what others have owned; null where OpenSSL cannot be called. */
export async function loadReleases(machine: Machine = HERE): Promise<Releases | null> {
  const program = await loadProgram(machine);
  if (typeof program === 'string') return null;
  try {
    return bindReleases(program);
  } catch {
    return null;
  }
}
