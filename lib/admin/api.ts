import type { IncomingMessage } from 'node:http';
import type { AdminState } from '../pool/snapshot.ts';
import { type Answer, failure, json } from './answer.ts';
import type { Control, Outcome, VerbScope } from './control.ts';
import { type GuardOptions, refuseVerb } from './guard.ts';

const ADMIN_STATES: ReadonlyMap<string, AdminState> = new Map([
  ['ready', 'ready'],
  ['drain', 'drain'],
  ['maint', 'maint'],
]);
const MAX_WEIGHT = 256;
const MAX_SESSIONS = 10_000;
const BODY_OCTETS = 65_536;

/** Answers what is below `/api/v1/`; the caller has checked Host. */
export async function answerApi(
  request: IncomingMessage,
  url: URL,
  control: Control,
  guard: GuardOptions,
): Promise<Answer> {
  const parts = url.pathname.slice('/api/v1/'.length).split('/').map(decoded);
  const [what] = parts;
  if (request.method === 'GET' || request.method === 'HEAD') {
    if (what === 'status' && parts.length === 1) return json(200, control.status());
    if (what === 'cluster' && parts.length === 1) return json(200, await control.cluster());
    if (what === 'sessions' && parts.length === 1) return sessions(url, control);
    return failure(404, 'there is no such resource; see docs/operating.md for the API');
  }
  if (request.method !== 'POST') return failure(405, 'verbs are POST, everything else is GET');
  const refusal = refuseVerb(request, guard);
  if (refusal !== null) return failure(refusal.status, refusal.message);
  const body = await readBody(request);
  if (body === null) return failure(413, `the body has more than ${BODY_OCTETS} octets`);
  if (typeof body === 'string') return failure(400, body);
  if (what === 'reload' && parts.length === 1) return outcome(await control.reload());
  if (what === 'upgrade' && parts.length === 1) return outcome(await control.upgrade());
  const [, pool, , backend, verb] = parts;
  if (
    what !== 'pools' ||
    parts[2] !== 'backends' ||
    parts.length !== 5 ||
    pool === undefined ||
    backend === undefined
  ) {
    return failure(404, 'there is no such verb; see docs/operating.md for the API');
  }
  const cluster = body.get('cluster') ?? false;
  if (typeof cluster !== 'boolean') return failure(400, 'cluster is true or false');
  const scope: VerbScope = cluster ? 'cluster' : 'instance';
  const state = ADMIN_STATES.get(verb ?? '');
  if (state !== undefined) return setAdmin(control, pool, backend, state, body, scope);
  if (verb === 'weight') return setWeight(control, pool, backend, body, scope);
  return failure(404, `a backend can be told ready, drain, maint or weight, not ${JSON.stringify(verb)}`);
}

async function sessions(url: URL, control: Control): Promise<Answer> {
  const limit = Number(url.searchParams.get('limit') ?? '1000');
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_SESSIONS) {
    return failure(400, `limit is a whole number from 1 to ${MAX_SESSIONS}`);
  }
  const pool = url.searchParams.get('pool');
  const backend = url.searchParams.get('backend');
  const filter = { limit, ...(pool !== null && { pool }), ...(backend !== null && { backend }) };
  return json(200, { sessions: await control.sessions(filter) });
}

async function setAdmin(
  control: Control,
  pool: string,
  backend: string,
  state: AdminState,
  body: Body,
  scope: VerbScope,
): Promise<Answer> {
  const endSessions = body.get('endSessions') ?? false;
  if (typeof endSessions !== 'boolean') return failure(400, 'endSessions is true or false');
  if (endSessions && state !== 'maint')
    return failure(400, 'endSessions goes with maint; drain lets sessions finish');
  return outcome(await control.setAdmin(pool, backend, state, endSessions, scope));
}

async function setWeight(
  control: Control,
  pool: string,
  backend: string,
  body: Body,
  scope: VerbScope,
): Promise<Answer> {
  const weight = body.get('weight');
  if (weight === null) return outcome(await control.setWeight(pool, backend, null, scope));
  if (typeof weight !== 'number' || !Number.isInteger(weight) || weight < 1 || weight > MAX_WEIGHT) {
    return failure(400, `weight is a whole number from 1 to ${MAX_WEIGHT}, or null for the configuration's`);
  }
  return outcome(await control.setWeight(pool, backend, weight, scope));
}

function outcome({ ok, message }: Outcome): Answer {
  return json(ok ? 200 : 409, { ok, message });
}

type Body = ReadonlyMap<string, unknown>;

/**
 * The members of a JSON object; none where there is no body. A sentence where it is anything else, null where it is too
 * large: what is too much is read and forgotten, or the caller would find the connection reset and no answer.
 */
async function readBody(request: IncomingMessage): Promise<Body | string | null> {
  const chunks: Buffer[] = [];
  let octets = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    octets += chunk.length;
    if (octets <= BODY_OCTETS) chunks.push(chunk);
  }
  if (octets === 0) return new Map();
  if (octets > BODY_OCTETS) return null;
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return new Map(Object.entries(value));
  } catch {
    // Said below.
  }
  return 'the body is no JSON object';
}

/** A part of the path; undecodable ones stay as they are and match nothing. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
