// Keeps what is cached true: looks when something is heard, and from time to time whatever is heard.
//
// The rule: polling alone suffices. Listening only makes it quicker; after a failure it looks again after a backoff,
// and whatever it is woken by meanwhile waits for that. What is heard waits for one batch of a sweep at most.

import { backoff, jitter, pause } from './backoff.js';
import type { Tell } from './events.js';
import type { Listens } from './listener.js';
import type { Store } from './store.js';

export interface FollowerParts {
  store: Store;
  /** Undefined: polls alone. */
  listener: Listens | undefined;
  /** How often all that is cached is compared with the database, in milliseconds. */
  poll: number;
  tell: Tell;
  now: () => number;
}

export class Follower {
  readonly #parts: FollowerParts;
  readonly #closing = new AbortController();
  readonly #heard = new Set<string>();
  #woken = new AbortController();
  #running: Promise<void> | undefined;
  #pollAt: number;
  #failures = 0;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.#pollAt = parts.now() + parts.poll;
  }

  /** Does nothing when it runs already. */
  start(): void {
    if (this.#running) return;
    const { listener, store, tell, now } = this.#parts;
    this.#running = this.#run();
    listener?.start({
      tenant: (externalId) => {
        if (!store.follows(externalId)) return;
        this.#heard.add(externalId);
        this.wake();
      },
      up: () => {
        tell({ event: 'listening' });
        this.#pollAt = now();
        this.wake();
      },
      down: (error) => tell({ event: 'listen_lost', error }),
    });
  }

  /** There is something to be done earlier than was known. */
  wake(): void {
    this.#woken.abort();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.wake();
    await Promise.all([this.#running, this.#parts.listener?.close()]);
  }

  async #run(): Promise<void> {
    const { now, poll, tell } = this.#parts;
    while (!this.#closing.signal.aborted) {
      this.#woken = new AbortController();
      try {
        const next = await this.#look();
        if (this.#failures > 0) tell({ event: 'database_back' });
        this.#failures = 0;
        if (this.#heard.size === 0) await pause(Math.max(0, next - now()), this.#woken.signal);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        if (this.#failures === 0) tell({ event: 'database_lost', error });
        this.#failures += 1;
        // What was found out may be half of it: all is looked at.
        this.#pollAt = now();
        await pause(backoff(this.#failures, poll), this.#closing.signal);
      }
    }
  }

  /** Does all that is due; says when the next is. */
  async #look(): Promise<number> {
    const { store, now, poll } = this.#parts;
    await this.#refreshHeard();
    if (now() >= this.#pollAt) {
      await store.sweep(() => this.#refreshHeard());
      this.#pollAt = now() + jitter(poll);
    }
    const isEnough = () => this.#heard.size > 0 || now() >= this.#pollAt || this.#closing.signal.aborted;
    return Math.min(this.#pollAt, await store.acknowledge(isEnough));
  }

  /** Throws when it is closing, which ends what goes on. */
  async #refreshHeard(): Promise<void> {
    this.#closing.signal.throwIfAborted();
    if (this.#heard.size === 0) return;
    const ids = [...this.#heard];
    this.#heard.clear();
    await this.#parts.store.refresh(ids);
  }
}
