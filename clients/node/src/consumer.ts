// The library's one door: a tenant's credential, and a user signed in with it.
//
// The rule: nothing is begun before it is asked for, and `close` ends all that was begun.

import { setMaxListeners } from 'node:events';
import { unless } from './backoff.js';
import { Cache } from './cache.js';
import { type Credential, SignIn } from './credential.js';
import { type Connection, type Database, PgDatabase } from './database.js';
import { Closed, NotReady, type Refusal, Refused, Unreachable } from './errors.js';
import { type Tell, teller } from './events.js';
import { Follower } from './follower.js';
import { type KeyringSource, Opener } from './keyring.js';
import { Listener, type Listens } from './listener.js';
import { lookupOf, requestToken, type User } from './qlik.js';
import { Store } from './store.js';

/** All lengths of time are in milliseconds. */
export interface ConsumerOptions {
  /** Where tenantd's tables are, with a login that has `tenantd_consumer`: a URL or settings of `pg`. Any pooler will do. */
  database: Connection;
  /** What opens secrets. As a function it is asked again, once a second at most, for a key that is not there yet. */
  keyring: KeyringSource;
  /** Where to listen, if not at `database`: past a pooler in transaction mode. `false`: polls alone. */
  listen?: Connection | false;
  /** How often all that is cached is compared with the database: 30,000. A removal is known after that at most. */
  poll?: number;
  /**
   * How long after its first use here a new version is acknowledged, which ends the older one: 90,000. Longer than
   * `poll`, so that all other instances have switched. `null`: never; the older one lives for `rotation.overlap`.
   */
  acknowledgeAfter?: number | null;
  /** How many tenants are cached: 10,000. Those that are first asked for at once are read together, up to 500 each. */
  cacheSize?: number;
  /** How long to wait for a connection, for each statement, and for the keyring: 5,000. */
  databaseTimeout?: number;
  /** How long to wait for each answer of Qlik: 10,000. */
  qlikTimeout?: number;
  /** Instead of the global `fetch`: for a proxy, or a simulated Qlik Cloud. */
  fetch?: typeof globalThis.fetch;
  /** Is told what happens, for a log. */
  onEvent?: Tell;
}

export interface CallOptions {
  /** Ends the wait with the signal's reason. */
  signal?: AbortSignal;
}

export interface SignInOptions extends CallOptions {
  /** Space separated; what is not given is what the client may have. */
  scope?: string;
}

/** Stand-ins for tests. @internal */
export interface Parts {
  database?: Database;
  listener?: Listens;
  now?: () => number;
}

export class Consumer {
  readonly #store: Store;
  readonly #follower: Follower;
  readonly #database: Database;
  readonly #opener: Opener;
  /** What ends each call that waits. */
  readonly #calls = new Set<() => void>();
  readonly #fetch: typeof globalThis.fetch;
  readonly #qlikTimeout: number;
  #closed: Promise<void> | undefined;

  constructor(options: ConsumerOptions);
  /** @internal */
  constructor(options: ConsumerOptions, parts: Parts);
  constructor(options: ConsumerOptions, parts: Parts = {}) {
    const limits = check(options);
    const tell = teller(options.onEvent);
    const now = parts.now ?? (() => performance.now());
    const listen = options.listen ?? options.database;
    this.#fetch = options.fetch ?? ((...request) => globalThis.fetch(...request));
    this.#qlikTimeout = limits.qlikTimeout;
    this.#database = parts.database ?? new PgDatabase(options.database, limits.databaseTimeout);
    this.#opener = new Opener(options.keyring, limits.databaseTimeout, now);
    this.#store = new Store({
      database: this.#database,
      opener: this.#opener,
      cache: new Cache(limits.cacheSize),
      tell,
      now,
      acknowledgeAfter: limits.acknowledgeAfter,
      acknowledges: () => this.#follower.wake(),
    });
    const listener =
      listen === false ? undefined : (parts.listener ?? new Listener(listen, limits.databaseTimeout, limits.poll));
    this.#follower = new Follower({ store: this.#store, listener, poll: limits.poll, tell, now });
  }

  /**
   * The tenant's credential, as new as is known here; asked for anew each time, because it may be another one then.
   *
   * Throws `NotReady`, `Removed`, `CannotOpen`, `Closed`, or `Unreachable` where none is cached.
   */
  async credential(externalId: string, { signal }: CallOptions = {}): Promise<Credential> {
    return await this.#whileOpen(externalId, signal, () => this.#store.credential(externalId));
  }

  /**
   * Gets a token for this user of the tenant, who must be there already. Where Qlik refuses the secret, the credential
   * is read once more, and another one is tried. One of a lower version, as after a restore, is kept only if it got a
   * token: Qlik may have refused the user alone.
   *
   * Throws what `credential` throws, and `Refused`. Nothing about users is kept.
   */
  async signIn(externalId: string, user: User, { signal, scope }: SignInOptions = {}): Promise<SignIn> {
    const lookup = lookupOf(user);
    return await this.#whileOpen(externalId, signal, async (ended) => {
      const ask = async (credential: Credential) => {
        const request = { credential, lookup, scope, timeout: this.#qlikTimeout, signal: ended };
        const answer = await requestToken(request, this.#fetch);
        if (answer instanceof SignIn) this.#store.accepted(credential);
        return answer;
      };
      const credential = await this.#store.credential(externalId);
      let answer = await ask(credential);
      if (isOfSecret(answer)) {
        const newer = await this.#newer(credential, answer);
        if (newer) answer = await ask(newer);
      }
      if (answer instanceof SignIn) return answer;
      throw new Refused(externalId, answer);
    });
  }

  /** Ends all connections, timers and waits. Every call that waited has ended with `Closed` when it is done. */
  async close(): Promise<void> {
    this.#closed ??= (async () => {
      for (const end of this.#calls) end();
      this.#opener.close();
      await Promise.all([this.#follower.close(), this.#database.close()]);
    })();
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What there is instead of a credential that was refused. */
  async #newer(refused: Credential, refusal: Refusal): Promise<Credential | undefined> {
    const { externalId, version } = refused;
    try {
      const read = await this.#store.reread(refused);
      const isOther = read.version !== version || read.clientId !== refused.clientId || read.host !== refused.host;
      return isOther ? read : undefined;
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      const cause = new Refused(externalId, refusal);
      const detail = `Qlik refused version ${version} (${refusal.status}), and whether there is a newer one is not known`;
      throw new Unreachable(externalId, 'database', detail, { cause });
    }
  }

  async #whileOpen<T>(
    externalId: string,
    given: AbortSignal | undefined,
    act: (ended: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (typeof externalId !== 'string' || externalId === '') throw new TypeError('external_id must be a text');
    // Nor asked for: with it the statement would fail, for all whose reads are gathered in it.
    if (NO_NAME.test(externalId)) throw new NotReady(externalId, undefined, 'no tenant can have such a name');
    if (this.#closed) throw new Closed(externalId);
    given?.throwIfAborted();
    // One for each call: a signal that outlives them is slow with thousands of listeners, and `AbortSignal.any` of it
    // would leave a trace of each.
    const call = new AbortController();
    const end = () => call.abort(new Closed(externalId));
    const leave = () => call.abort(given?.reason);
    this.#calls.add(end);
    if (given) {
      setMaxListeners(0, given);
      given.addEventListener('abort', leave, { once: true });
    }
    try {
      this.#follower.start();
      return await unless(act(call.signal), call.signal);
    } finally {
      this.#calls.delete(end);
      given?.removeEventListener('abort', leave);
    }
  }
}

/** What no text of the database can hold. */
const NO_NAME = /[\0\p{Surrogate}]/u;

/** Whether a refusal may be because of the secret or the client. */
function isOfSecret(answer: SignIn | Refusal): answer is Refusal {
  if (answer instanceof SignIn) return false;
  return answer.status === 401 || answer.codes.some((code) => code === 'OAUTH-14' || code === 'invalid_client');
}

/** No timer of this platform is longer: it would end at once. */
const LONGEST = 2 ** 31 - 1;

function check(options: ConsumerOptions) {
  const positive = (name: string, value: number): number => {
    if (!(value > 0 && value <= LONGEST)) throw new TypeError(`${name} must be a number above 0, of ${LONGEST} at most`);
    return value;
  };
  const after = options.acknowledgeAfter === undefined ? 90_000 : options.acknowledgeAfter;
  if (after !== null && !(after >= 0)) throw new TypeError('acknowledgeAfter must be null or no less than 0');
  return {
    poll: positive('poll', options.poll ?? 30_000),
    acknowledgeAfter: after,
    cacheSize: positive('cacheSize', options.cacheSize ?? 10_000),
    databaseTimeout: positive('databaseTimeout', options.databaseTimeout ?? 5_000),
    qlikTimeout: positive('qlikTimeout', options.qlikTimeout ?? 10_000),
  };
}
