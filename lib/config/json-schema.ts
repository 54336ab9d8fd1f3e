/** The schema of the file for editors, and for the reference in the documentation. */
import { z } from 'zod';
import { configSchema } from './schema.ts';

const VARIABLE = '|\\$\\{';

/**
 * The JSON Schema (draft 2020-12) of a configuration file as it is written: every key with a description that says
 * what it takes and its default. Relations between keys are not in it; `smtplb check` knows them.
 */
export function configJsonSchema(): object {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    override({ jsonSchema }) {
      // Where the text that matches will be, a variable may stand. Wrapped schemas come by here twice.
      const { pattern } = jsonSchema;
      if (pattern === undefined || pattern.endsWith(VARIABLE)) return;
      jsonSchema.pattern = `(?:${pattern})${VARIABLE}`;
    },
  });
  return { ...schema, title: 'smtplb configuration' };
}
