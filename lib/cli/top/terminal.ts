import type { ScreenLine } from './screen.ts';

const ESC = '\u001b[';
/** SGR codes; a terminal without colours still shows bold, faint and reverse. */
const LOOKS: Readonly<Record<ScreenLine['look'], string>> = {
  plain: '0',
  heading: '1',
  good: '32',
  warning: '1;33',
  bad: '1;31',
  selected: '7',
  faint: '2',
};

/** A terminal taken over for a while: another screen, no cursor, keys as they are pressed. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  draw(lines: readonly ScreenLine[]): void;
  /** Gives the terminal back as it was. */
  close(): void;
}

export function openTerminal(onKey: (key: string) => void, onResize: () => void): Terminal {
  const { stdin, stdout } = process;
  const keys = (text: string): void => onKey(text);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8').on('data', keys).resume();
  stdout.on('resize', onResize);
  stdout.write(`${ESC}?1049h${ESC}?25l`);
  return {
    get columns() {
      return stdout.columns || 80; // 0 where the terminal does not know
    },
    get rows() {
      return stdout.rows || 24;
    },
    draw(lines) {
      // Drawn over what is there, and the rest of each line cleared: a cleared screen would flicker.
      const text = lines.map(({ text, look }) => `${ESC}${LOOKS[look]}m${text}${ESC}0m${ESC}K`).join('\r\n');
      stdout.write(`${ESC}H${text}${ESC}J`);
    },
    close() {
      stdout.off('resize', onResize);
      stdin.off('data', keys).pause();
      stdin.setRawMode(false);
      stdout.write(`${ESC}?25h${ESC}?1049l`);
    },
  };
}
