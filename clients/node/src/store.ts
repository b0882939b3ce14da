// Credentials by tenant: what is cached, and what the database says.
//
// The rule: a cached credential serves until a read says otherwise; a read that fails says nothing; one that finds no
// row forgets the credential at once. For each tenant one read is on its way at a time, however many wait for it.

import type { Cache, Held } from './cache.js';
import type { Credential } from './credential.js';
import type { Database, Row, Status } from './database.js';
import { CannotOpen, NotReady, Removed, type TenantdError, Unreachable, wordsOf } from './errors.js';
import type { Tell } from './events.js';
import type { Opener } from './keyring.js';

/** How many tenants one statement asks for. */
const BATCH = 500;

interface Flight {
  readAt: number;
  credential: Promise<Credential>;
}

export interface StoreParts {
  database: Database;
  opener: Opener;
  cache: Cache;
  tell: Tell;
  now: () => number;
  /** How long after its first use a version is acknowledged, in milliseconds; null: never. */
  acknowledgeAfter: number | null;
  /** There is an acknowledgement to be made. */
  acknowledges: () => void;
}

export class Store {
  readonly #parts: StoreParts;
  readonly #flights = new Map<string, Flight>();
  readonly #toAcknowledge = new Set<string>();
  #reads = 0;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** The cached credential, or what the database says. */
  async credential(externalId: string): Promise<Credential> {
    const cached = this.#parts.cache.get(externalId)?.credential;
    const credential = cached ?? (await this.#read(externalId));
    this.#use(externalId, credential);
    return credential;
  }

  /** What the database says from now on, because Qlik refused this version. */
  async reread(externalId: string, refused: number): Promise<Credential> {
    const held = this.#parts.cache.peek(externalId);
    if (held) held.refused = refused;
    const since = this.#reads;
    let flight = this.#flights.get(externalId);
    while (flight && flight.readAt <= since) {
      await flight.credential.catch(() => {});
      flight = this.#flights.get(externalId);
    }
    const credential = await this.#read(externalId);
    this.#use(externalId, credential);
    return credential;
  }

  /** Qlik took this version. */
  accepted(externalId: string, version: number): void {
    const held = this.#parts.cache.peek(externalId);
    if (held?.refused === version) delete held.refused;
  }

  /** Whether anybody here would miss a change of this tenant. */
  follows(externalId: string): boolean {
    return this.#parts.cache.peek(externalId) !== undefined || this.#flights.has(externalId);
  }

  /** Reads these tenants anew, as far as they are followed. Throws what the database says. */
  async refresh(externalIds: readonly string[]): Promise<void> {
    for (const ids of batches(externalIds.filter((id) => this.follows(id)))) {
      const readAt = this.#nextRead();
      const rows = groups(await this.#parts.database.read(ids));
      for (const id of ids) {
        // What does not open was told, and what is held serves on.
        if (this.follows(id)) await this.#take(id, rows.get(id) ?? [], readAt).catch(() => {});
      }
    }
  }

  /** Compares all that is cached with the database, and reads what differs. Throws what the database says. */
  async sweep(): Promise<void> {
    for (const ids of batches(this.#parts.cache.ids())) {
      const readAt = this.#nextRead();
      const versions = await this.#parts.database.versions(ids);
      for (const id of ids) if (!versions.has(id)) this.#forget(id, readAt);
      await this.refresh(ids.filter((id) => this.#differs(id, versions.get(id))));
    }
  }

  /** Makes the acknowledgements whose time has come, and says when the next is. Throws what the database says. */
  async acknowledge(): Promise<number> {
    const { cache, database, now, tell } = this.#parts;
    let next = Number.POSITIVE_INFINITY;
    for (const externalId of this.#toAcknowledge) {
      const held = cache.peek(externalId);
      const due = held?.acknowledge;
      if (!held || due?.from === undefined) {
        this.#toAcknowledge.delete(externalId);
      } else if (due.from > now()) {
        next = Math.min(next, due.from);
      } else {
        const isCurrent = await database.acknowledge(externalId, due.version);
        held.acknowledged = due.version;
        delete held.acknowledge;
        this.#toAcknowledge.delete(externalId);
        if (isCurrent) tell({ event: 'acknowledged', externalId, version: due.version });
      }
    }
    return next;
  }

  #read(externalId: string): Promise<Credential> {
    const flying = this.#flights.get(externalId);
    if (flying) return flying.credential;
    const readAt = this.#nextRead();
    const credential = this.#readNow(externalId, readAt).finally(() => this.#flights.delete(externalId));
    // Whoever waited may have left.
    credential.catch(() => {});
    this.#flights.set(externalId, { readAt, credential });
    return credential;
  }

  async #readNow(externalId: string, readAt: number): Promise<Credential> {
    const { cache } = this.#parts;
    const wasHeld = cache.peek(externalId) !== undefined;
    const look = async (at: number) => {
      const rows = await this.#ask(externalId, () => this.#parts.database.read([externalId]));
      return await this.#take(externalId, rows, at);
    };
    const credential = await look(readAt);
    if (credential) return credential;
    if (wasHeld) throw new Removed(externalId);
    const why = await this.#whyNone(externalId);
    if (why) throw why;
    // It became ready between the two statements.
    const late = await look(this.#nextRead());
    if (late) return late;
    throw new NotReady(externalId);
  }

  async #ask<T>(externalId: string, statement: () => Promise<T>): Promise<T> {
    try {
      return await statement();
    } catch (error) {
      const held = this.#parts.cache.peek(externalId);
      // What is known of a removal stays true.
      if (held && !held.credential) throw new Removed(externalId);
      throw new Unreachable(externalId, 'database', wordsOf(error), { cause: error });
    }
  }

  /** Takes over what a read found; gives what is held afterwards. Throws `CannotOpen` where that is nothing. */
  async #take(externalId: string, rows: readonly Row[], readAt: number): Promise<Credential | undefined> {
    const { cache, tell } = this.#parts;
    const newest = rows[0];
    if (!newest) {
      this.#forget(externalId, readAt);
      return cache.peek(externalId)?.credential;
    }
    const known = cache.peek(externalId);
    const same = known?.credential;
    const { credential, refusal } = isSame(same, newest) ? { credential: same } : await this.#openHighest(rows);
    if (refusal && known?.version !== newest.version) tell({ event: 'cannot_open', externalId, error: refusal });
    const held = cache.peek(externalId);
    if (!credential) {
      if (!held?.credential) throw refusal;
      held.version = newest.version;
      return held.credential;
    }
    if (!cache.accepts(externalId, readAt, credential.version)) return held?.credential;
    const before = held?.credential?.version;
    cache.put(externalId, this.#heldAfter(held, credential, rows, readAt));
    if (before !== undefined && before !== credential.version) {
      tell({ event: 'rotated', externalId, version: credential.version });
    }
    return credential;
  }

  #heldAfter(held: Held | undefined, credential: Credential, rows: readonly Row[], readAt: number): Held {
    const { version } = credential;
    const after: Held = { credential, version: rows[0]?.version ?? version, readAt };
    if (held?.refused !== undefined) after.refused = held.refused;
    if (held?.acknowledged !== undefined) after.acknowledged = held.acknowledged;
    // Only while an older one lives does it matter to anybody.
    const isCurrent = rows.some((row) => row.version === version && row.stage === 'current');
    const hasOlder = rows.some((row) => row.version < version);
    if (isCurrent && hasOlder && after.acknowledged !== version) {
      after.acknowledge = held?.acknowledge?.version === version ? held.acknowledge : { version, from: undefined };
    }
    return after;
  }

  async #openHighest(rows: readonly Row[]): Promise<{ credential?: Credential; refusal?: CannotOpen }> {
    let refusal: CannotOpen | undefined;
    for (const row of rows) {
      try {
        return { credential: await this.#parts.opener.open(row), ...(refusal && { refusal }) };
      } catch (error) {
        if (!(error instanceof CannotOpen)) throw error;
        refusal ??= error;
      }
    }
    return refusal ? { refusal } : {};
  }

  #use(externalId: string, { version }: Credential): void {
    const due = this.#parts.cache.peek(externalId)?.acknowledge;
    const after = this.#parts.acknowledgeAfter;
    if (after === null || !due || due.version !== version || due.from !== undefined) return;
    due.from = this.#parts.now() + after;
    this.#toAcknowledge.add(externalId);
    this.#parts.acknowledges();
  }

  #forget(externalId: string, readAt: number): void {
    if (this.#parts.cache.remove(externalId, readAt)) this.#parts.tell({ event: 'removed', externalId });
  }

  #differs(externalId: string, version: number | undefined): boolean {
    return version !== undefined && version !== this.#parts.cache.peek(externalId)?.credential?.version;
  }

  /** Why a tenant that never had a credential here has none; undefined where it has one after all. */
  async #whyNone(externalId: string): Promise<TenantdError | undefined> {
    let status: Status | null | undefined;
    try {
      status = await this.#parts.database.status(externalId);
    } catch {
      return new NotReady(externalId);
    }
    if (status === undefined) return new NotReady(externalId);
    if (status === null) return new NotReady(externalId, undefined, 'tenantd.tenants has no such tenant');
    if (status.ready) return undefined;
    // A version and no credential: it was withdrawn because the tenant should be absent.
    const isRemoved = status.version !== null || status.phase === 'removing' || status.phase === 'removed';
    if (isRemoved) return new Removed(externalId);
    return new NotReady(externalId, status.reason ?? undefined, status.message ?? undefined);
  }

  #nextRead(): number {
    this.#reads += 1;
    return this.#reads;
  }
}

/** Whether the credential is this row's, so that nothing has to be opened. */
function isSame(credential: Credential | undefined, row: Row): boolean {
  return (
    credential?.version === row.version &&
    credential.clientId === row.client_id &&
    credential.host === row.host &&
    credential.tenantId === row.tenant_id
  );
}

function groups(rows: readonly Row[]): Map<string, Row[]> {
  const byTenant = new Map<string, Row[]>();
  for (const row of rows) {
    const group = byTenant.get(row.external_id);
    if (group) group.push(row);
    else byTenant.set(row.external_id, [row]);
  }
  return byTenant;
}

function* batches(ids: readonly string[]): Generator<readonly string[]> {
  for (let from = 0; from < ids.length; from += BATCH) yield ids.slice(from, from + BATCH);
}
