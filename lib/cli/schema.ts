import { configJsonSchema } from '../config/json-schema.ts';
import { parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb schema

Prints the JSON Schema of configuration files, for editors.
`;

export async function schemaCommand(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, USAGE, {});
  if (!parsed.ok) return parsed.status;
  process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  return 0;
}
