import { REPLY_LINE_OCTETS } from '../core/limits.ts';

const LINE_END = '\r\n';

/**
 * A one-line reply of our own, `421 4.3.2 mx.example.net Too busy` and CRLF: the refusals of a listener (RFC 5321
 * section 4.2, enhanced code as in RFC 3463). Whatever is not printable ASCII is left out of host name and text,
 * so that neither can begin another line, and the text is cut so that the line has at most REPLY_LINE_OCTETS.
 */
export function refusal(code: number, enhanced: string, hostName: string, text: string): Uint8Array {
  const words = [String(code), enhanced, hostName, text].map(printable).filter(word => word !== '');
  const line = words.join(' ').slice(0, REPLY_LINE_OCTETS - LINE_END.length);
  return Buffer.from(line + LINE_END, 'latin1');
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '').trim();
}
