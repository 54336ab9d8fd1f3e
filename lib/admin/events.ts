import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Control } from './control.ts';

/** Milliseconds between two events: what a person calls live. */
const PERIOD_MS = 1_000;
/** A reader that has not taken this much is let go; it will connect again. */
const HELD_OCTETS = 1_048_576;

/** Server-sent events: the status document, once a second, to whoever listens. It is made once for all of them. */
export interface Events {
  subscribe(request: IncomingMessage, response: ServerResponse): void;
  close(): void;
}

export function createEvents(control: Control): Events {
  const readers = new Set<ServerResponse>();
  let timer: NodeJS.Timeout | null = null;

  const event = (): string => `data: ${JSON.stringify(control.status())}\n\n`;
  const leave = (reader: ServerResponse): void => {
    readers.delete(reader);
    if (readers.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };
  const tellAll = (): void => {
    const text = event();
    for (const reader of readers) {
      if (reader.writableLength > HELD_OCTETS) reader.destroy();
      else reader.write(text);
    }
  };

  return {
    subscribe(request, response) {
      response.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      });
      response.write(`retry: 2000\n${event()}`);
      readers.add(response);
      timer ??= setInterval(tellAll, PERIOD_MS);
      request.on('close', () => leave(response));
      response.on('close', () => leave(response));
    },
    close() {
      for (const reader of readers) {
        leave(reader);
        reader.destroy();
      }
    },
  };
}
