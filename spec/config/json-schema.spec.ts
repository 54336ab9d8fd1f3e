// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of the configuration look like that
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { parse } from 'yaml';
import { configJsonSchema } from '../../lib/config/json-schema.ts';

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

const schema: Schema = JSON.parse(JSON.stringify(configJsonSchema()));

/** Calls `visit` for every mapping in the schema. */
function mappings(at: Schema, path: string, visit: (mapping: Schema, path: string) => void): void {
  if (at.properties !== undefined) visit(at, path);
  for (const [key, inner] of Object.entries(at.properties ?? {})) mappings(inner, `${path}.${key}`, visit);
  for (const branch of at.anyOf ?? []) mappings(branch, path, visit);
  if (at.items !== undefined) mappings(at.items, `${path}[]`, visit);
}

/** As much of JSON Schema as ours uses. */
function accepts(at: Schema, value: unknown): boolean {
  if (at.anyOf !== undefined) return at.anyOf.some(branch => accepts(branch, value));
  if (at.enum !== undefined) return at.enum.includes(value);
  if (at.type === 'string') return typeof value === 'string' && new RegExp(at.pattern ?? '', 'u').test(value);
  if (at.type === 'boolean') return typeof value === 'boolean';
  if (at.type === 'array') return Array.isArray(value) && value.every(item => accepts(at.items ?? {}, item));
  if (at.type === 'integer') {
    return (
      Number.isInteger(value) && Number(value) >= (at.minimum ?? 0) && Number(value) <= (at.maximum ?? 0)
    );
  }
  if (at.type !== 'object' || typeof value !== 'object' || value === null) return false;
  const missing = (at.required ?? []).filter(key => !Object.hasOwn(value, key));
  return (
    missing.length === 0 &&
    Object.entries(value).every(([key, inner]) => {
      const property = at.properties?.[key];
      return property !== undefined && accepts(property, inner);
    })
  );
}

t.test('every key is described, with what it takes and its default', async t => {
  let keys = 0;
  mappings(schema, '', (mapping, path) => {
    t.equal(mapping.additionalProperties, false, `${path}: no other keys`);
    for (const [key, { description = '' }] of Object.entries(mapping.properties ?? {})) {
      keys++;
      t.match(description, /^[A-Z].*\. Takes .+\.$/, `${path}.${key}`);
      const required = mapping.required?.includes(key) ?? false;
      t.equal(
        description.endsWith('Required.'),
        required,
        `${path}.${key} is ${required ? '' : 'not '}required`,
      );
    }
  });
  t.ok(keys > 80, `${keys} keys`);
});

t.test('only what has no default is required', async t => {
  const required: string[] = [];
  mappings(schema, '', (mapping, path) => {
    for (const key of mapping.required ?? []) required.push(`${path}.${key}`);
  });
  t.same(required.sort(), [
    '.cluster.redis.cluster',
    '.cluster.redis.master',
    '.cluster.redis.sentinels',
    '.cluster.redis.url',
    '.listeners',
    '.listeners[].listen',
    '.listeners[].pool',
    '.listeners[].proxyProtocol.from',
    '.listeners[].tls.certificates[].cert',
    '.listeners[].tls.certificates[].key',
    '.listeners[].tls.clientCertificates.ca',
    '.listeners[].tls.routes[].names',
    '.listeners[].tls.routes[].pool',
    '.pools',
    '.pools[].backends',
    '.pools[].backends[].address',
    '.pools[].backends[].maxConnections.count',
    '.pools[].check.mail.to',
    '.pools[].tls.certificate.cert',
    '.pools[].tls.certificate.key',
    '.pools[].warm.size',
  ]);
});

t.test('an editor accepts the examples as they are written, and not what is wrong', async t => {
  for (const file of ['full', 'postfix', 'quick-start']) {
    t.ok(accepts(schema, parse(await readFile(`examples/${file}.yaml`, 'utf8'))), file);
  }
  const good = { listeners: [{ listen: 'a', pool: 'mx' }], pools: [{ backends: [{ address: 'b' }] }] };
  t.ok(accepts(schema, good));
  t.notOk(accepts(schema, { ...good, listener: [] }));
  t.notOk(accepts(schema, { ...good, shards: 0 }));
  t.notOk(accepts(schema, { ...good, instance: 'a b' }));
  t.ok(accepts(schema, { ...good, instance: '${NAME}' }), 'a variable may stand for text');
});
