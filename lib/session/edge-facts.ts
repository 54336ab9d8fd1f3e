import { HELLO_NAME_OCTETS } from '../core/limits.ts';
import type { HelloVerb } from '../smtp/command.ts';
import { argumentOf, verbOf } from '../smtp/command-line.ts';
import type { StarttlsState } from '../smtp/observer.ts';

/** What is learnt from the dialogue of a session whose TLS ends here; see HandshakeObserver. */
export class EdgeFacts {
  greetingCode = 0;
  hello: HelloVerb | null = null;
  capabilities = 0;
  starttls: StarttlsState = 'not-offered';
  #name = '';

  /** A line with EHLO, HELO or LHLO. */
  hear(line: Uint8Array): void {
    this.hello = verbOf(line) as HelloVerb;
    this.#name = argumentOf(line).slice(0, HELLO_NAME_OCTETS);
  }

  helloName(): string {
    return this.#name;
  }
}
