type Cell = string | number;

/** Rows under a heading, each column as wide as its widest cell; columns of numbers are set to the right. */
export function table(heading: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const columns = heading.map((name, at) => {
    const cells = rows.map(row => String(row[at]));
    return {
      width: Math.max(name.length, ...cells.map(cell => cell.length)),
      right: cells.length > 0 && cells.every(isNumber),
    };
  });
  return [heading, ...rows]
    .map(row => columns.map(({ width, right }, at) => padded(String(row[at]), width, right)))
    .map(cells => `${cells.join('  ').trimEnd()}\n`)
    .join('');
}

/** A number, with or without a unit of bytes, or the dash that stands for none. */
function isNumber(cell: string): boolean {
  return /^(?:-|\d+(?:\.\d+)?(?: [kMG]?B)?)$/.test(cell);
}

function padded(cell: string, width: number, right: boolean): string {
  return right ? cell.padStart(width) : cell.padEnd(width);
}
