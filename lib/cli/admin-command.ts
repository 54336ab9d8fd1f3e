import { type AdminClient, adminClient } from './admin-client.ts';
import { complain } from './usage.ts';

/** Runs a command against an instance; 1, with a sentence, where it cannot be asked. */
export async function withAdmin(
  told: string | undefined,
  usage: string,
  run: (client: AdminClient) => Promise<number>,
): Promise<number> {
  const client = adminClient(told, process.env);
  if (client === undefined)
    return complain('--admin is 127.0.0.1:8404, [::1]:8404 or unix:/path', usage).status;
  try {
    return await run(client);
  } catch (error) {
    process.stderr.write(`smtplb: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

/** Runs one verb and says what it came to. */
export function verb(
  told: string | undefined,
  usage: string,
  path: string,
  body?: Readonly<Record<string, unknown>>,
): Promise<number> {
  return withAdmin(told, usage, async client => {
    const { ok, message } = await client.post(path, body);
    (ok ? process.stdout : process.stderr).write(ok ? `${message}\n` : `smtplb: ${message}\n`);
    return ok ? 0 : 1;
  });
}
