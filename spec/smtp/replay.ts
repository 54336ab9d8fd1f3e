import { capabilityNames } from '../../lib/smtp/capabilities.ts';
import { createHandshakeObserver, type HandshakeObserver } from '../../lib/smtp/observer.ts';
import type { Outcome, Step } from './transcript.ts';

/** Called behind every chunk, with the chunk's length. */
export type Inspect = (observer: HandshakeObserver, octets: number) => void;

/** Feeds every step to a fresh observer, each step cut at the offsets that `cuts` gives for it. */
export function replay(
  steps: readonly Step[],
  cuts: (step: Step, number: number) => readonly number[],
  inspect?: Inspect,
): Outcome {
  const observer = createHandshakeObserver();
  const streams = { client: '', backend: '' };
  const boundaries = { client: -1, backend: -1 };
  for (const [number, step] of steps.entries()) {
    for (const text of pieces(step.text, cuts(step, number))) {
      const bytes = Buffer.from(text, 'latin1');
      if (step.from === 'client') observer.fromClient(bytes);
      else observer.fromBackend(bytes);
      // The observer must be done with the view, as transports use their buffers again.
      bytes.fill(0x2e);
      if (observer.boundary >= 0) boundaries[step.from] = streams[step.from].length + observer.boundary;
      streams[step.from] += text;
      inspect?.(observer, bytes.length);
    }
  }
  return {
    phase: observer.phase,
    fault: observer.fault,
    cause: observer.opaqueCause,
    code: observer.greetingCode,
    hello: observer.hello,
    name: observer.helloName(),
    capabilities: capabilityNames(observer.capabilities),
    starttls: observer.starttls,
    behindStarttls: boundaries.client < 0 ? null : streams.client.slice(boundaries.client),
    behindReply: boundaries.backend < 0 ? null : streams.backend.slice(boundaries.backend),
  };
}

/** The text cut at ascending offsets. */
export function pieces(text: string, cuts: readonly number[]): string[] {
  return [...cuts, text.length].map((end, number) => text.slice(number === 0 ? 0 : cuts[number - 1], end));
}

/** Cuts between all octets. */
export function everywhere(step: Step): number[] {
  return Array.from({ length: Math.max(0, step.text.length - 1) }, (_, at) => at + 1);
}

/** Neighbouring steps of one side as one step: what TCP may do to them. */
export function merged(steps: readonly Step[]): Step[] {
  const result: Step[] = [];
  for (const step of steps) {
    const last = result.at(-1);
    if (last?.from === step.from)
      result[result.length - 1] = { from: step.from, text: last.text + step.text };
    else result.push(step);
  }
  return result;
}
