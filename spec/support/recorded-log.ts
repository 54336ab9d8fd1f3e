/** A log that remembers its lines. */
export interface RecordedLog {
  readonly lines: string[];
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export function recordedLog(): RecordedLog {
  const lines: string[] = [];
  return {
    lines,
    info: (_, message) => void lines.push(`info: ${message}`),
    warn: (_, message) => void lines.push(`warn: ${message}`),
  };
}
