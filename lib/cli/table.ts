/** Rows under a heading, each column as wide as its widest cell; numbers are set to the right. */
export function table(heading: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const lines = [heading, ...rows];
  const widths = heading.map((_, at) => Math.max(...lines.map(line => String(line[at]).length)));
  return lines
    .map(line =>
      line
        .map((cell, at) => padded(cell, widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map(line => `${line}\n`)
    .join('');
}

function padded(cell: string | number, width: number): string {
  return typeof cell === 'number' ? String(cell).padStart(width) : cell.padEnd(width);
}
