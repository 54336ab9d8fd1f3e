import type { SecureContext } from 'node:tls';
import { printable } from '../core/text.ts';
import { capabilityBit } from '../smtp/capabilities.ts';
import { type Conversation, createConversation, type Heard, type Reply } from './conversation.ts';
import type { CheckedBackend } from './options.ts';
import { type Verdict, verdict } from './outcome.ts';
import { isAboutHeader, isOutOfStep, misunderstood, refusalHint, silenceHint } from './proxy-signs.ts';
import { secure } from './starttls.ts';

/** Where a dialogue has come: what it says when time runs out, and whom to take leave from. */
export interface Dialogue {
  talk: Conversation;
  /** The greeting was 220 to its end: the backend may be told QUIT. */
  greeted: boolean;
}

interface Scene extends Dialogue {
  readonly backend: CheckedBackend;
  readonly trusted: SecureContext | undefined;
  readonly signal: AbortSignal;
  certificateDaysLeft: number | null;
  /** What it offered when last asked. */
  capabilities: number;
}

const STARTTLS = capabilityBit('STARTTLS');
const XCLIENT = capabilityBit('XCLIENT');

/**
 * The SMTP of a check, from the greeting to just before QUIT (RFC 5321 section 3.1, RFC 3207). Resolves with the
 * verdict, at the latest when `signal` is given; never rejects. `dialogue` tells meanwhile how far it is.
 */
export async function converse(
  dialogue: Dialogue,
  backend: CheckedBackend,
  trusted: SecureContext | undefined,
  signal: AbortSignal,
): Promise<Verdict> {
  const unknown = { certificateDaysLeft: null, capabilities: 0 };
  const scene: Scene = Object.assign(dialogue, { backend, trusted, signal, ...unknown });
  const { starttls, mail } = backend.check;
  const implicit = starttls?.implicit === true;
  const found =
    (implicit ? await handshake(scene, 'sent plaintext where TLS was to begin') : null) ??
    (await greeting(scene)) ??
    (await hello(scene)) ??
    (starttls === undefined || implicit ? null : await upgrade(scene)) ??
    (mail === undefined ? null : await transaction(scene)) ??
    verdict('ok', success(scene));
  return { ...found, certificateDaysLeft: scene.certificateDaysLeft };
}

function success({ backend, capabilities, certificateDaysLeft }: Scene): string {
  const { starttls, mail } = backend.check;
  const tls =
    starttls === undefined ? '' : `, spoke TLS (certificate valid for ${certificateDaysLeft ?? '?'} days)`;
  const trusting =
    backend.anonymous === true && (capabilities & XCLIENT) !== 0
      ? '; it offers XCLIENT to smtplb and so to every client: see identity.md'
      : '';
  return `greeted, answered EHLO${tls}${mail === undefined ? '' : ', took MAIL and RCPT'}${trusting}`;
}

async function greeting(scene: Scene): Promise<Verdict | null> {
  const { identity } = scene.backend;
  const heard = await scene.talk.hear(scene.signal);
  if (heard.kind !== 'reply') return unheard(heard, 'the greeting', silenceHint(identity));
  const { code, brokeOff } = heard;
  if (code === 220) {
    scene.greeted = true;
    return null;
  }
  if (code < 400) return verdict('not-smtp', `greeted with "${shown(heard)}", which no SMTP server says`);
  if (identity !== 'none' && isAboutHeader(heard))
    return verdict('proxy-not-understood', misunderstood(identity, shown(heard)));
  const how = brokeOff === 0 ? 'greeted with' : `broke its ${brokeOff} greeting off with`;
  return verdict(
    code < 500 ? 'busy' : 'rejecting',
    `${how} "${shown(heard)}"${refusalHint(identity, heard)}`,
  );
}

async function hello(scene: Scene): Promise<Verdict | null> {
  const { check, identity } = scene.backend;
  const { talk, signal } = scene;
  talk.say(`EHLO ${check.helo}`);
  const heard = await talk.hear(signal);
  if (heard.kind !== 'reply') return unheard(heard, 'the reply to EHLO', '', 'bad-ehlo');
  if (heard.code !== 250) {
    // Version 2 has a QUIT in its signature, and nobody else has said it yet.
    const header = identity === 'proxy-v2' && heard.code === 221;
    if (header || (identity !== 'none' && heard.code >= 500 && (await outOfStep(scene, heard))))
      return verdict('proxy-not-understood', misunderstood(identity, shown(heard)));
    return verdict('bad-ehlo', `answered EHLO ${printable(check.helo)} with "${shown(heard)}"`);
  }
  scene.capabilities = heard.capabilities;
  if (
    check.starttls !== undefined &&
    check.starttls.implicit !== true &&
    (heard.capabilities & STARTTLS) === 0
  )
    return verdict('no-starttls', 'does not offer STARTTLS');
  return null;
}

/** Says two things whose answers are known, and sees whether the answers are to them. */
async function outOfStep({ talk, signal }: Scene, refusal: Reply): Promise<boolean> {
  if (isOutOfStep([refusal])) return true;
  const replies: Reply[] = [];
  talk.say('NOOP');
  for (;;) {
    const heard = await talk.hear(signal);
    if (heard.kind !== 'reply') break;
    replies.push(heard);
    if (heard.code === 221 || replies.length > 2) break;
    if (!talk.leaving) talk.say('QUIT');
  }
  return isOutOfStep(replies);
}

async function upgrade(scene: Scene): Promise<Verdict | null> {
  const { talk, signal, backend } = scene;
  talk.say('STARTTLS');
  const heard = await talk.hear(signal);
  if (heard.kind !== 'reply') return unheard(heard, 'the reply to STARTTLS');
  if (heard.code !== 220) return verdict('no-starttls', `answered STARTTLS with "${shown(heard)}"`);
  // RFC 3207 section 4.2, CVE-2021-38371: what came in plaintext must not count as if it came in TLS.
  const failed = await handshake(scene, 'sent plaintext behind its 220 to STARTTLS');
  if (failed !== null) return failed;
  scene.talk.say(`EHLO ${backend.check.helo}`);
  const again = await scene.talk.hear(signal);
  if (again.kind !== 'reply') return unheard(again, 'the reply to EHLO over TLS', '', 'bad-ehlo');
  scene.capabilities = again.capabilities;
  return again.code === 250 ? null : verdict('bad-ehlo', `answered EHLO over TLS with "${shown(again)}"`);
}

/** TLS on the connection; `plaintext` is what to say of bytes that came before. */
async function handshake(scene: Scene, plaintext: string): Promise<Verdict | null> {
  const { talk, signal, backend, trusted } = scene;
  const options = backend.check.starttls;
  if (options === undefined || trusted === undefined) return null;
  const raw = talk.release();
  if (raw === null) return verdict('tls-failed', plaintext);
  const secured = await secure(raw, { ...options, context: trusted, address: backend.address }, signal);
  scene.talk = createConversation(secured.socket);
  const isWhole = secured.result === 'secure' || secured.result === 'invalid';
  // Before its greeting it is told nothing, and within half a handshake there is no way to say QUIT.
  scene.greeted &&= isWhole;
  scene.certificateDaysLeft = secured.certificateDaysLeft;
  if (!isWhole) secured.socket.destroy();
  if (secured.result === 'late') return verdict('timeout', 'the TLS handshake was not over in time');
  return secured.result === 'secure' ? null : verdict('tls-failed', secured.detail);
}

async function transaction({ talk, signal, backend }: Scene): Promise<Verdict | null> {
  const { mail } = backend.check;
  if (mail === undefined) return null;
  let found: Verdict | null = null;
  for (const command of [`MAIL FROM:<${mail.from}>`, `RCPT TO:<${mail.to}>`, 'RSET']) {
    // Once refused, nothing is left to do but to reset.
    if (found !== null && command !== 'RSET') continue;
    talk.say(command);
    const heard = await talk.hear(signal);
    if (heard.kind !== 'reply') return found ?? unheard(heard, `the reply to ${command.slice(0, 4)}`);
    if (heard.code < 200 || heard.code > 299)
      found ??= verdict('mail-refused', `answered ${command} with "${shown(heard)}"`);
  }
  return found;
}

/** No reply: the verdict, and the step in its sentence. */
function unheard(
  heard: Exclude<Heard, Reply>,
  step: string,
  hint = '',
  nonsense: 'not-smtp' | 'bad-ehlo' = 'not-smtp',
): Verdict {
  const seen = heard.text === '' ? '' : ` (so far: "${printable(heard.text)}")`;
  switch (heard.kind) {
    case 'late': {
      // postscreen_greet_wait is six seconds unless the client is in postscreen_access_list.
      const paused = /^220 /.test(heard.text) ? '; postscreen pauses so: raise check.timeout' : hint;
      return verdict('timeout', `no end of ${step} in time${seen}${paused}`);
    }
    case 'ended':
      return verdict(heard.how, `${heard.how} the connection before the end of ${step}${seen}${hint}`);
    case 'nonsense':
      return verdict(nonsense, `sent "${printable(heard.text)}" for ${step} (${heard.fault})`);
  }
}

function shown({ text }: Reply): string {
  return printable(text);
}
