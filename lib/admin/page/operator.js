import { put, say, show } from './dom.js';
import { plural } from './format.js';

/**
 * Verbs for who holds the token. It is kept for this tab only, sent in a header and shown nowhere. `changed` is
 * called when it comes or goes, and when a verb has done something.
 */

const KEY = 'smtplb-token';
const byId = id => document.getElementById(id);

export function createOperator(changed) {
  const [form, field, held, message, dialog] = ['token-form', 'token', 'token-held', 'message', 'maint'].map(
    byId,
  );
  let token = sessionStorage.getItem(KEY);

  const isForCluster = () => !byId('scope').hidden && byId('scope-cluster').checked;

  const keep = next => {
    token = next;
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
    field.value = '';
    show(form, token === null);
    show(held, token !== null);
    changed();
  };
  const answer = (isGood, text) => {
    put(message, 'data-level', isGood ? 'ok' : 'bad');
    say(byId('message-text'), `${isGood ? '' : 'Not done: '}${text}`);
    show(message, true);
  };

  form.addEventListener('submit', event => {
    event.preventDefault();
    // Others cannot be sent in a header, and the configuration has none.
    if (!/^[\x21-\x7e]+$/.test(field.value))
      return answer(false, 'a token is printable ASCII without spaces.');
    keep(field.value);
    show(message, false);
    byId('token-forget').focus();
  });
  byId('token-forget').addEventListener('click', () => {
    keep(null);
    field.focus();
  });
  byId('message-close').addEventListener('click', () => show(message, false));

  async function call(pool, backend, verb, body) {
    const path = [pool, 'backends', backend, verb].map(encodeURIComponent).join('/');
    try {
      const response = await fetch(`/api/v1/pools/${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
      const said = await response.json();
      answer(response.ok, String(said.message));
      if (response.status === 401) {
        keep(null);
        field.focus();
      } else changed();
    } catch {
      answer(false, 'the instance did not answer. Look at the address, and whether it runs.');
    }
  }

  /** Asks before anything that may end sessions. Resolves with the body to send, or null. */
  function confirmMaint(pool, { active: here, activeElsewhere, name }, isCluster) {
    const active = here + (isCluster ? (activeElsewhere ?? 0) : 0);
    say(
      byId('maint-title'),
      `Put ${pool}/${name} into maintenance${isCluster ? ' in the whole cluster' : ''}?`,
    );
    say(
      byId('maint-text'),
      active === 0
        ? 'It gets no new sessions until it is made ready. None is running there now.'
        : `It gets no new sessions until it is made ready. ${plural(active, 'session')} ${active === 1 ? 'is' : 'are'} running there: let them finish, or end them now. Clients whose session is ended try again later.`,
    );
    show(byId('maint-end'), active > 0);
    dialog.returnValue = '';
    dialog.showModal();
    return new Promise(resolve => {
      const done = () => {
        const chosen = dialog.returnValue;
        resolve(chosen === 'keep' ? {} : chosen === 'end' ? { endSessions: true } : null);
      };
      dialog.addEventListener('close', done, { once: true });
    });
  }
  for (const [id, value] of [
    ['maint-keep', 'keep'],
    ['maint-end', 'end'],
    ['maint-cancel', ''],
  ]) {
    byId(id).addEventListener('click', () => dialog.close(value));
  }

  show(form, token === null);
  show(held, token !== null);
  return {
    get hasToken() {
      return token !== null;
    },
    /** Whether there is a cluster that could be told. */
    offerCluster(isThere) {
      show(byId('scope'), isThere);
    },
    async tell(pool, backend, verb, button) {
      const isCluster = isForCluster();
      const chosen = verb === 'maint' ? await confirmMaint(pool, backend, isCluster) : {};
      if (chosen === null) return button.focus();
      const body = isCluster ? { ...chosen, cluster: true } : chosen;
      put(button, 'aria-busy', 'true');
      await call(pool, backend.name, verb, body);
      put(button, 'aria-busy', null);
    },
  };
}
