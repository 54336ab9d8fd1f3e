import { printable } from '../core/text.ts';

/** What others have said ends up in a terminal: no control character of theirs may. */
export function printableLines(text: string): string {
  return text
    .split('\n')
    .map(line => printable(line, 400))
    .join('\n');
}
