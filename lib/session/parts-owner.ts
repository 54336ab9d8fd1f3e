import type { TimerOwner } from '../core/timer-wheel.ts';
import type { RelayHandler } from '../transport/contract.ts';
import type { EarlyOwner } from './early-client.ts';
import type { HandshakeOwner } from './handshake.ts';
import type { ProxyHeaderOwner } from './proxy-header-reader.ts';
import type { SearchOwner } from './search-owner.ts';
import type { RouterOwner } from './server-name-router.ts';
import type { TlsOwner } from './tls-side.ts';

/** What a session is to its parts, in the order in which they come. */
export interface PartsOwner
  extends EarlyOwner,
    ProxyHeaderOwner,
    TlsOwner,
    RouterOwner,
    SearchOwner,
    HandshakeOwner,
    RelayHandler,
    TimerOwner {}
