/**
 * The status document as events, for as long as the page is open. `onStatus(document)` for each; `onHistory(document)`
 * whenever a connection was made, for the minutes before it; `onLife(isLive, seconds)` every second: whether it is
 * live, and how old what is shown is (null before the first event).
 */

/** Events come once a second; after this many milliseconds without one the connection counts as lost. */
const LOST_MS = 3_500;
/** A connection that says nothing for so long is given up for a new one. */
const SILENT_MS = 10_000;
/** Before a connection that was refused is tried again. */
const RETRY_MS = 2_000;

export function startStream({ onHistory, onLife, onStatus }) {
  let source = null;
  let heardAt = null;
  let isBroken = false;
  let openedAt = 0;

  function tellLife() {
    if (heardAt === null) return onLife(false, null);
    const silentMs = performance.now() - heardAt;
    onLife(!isBroken && silentMs < LOST_MS, silentMs / 1000);
  }

  async function recall() {
    try {
      const response = await fetch('/api/v1/history', { signal: AbortSignal.timeout(5_000) });
      if (response.ok) onHistory(await response.json());
    } catch {
      // The plots begin now.
    }
  }

  function open() {
    source?.close();
    openedAt = performance.now();
    source = new EventSource('/api/v1/events');
    source.addEventListener('open', recall);
    source.addEventListener('error', () => {
      isBroken = true;
      tellLife();
    });
    source.addEventListener('message', event => {
      heardAt = performance.now();
      isBroken = false;
      onStatus(JSON.parse(event.data));
      onLife(true, 0);
    });
  }

  open();
  setInterval(() => {
    tellLife();
    // A browser connects again by itself, but not after an answer that was no stream, nor where nothing moves.
    const isGivenUp = source.readyState === EventSource.CLOSED;
    const quietMs = performance.now() - Math.max(openedAt, heardAt ?? 0);
    if (quietMs > (isGivenUp ? RETRY_MS : SILENT_MS)) open();
  }, 1_000);
}
