import type { Capability } from '../../lib/smtp/capabilities.ts';
import type { HelloVerb } from '../../lib/smtp/command.ts';
import type { ObserverFault, ObserverPhase, OpaqueCause, StarttlsState } from '../../lib/smtp/observer.ts';

/** What one side sends in one go; one character is one octet. */
export interface Step {
  readonly from: 'client' | 'backend';
  readonly text: string;
}

/** All that an observer says after a transcript. */
export interface Outcome {
  readonly phase: ObserverPhase;
  readonly fault: ObserverFault | null;
  readonly cause: OpaqueCause | null;
  readonly code: number;
  readonly hello: HelloVerb | null;
  readonly name: string;
  readonly capabilities: readonly Capability[];
  readonly starttls: StarttlsState;
  /** What the client sent behind its last STARTTLS line; null if there was none. */
  readonly behindStarttls: string | null;
  /** What the backend sent behind its 220 to STARTTLS; null if there was none. */
  readonly behindReply: string | null;
}

export interface Transcript {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly expected: Outcome;
}

const NOTHING_LEARNT: Outcome = {
  phase: 'command',
  fault: null,
  cause: null,
  code: 220,
  hello: null,
  name: '',
  capabilities: [],
  starttls: 'not-offered',
  behindStarttls: null,
  behindReply: null,
};

/** Steps are written `C: text` and `S: text`, C being the client and S the backend. */
export function transcript(name: string, lines: readonly string[], expected: Partial<Outcome>): Transcript {
  const steps = lines.map((line): Step => {
    return { from: line.startsWith('C: ') ? 'client' : 'backend', text: line.slice('C: '.length) };
  });
  return { name, steps, expected: { ...NOTHING_LEARNT, ...expected } };
}

export const GREETING = 'S: 220 mx.example.net ESMTP\r\n';
/** A reply to EHLO, and what is known behind it. */
export const OFFER = 'S: 250-mx.example.net\r\n250-SIZE 1000\r\n250 STARTTLS\r\n';
export const OFFERED: Partial<Outcome> = {
  hello: 'EHLO',
  name: 'c.example',
  capabilities: ['SIZE', 'STARTTLS'],
  starttls: 'offered',
};
export const HELLO = 'C: EHLO c.example\r\n';
/** The beginning of a ClientHello. */
export const TLS_RECORD = '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03';
