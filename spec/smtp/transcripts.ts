import type { Transcript } from './transcript.ts';
import { HELLOS, SERVERS } from './transcripts-hello.ts';
import { HOSTILE } from './transcripts-hostile.ts';
import { STARTTLS } from './transcripts-starttls.ts';

/** Every transcript that the observer is tested with. */
export const TRANSCRIPTS: readonly Transcript[] = [...SERVERS, ...HELLOS, ...STARTTLS, ...HOSTILE];
