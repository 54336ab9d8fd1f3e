import { type KeywordTable, keywordTable } from './keyword.ts';

/**
 * The service extensions that are recognised in a reply to EHLO or LHLO, by their keyword in the IANA registry
 * of mail parameters; XCLIENT and XFORWARD are Postfix's. Bit i of a capability mask is name i of this list.
 */
export const CAPABILITIES = [
  'PIPELINING',
  'SIZE',
  '8BITMIME',
  'STARTTLS',
  'AUTH',
  'DSN',
  'CHUNKING',
  'BINARYMIME',
  'SMTPUTF8',
  'ENHANCEDSTATUSCODES',
  'ETRN',
  'VRFY',
  'EXPN',
  'HELP',
  'XCLIENT',
  'XFORWARD',
  'REQUIRETLS',
  'LIMITS',
  'DELIVERBY',
] as const;

export type Capability = (typeof CAPABILITIES)[number];

/** The words, to be found without copying. */
export const CAPABILITY_WORDS: KeywordTable = keywordTable(CAPABILITIES);

/** The bit of a capability in a mask. */
export function capabilityBit(name: Capability): number {
  return 1 << CAPABILITIES.indexOf(name);
}

/** The names in a mask, in the order of CAPABILITIES; for logs, not for the hot path. */
export function capabilityNames(mask: number): Capability[] {
  return CAPABILITIES.filter((_, number) => (mask & (1 << number)) !== 0);
}
