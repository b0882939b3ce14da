// Questions about single tenants, gathered: who asks while a statement is on its way is in the next, with all others.
//
// The rule: one statement at a time. So thousands of tenants that are asked for at once, as after a start with an empty
// cache, cost a few statements, and none of them waits for longer than those few take.

import type { Row } from './database.js';

/** How many tenants one statement asks for. */
export const BATCH = 500;

interface Waiting<T> {
  externalId: string;
  began: (readAt: number) => void;
  resolve: (answer: T) => void;
  reject: (error: unknown) => void;
}

export class Gatherer<T> {
  readonly #statement: (externalIds: readonly string[]) => Promise<(externalId: string) => T>;
  readonly #nextRead: () => number;
  readonly #waiting: Waiting<T>[] = [];
  #isRunning = false;

  /** `statement` gives what answers for each of these tenants; `nextRead` numbers it. */
  constructor(
    statement: (externalIds: readonly string[]) => Promise<(externalId: string) => T>,
    nextRead: () => number = () => 0,
  ) {
    this.#statement = statement;
    this.#nextRead = nextRead;
  }

  /** This tenant's answer. `began` is told the number of the statement when it is sent. Throws what the database says. */
  read(externalId: string, began: (readAt: number) => void = () => {}): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ externalId, began, resolve, reject });
      if (!this.#isRunning) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    // Who asks in the same breath is in the same statement.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#ask(this.#waiting.splice(0, BATCH));
    this.#isRunning = false;
  }

  async #ask(asked: readonly Waiting<T>[]): Promise<void> {
    const readAt = this.#nextRead();
    for (const { began } of asked) began(readAt);
    try {
      const answerOf = await this.#statement(asked.map(({ externalId }) => externalId));
      for (const { externalId, resolve } of asked) resolve(answerOf(externalId));
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}

/** Rows by their tenant. */
export function groups(rows: readonly Row[]): Map<string, Row[]> {
  const byTenant = new Map<string, Row[]>();
  for (const row of rows) {
    const group = byTenant.get(row.external_id);
    if (group) group.push(row);
    else byTenant.set(row.external_id, [row]);
  }
  return byTenant;
}
