// What waits in the order in which it came.
//
// The rule: each costs the same however many wait; `shift` of an array moves all that are left.

export class Queue<T> {
  readonly #items: T[] = [];
  /** How many at the front have left already. */
  #left = 0;

  get first(): T | undefined {
    return this.#items[this.#left];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The first leaves. */
  shift(): void {
    this.#left += 1;
    // As many have left since the last time as are moved now, or more.
    if (this.#left * 2 < this.#items.length) return;
    this.#items.splice(0, this.#left);
    this.#left = 0;
  }
}
