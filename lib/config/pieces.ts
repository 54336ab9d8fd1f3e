/**
 * What every section of the schema is made of. A piece knows what it expects, in words: the same words end a
 * fault's sentence ("found `x`, expected ...") and a key's description in the JSON Schema.
 *
 * Inside this folder a zod issue's message therefore is the expectation, not a sentence, with two exceptions:
 * an issue about unknown keys carries the known ones (separated by spaces), and an issue of `refuse` is whole.
 */
import { z } from 'zod';

const expectations = new WeakMap<z.ZodType, string>();

/** Notes in words what a schema accepts, and returns it. */
export function expecting<T extends z.ZodType>(schema: T, words: string): T {
  expectations.set(schema, words);
  return schema;
}

/** What a piece accepts, in words. */
export function expected(schema: z.ZodType): string {
  return expectations.get(schema) ?? 'something else';
}

/** A mapping with these keys and no others. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape, words: string) {
  const known = Object.keys(shape).join(' ');
  const schema = z.strictObject(shape, {
    error: issue => (issue.code === 'unrecognized_keys' ? known : words),
  });
  return expecting(schema, words);
}

/** A key that may be left out, and what then holds. The fallback is written as in a file. */
export function key<T extends z.ZodType>(schema: T, fallback: z.input<T>, text: string) {
  const shown = typeof fallback === 'string' ? fallback : JSON.stringify(fallback);
  const suffix = shown === '{}' ? '' : ` Default: ${shown}.`;
  return schema.prefault(fallback as never).describe(`${text} Takes ${expected(schema)}.${suffix}`);
}

/** A key that may be left out; `without` says what then holds. */
export function optionalKey<T extends z.ZodType>(schema: T, without: string, text: string) {
  return schema.optional().describe(`${text} Takes ${expected(schema)}. Default: ${without}.`);
}

/** A key that must be there. */
export function requiredKey<T extends z.ZodType>(schema: T, text: string) {
  return schema.describe(`${text} Takes ${expected(schema)}. Required.`);
}

/** Text that matches `pattern`. */
export function text(words: string, pattern: RegExp) {
  return expecting(z.string({ error: words }).regex(pattern, { error: words }), words);
}

/** Text that `parse` understands: it answers undefined for what it refuses, and never throws. */
export function parsed<T>(words: string, parse: (text: string) => T | undefined) {
  const schema = z.string({ error: words }).transform((value, context): T => {
    const result = parse(value);
    if (result !== undefined) return result;
    context.addIssue({ code: 'custom', message: words });
    return z.NEVER;
  });
  return expecting(schema, words);
}

export function integer(min: number, max: number) {
  const words = `a whole number from ${min} to ${max}`;
  return expecting(z.int({ error: words }).min(min, { error: words }).max(max, { error: words }), words);
}

export function flag() {
  const words = 'true or false';
  return expecting(z.boolean({ error: words }), words);
}

/** One of a few words. */
export function choice<const Values extends readonly [string, ...string[]]>(...values: Values) {
  const words = values.length === 1 ? values[0] : `one of ${values.join(', ')}`;
  return expecting(z.enum(values, { error: words }), words);
}

/** A list of `min` to `max` pieces; `of` names them in the plural. */
export function list<T extends z.ZodType>(item: T, of: string, min: number, max: number) {
  const words = `a list of ${min === 0 ? 'up to' : `${min} to`} ${max} ${of}`;
  return expecting(
    z.array(item, { error: words }).min(min, { error: words }).max(max, { error: words }),
    words,
  );
}

/** Either of several pieces, told apart by their type. */
export function either<const T extends readonly [z.ZodType, ...z.ZodType[]]>(...pieces: T) {
  const words = pieces.map(expected).join(', or ');
  return expecting(z.union(pieces, { error: words }), words);
}

/** A refusal that is a whole sentence by itself, for relations between keys. */
export function refuse(context: z.RefinementCtx, path: (string | number)[], sentence: string): void {
  context.addIssue({ code: 'custom', message: sentence, path, params: { whole: true } });
}
