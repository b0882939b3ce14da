// Listens on the contract's channel, on a connection of its own, for as long as the consumer is open.
//
// The rule: what is heard is a hint to look, and never believed: anybody who may connect can say anything there.

import pg from 'pg';
import { backoff, pause } from './backoff.js';
import { type Connection, Sockets, settingsOf } from './database.js';

const CHANNEL = 'tenantd_events';
const CAP = 30_000;

export interface Heard {
  /** Something happened to this tenant. */
  tenant(externalId: string): void;
  /** From now on all is heard; what happened before was not. */
  up(): void;
  /** Nothing is heard until the next `up`. */
  down(error: unknown): void;
}

export interface Listens {
  start(heard: Heard): void;
  close(): Promise<void>;
}

export class Listener implements Listens {
  readonly #settings: pg.ClientConfig;
  readonly #check: number;
  readonly #closing = new AbortController();
  readonly #sockets = new Sockets();
  #running: Promise<void> | undefined;

  /** `check`: how often to ask whether the connection still lives, in milliseconds. */
  constructor(connection: Connection, timeout: number, check: number) {
    this.#settings = settingsOf(connection, timeout, this.#sockets);
    this.#check = check;
  }

  start(heard: Heard): void {
    this.#running ??= this.#run(heard);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#sockets.end();
    await this.#running;
  }

  async #run(heard: Heard): Promise<void> {
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      const error = await this.#listen(heard, () => {
        failures = 0;
      });
      if (signal.aborted) return;
      heard.down(error);
      failures += 1;
      await pause(backoff(failures, CAP), signal);
    }
  }

  /** Until the connection ends; says why. */
  async #listen(heard: Heard, isUp: () => void): Promise<unknown> {
    const { signal } = this.#closing;
    const client = new pg.Client(this.#settings);
    const ended = new AbortController();
    let why: unknown;
    const end = (error?: unknown) => {
      why ??= error;
      ended.abort();
    };
    client.on('error', end);
    client.on('end', () => end(new Error('the server ended the connection')));
    client.on('notification', ({ payload }) => {
      const externalId = tenantOf(payload);
      if (externalId !== undefined) heard.tenant(externalId);
    });
    signal.addEventListener('abort', end);
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      isUp();
      heard.up();
      while (!ended.signal.aborted) {
        await pause(this.#check, ended.signal);
        if (!ended.signal.aborted) await client.query('SELECT 1');
      }
    } catch (error) {
      why ??= error;
    } finally {
      signal.removeEventListener('abort', end);
      void client.end().catch(() => {});
      this.#sockets.end();
    }
    return why;
  }
}

/** Whom a notification is about; what is not of the contract is about nobody. */
export function tenantOf(payload: string | undefined): string | undefined {
  try {
    const { external_id } = JSON.parse(payload ?? '');
    return typeof external_id === 'string' ? external_id : undefined;
  } catch {
    return undefined;
  }
}
