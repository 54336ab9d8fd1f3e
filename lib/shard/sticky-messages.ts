/** A keeper in the control plane's thread, as a shard in a thread of its own asks it. */
import type { FromWorker, ToWorker } from './messages.ts';
import type { StickyKeeper, StickyRecall } from './sticky-keeper.ts';

type Asked = Extract<FromWorker, { type: 'recall' | 'claim' }>;
type Answered = Extract<ToWorker, { type: 'recalled' | 'claimed' }>;

/** The shard's side. An answer that never comes is waited for by nobody: sessions keep a deadline of their own. */
export function createKeeperOverMessages(tell: (message: Asked) => void): {
  readonly keeper: StickyKeeper;
  onMessage(message: Answered): void;
} {
  let lastId = 0;
  const recalls = new Map<number, (recall: StickyRecall) => void>();
  const claims = new Map<number, (backends: readonly (string | null)[] | null) => void>();
  return {
    keeper: {
      recall: (questions, timeoutMs) =>
        new Promise(resolve => {
          const id = ++lastId;
          recalls.set(id, resolve);
          tell({ type: 'recall', id, questions, timeoutMs });
        }),
      claim: told =>
        new Promise(resolve => {
          const id = ++lastId;
          claims.set(id, resolve);
          tell({ type: 'claim', id, claims: told });
        }),
    },
    onMessage(message) {
      if (message.type === 'recalled') {
        recalls.get(message.id)?.(message.recall);
        recalls.delete(message.id);
      } else {
        claims.get(message.id)?.(message.backends);
        claims.delete(message.id);
      }
    },
  };
}

/** The control plane's side. */
export async function answerShard(keeper: StickyKeeper, asked: Asked): Promise<Answered> {
  const { id } = asked;
  return asked.type === 'recall'
    ? { type: 'recalled', id, recall: await keeper.recall(asked.questions, asked.timeoutMs) }
    : { type: 'claimed', id, backends: await keeper.claim(asked.claims) };
}
