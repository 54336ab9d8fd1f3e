import type { ServerTlsSettings, TlsClientOptions } from '../../tls-contract.ts';
import { HERE, loadProgram, type Machine } from '../foreign.ts';
import { bindCalls } from './calls.ts';
import { type AskClients, TlsContexts } from './context.ts';
import { TlsSession } from './session.ts';

/** The OpenSSL of this process, for one thread. */
export interface OpenSsl {
  /** A new session with a client. Throws OpenSSL's reason where these settings will not do, or memory is short. */
  accept(settings: ServerTlsSettings, ask: AskClients): TlsSession;
  /** A new session with a backend; throws as above. */
  connect(options: TlsClientOptions): TlsSession;
}

/** Null where there is one; else why not, as the end of a sentence. Each thread loads it for itself. */
export async function loadOpenSsl(machine: Machine = HERE): Promise<OpenSsl | string> {
  const program = await loadProgram(machine);
  if (typeof program === 'string') return program;
  try {
    const calls = bindCalls(program);
    const contexts = new TlsContexts(calls);
    return {
      accept: (settings, ask) => new TlsSession(calls, contexts.server(settings, ask), null),
      connect: options => new TlsSession(calls, contexts.client(options.settings), options),
    };
  } catch (error) {
    return `does not find OpenSSL in this program: ${error instanceof Error ? error.message : String(error)}`;
  }
}
