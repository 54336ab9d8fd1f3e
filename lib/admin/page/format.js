/** Numbers as an operator reads them. Absent ones (null) are a dash. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const NONE = '–';

export function count(number) {
  return number === null ? NONE : whole.format(number);
}

/** Millions and more are shortened. */
export function big(number) {
  if (number === null) return NONE;
  if (number < 1e6) return whole.format(number);
  return number < 1e9 ? `${tenths.format(number / 1e6)} M` : `${tenths.format(number / 1e9)} G`;
}

/** A rate, without its unit: 0, 0.3, 12.4, 381. */
export function rate(number) {
  if (number === null) return NONE;
  if (number === 0) return '0';
  if (number < 0.1) return '< 0.1';
  return number < 100 ? tenths.format(number) : whole.format(number);
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Octets in decimal units. */
export function octets(number) {
  if (number === null) return NONE;
  const power = number < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(number) / 3));
  const value = number / 1000 ** power;
  return `${power === 0 || value >= 100 ? whole.format(value) : tenths.format(value)} ${UNITS[power]}`;
}

/** 45 s, 3 min 20 s, 2 h 5 min, 12 d 4 h. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const two = (a, unitA, b, unitB) => (b === 0 ? `${a} ${unitA}` : `${a} ${unitA} ${b} ${unitB}`);
  if (s < 60) return `${s} s`;
  if (s < 3600) return s < 600 ? two(Math.floor(s / 60), 'min', s % 60, 's') : `${Math.round(s / 60)} min`;
  if (s < 86_400) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
  return two(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3600), 'h');
}

/** `1 session`, `2 sessions`. */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}
