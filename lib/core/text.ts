import { LOGGED_TEXT_OCTETS } from './limits.ts';

/**
 * Text from outside, safe to show in a log, a page or a terminal: control characters (C0, DEL, C1, and with them ESC)
 * become `\xNN`, and it is cut to a fixed length.
 */
export function printable(text: string, length = LOGGED_TEXT_OCTETS): string {
  const cut = text.length > length ? `${text.slice(0, length)}…` : text;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return cut.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
