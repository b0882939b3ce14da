// What is known of tenants: a bounded map, from which whoever was not asked for longest goes first.
//
// The rule: what was read later wins, whatever arrives later; and a version never goes back to a lower one, unless Qlik
// took that one instead: numbers only rise, so a database that tells of a lower one has forgotten something.

import type { Credential } from './credential.js';

/** An acknowledgement to be made. */
export interface Due {
  version: number;
  /** From when on; undefined: nobody has used that version yet. */
  from: number | undefined;
  /** How often it failed. */
  failures?: number;
}

/** A tenant that had a credential when it was last looked at, or before. */
export interface Held {
  /** Undefined: it was removed. */
  credential: Credential | undefined;
  /** The highest version there was, which may be one that does not open here. */
  version: number;
  /** The number of the read that told so. */
  readAt: number;
  /** What a read after a refusal found, of a lower version: it is held instead as soon as Qlik takes it. */
  lower?: Held & { credential: Credential };
  acknowledge?: Due;
  /** The version that was acknowledged. */
  acknowledged?: number;
}

export class Cache {
  readonly #limit: number;
  readonly #held = new Map<string, Held>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#held.size;
  }

  /** For whoever asks for it now. */
  get(externalId: string): Held | undefined {
    const held = this.#held.get(externalId);
    if (held) {
      this.#held.delete(externalId);
      this.#held.set(externalId, held);
    }
    return held;
  }

  /** For whoever looks after it. */
  peek(externalId: string): Held | undefined {
    return this.#held.get(externalId);
  }

  /** Whoever was asked for last comes first. */
  ids(): string[] {
    return [...this.#held.keys()].reverse();
  }

  /** Whether what a read found is newer than what is held. */
  accepts(externalId: string, readAt: number, version: number): boolean {
    const held = this.#held.get(externalId);
    if (!held) return true;
    if (held.readAt > readAt) return false;
    return !held.credential || version >= held.credential.version;
  }

  /** Whether what a read found is of a lower version than what is held, and was read no earlier. */
  isLower(externalId: string, readAt: number, version: number): boolean {
    const held = this.#held.get(externalId);
    return held?.credential !== undefined && held.readAt <= readAt && version < held.credential.version;
  }

  put(externalId: string, held: Held): void {
    if (!this.#held.has(externalId) && this.#held.size >= this.#limit) {
      const [oldest] = this.#held.keys();
      if (oldest !== undefined) this.#held.delete(oldest);
    }
    this.#held.set(externalId, held);
  }

  /** A read found nothing of this tenant; says whether that is news. */
  remove(externalId: string, readAt: number): boolean {
    const held = this.#held.get(externalId);
    if (!held || held.readAt > readAt) return false;
    const isNews = held.credential !== undefined;
    this.#held.set(externalId, { credential: undefined, version: held.version, readAt });
    return isNews;
  }

  clear(): void {
    this.#held.clear();
  }
}
