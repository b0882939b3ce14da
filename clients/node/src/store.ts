// Credentials by tenant: what is cached, and what the database says.
//
// The rule: a cached credential serves until a read says otherwise; a read that fails says nothing; one that finds no
// row forgets the credential at once. For each tenant one read is on its way at a time, however many wait for it; and those
// of many tenants that are first asked for at once are gathered.

import { backoff } from './backoff.js';
import type { Cache, Due, Held } from './cache.js';
import type { Credential } from './credential.js';
import type { Database, Row, Status } from './database.js';
import { CannotOpen, NotReady, Removed, type TenantdError, Unreachable, wordsOf } from './errors.js';
import type { Tell } from './events.js';
import { BATCH, Gatherer, groups } from './gatherer.js';
import type { Opener } from './keyring.js';
import { Queue } from './queue.js';

/** After so many acknowledgements that failed in a row it is the database, and the next poll will tell. */
const FAILURES = 3;
/** How long one that failed is put off at most, and by how many doublings it begins: a locked row is not asked often. */
const PUT_OFF = 60_000;
const DOUBLINGS = 4;

interface Flight {
  /** The number of its statement; no less than that of any other until it is sent. */
  readAt: number;
  /** The newest read that found nothing while this one is on its way. */
  emptyAt: number;
  found: Promise<Found>;
}

/** An acknowledgement that waits for its time; stale as soon as what is held has another one. */
interface Waiting {
  externalId: string;
  due: Due;
}

/** What a read came to. */
interface Found {
  /** What is held from now on. */
  credential: Credential;
  /** Of a lower version than what is held, and so only for whoever was refused. */
  lower?: Credential;
  /** Why the version that is held has no row any more, and what there is instead does not open. */
  refusal?: CannotOpen;
}

export interface StoreParts {
  database: Database;
  opener: Opener;
  cache: Cache;
  tell: Tell;
  now: () => number;
  /** How long after its first use a version is acknowledged, in milliseconds; null: never. */
  acknowledgeAfter: number | null;
  /** There is an acknowledgement to be made, earlier than any that was known. */
  acknowledges: () => void;
}

export class Store {
  readonly #parts: StoreParts;
  readonly #rows: Gatherer<readonly Row[]>;
  readonly #statuses: Gatherer<Status | null | undefined>;
  readonly #flights = new Map<string, Flight>();
  /** In the order of their times, as each waits for as long as the others. */
  readonly #toAcknowledge = new Queue<Waiting>();
  /** Those that failed, in no order, and few. */
  readonly #putOff = new Set<Waiting>();
  #reads = 0;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    const { database } = parts;
    const nextRead = () => this.#nextRead();
    this.#rows = new Gatherer(async (externalIds) => {
      const rows = groups(await database.read(externalIds));
      return (externalId): readonly Row[] => rows.get(externalId) ?? [];
    }, nextRead);
    this.#statuses = new Gatherer(async (externalIds) => {
      const found = await database.status(externalIds);
      return (externalId) => found && (found.get(externalId) ?? null);
    });
  }

  /** The cached credential, or what the database says. */
  async credential(externalId: string): Promise<Credential> {
    const cached = this.#parts.cache.get(externalId)?.credential;
    const credential = cached ?? (await this.#read(externalId)).credential;
    this.#use(externalId, credential);
    return credential;
  }

  /**
   * What the database says from now on, because Qlik refused this credential. The refusal may be of the user alone: so
   * a lower version than that is given and not yet held. Throws `CannotOpen` where what there is instead does not open.
   */
  async reread({ externalId, version }: Credential): Promise<Credential> {
    const since = this.#reads;
    let flight = this.#flights.get(externalId);
    while (flight && flight.readAt <= since) {
      await flight.found.catch(() => {});
      flight = this.#flights.get(externalId);
    }
    const { credential, lower, refusal } = await this.#read(externalId);
    const isHeld = credential.version === version;
    if (isHeld && lower) return lower;
    if (isHeld && refusal) throw refusal;
    this.#use(externalId, credential);
    return credential;
  }

  /** Qlik took this credential. */
  accepted({ externalId, version, clientId }: Credential): void {
    const { cache, tell } = this.#parts;
    const lower = cache.peek(externalId)?.lower;
    if (lower?.credential.version !== version || lower.credential.clientId !== clientId) return;
    cache.put(externalId, lower);
    tell({ event: 'rotated', externalId, version });
    this.#use(externalId, lower.credential);
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

  /**
   * Compares all that is cached with the database, and reads what differs: what is in most use first, and with what
   * else there is to do after each batch. Throws what the database says, and what that throws.
   */
  async sweep(between: () => Promise<void>): Promise<void> {
    for (const ids of batches(this.#parts.cache.ids())) {
      const readAt = this.#nextRead();
      const versions = await this.#parts.database.versions(ids);
      for (const id of ids) if (!versions.has(id)) this.#forget(id, readAt);
      await this.refresh(ids.filter((id) => this.#differs(id, versions.get(id))));
      await between();
    }
  }

  /**
   * Makes the acknowledgements whose time has come, until there is something else to do, and says when the next is.
   * One that fails, as at a row that somebody locks, is put off, and the others are made.
   */
  async acknowledge(isEnough: () => boolean): Promise<number> {
    let failures = 0;
    for (const waiting of this.#due()) {
      failures = (await this.#acknowledge(waiting)) ? 0 : failures + 1;
      if (failures >= FAILURES) return Number.POSITIVE_INFINITY;
      if (isEnough()) return this.#parts.now();
    }
    const { first } = this.#toAcknowledge;
    let next = first ? timeOf(first) : Number.POSITIVE_INFINITY;
    for (const waiting of this.#putOff) next = Math.min(next, timeOf(waiting));
    return next;
  }

  /** Takes out those whose time has come; those that were put off are last, as they may well fail again. */
  *#due(): Generator<Waiting> {
    const { cache, now } = this.#parts;
    const isStale = ({ externalId, due }: Waiting) => cache.peek(externalId)?.acknowledge !== due;
    const waits = (waiting: Waiting) => !isStale(waiting) && timeOf(waiting) > now();
    let { first } = this.#toAcknowledge;
    while (first && !waits(first)) {
      this.#toAcknowledge.shift();
      if (!isStale(first)) yield first;
      first = this.#toAcknowledge.first;
    }
    for (const waiting of this.#putOff) {
      if (waits(waiting)) continue;
      this.#putOff.delete(waiting);
      if (!isStale(waiting)) yield waiting;
    }
  }

  async #acknowledge(waiting: Waiting): Promise<boolean> {
    const { externalId, due } = waiting;
    const { cache, database, now, tell } = this.#parts;
    try {
      const isCurrent = await database.acknowledge(externalId, due.version);
      // A further version may have come meanwhile, with an acknowledgement of its own.
      const held = cache.peek(externalId);
      if (held?.acknowledge === due) {
        held.acknowledged = due.version;
        delete held.acknowledge;
      }
      if (isCurrent) tell({ event: 'acknowledged', externalId, version: due.version });
      return true;
    } catch {
      due.failures = (due.failures ?? 0) + 1;
      due.from = now() + backoff(due.failures + DOUBLINGS, PUT_OFF);
      this.#putOff.add(waiting);
      return false;
    }
  }

  #read(externalId: string): Promise<Found> {
    const flying = this.#flights.get(externalId);
    if (flying) return flying.found;
    const flight: Pick<Flight, 'readAt' | 'emptyAt'> = { readAt: Number.POSITIVE_INFINITY, emptyAt: 0 };
    const found = this.#readNow(externalId, flight).finally(() => this.#flights.delete(externalId));
    // Whoever waited may have left.
    found.catch(() => {});
    this.#flights.set(externalId, Object.assign(flight, { found }));
    return found;
  }

  async #readNow(externalId: string, flight: Pick<Flight, 'readAt'>): Promise<Found> {
    const { cache } = this.#parts;
    const wasHeld = cache.peek(externalId) !== undefined;
    const look = async () => {
      const began = (readAt: number) => {
        flight.readAt = readAt;
      };
      const rows = await this.#ask(externalId, () => this.#rows.read(externalId, began));
      return await this.#take(externalId, rows, flight.readAt);
    };
    const found = await look();
    if (found) return found;
    const why = await this.#whyNone(externalId, wasHeld || cache.peek(externalId) !== undefined);
    if (why) throw why;
    // It became ready between the two statements.
    const late = await look();
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
  async #take(externalId: string, rows: readonly Row[], readAt: number): Promise<Found | undefined> {
    const { cache, tell } = this.#parts;
    const newest = rows[0];
    if (!newest) {
      this.#forget(externalId, readAt);
      return foundOf(cache.peek(externalId));
    }
    const known = cache.peek(externalId);
    const same = known?.credential;
    const { credential, refusal } = isSame(same, newest) ? { credential: same } : await this.#openHighest(rows);
    if (refusal && known?.version !== newest.version) tell({ event: 'cannot_open', externalId, error: refusal });
    const held = cache.peek(externalId);
    const emptyAt = this.#flights.get(externalId)?.emptyAt ?? 0;
    if (!held && emptyAt > readAt) {
      // What these rows tell of was withdrawn while they were on their way.
      cache.put(externalId, { credential: undefined, version: newest.version, readAt: emptyAt });
      return undefined;
    }
    if (!credential) {
      const holds = foundOf(held);
      if (!holds || !held) throw refusal;
      held.version = newest.version;
      const isThere = rows.some(({ version }) => version === holds.credential.version);
      return isThere || !refusal || held.readAt > readAt ? holds : { ...holds, refusal };
    }
    const after = this.#heldAfter(held, credential, rows, readAt);
    if (held?.credential && cache.isLower(externalId, readAt, credential.version)) {
      held.lower = after;
      return { credential: held.credential, lower: credential };
    }
    if (!cache.accepts(externalId, readAt, credential.version)) return foundOf(held);
    const before = held?.credential?.version;
    cache.put(externalId, after);
    if (before !== undefined && before !== credential.version) {
      tell({ event: 'rotated', externalId, version: credential.version });
    }
    return { credential };
  }

  #heldAfter(held: Held | undefined, credential: Credential, rows: readonly Row[], readAt: number) {
    const { version } = credential;
    const after: Held & { credential: Credential } = { credential, version: rows[0]?.version ?? version, readAt };
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
    // Where one waits already its time is known, and is earlier.
    const isFirst = this.#toAcknowledge.first === undefined;
    this.#toAcknowledge.push({ externalId, due });
    if (isFirst) this.#parts.acknowledges();
  }

  #forget(externalId: string, readAt: number): void {
    const flight = this.#flights.get(externalId);
    // Where nothing is held yet, this alone tells an older read that lands later.
    if (flight) flight.emptyAt = Math.max(flight.emptyAt, readAt);
    if (this.#parts.cache.remove(externalId, readAt)) this.#parts.tell({ event: 'removed', externalId });
  }

  #differs(externalId: string, version: number | undefined): boolean {
    return version !== undefined && version !== this.#parts.cache.peek(externalId)?.credential?.version;
  }

  /** Why a tenant has no credential, which once had one here or not; undefined where it has one after all. */
  async #whyNone(externalId: string, wasHeld: boolean): Promise<TenantdError | undefined> {
    // Undefined: it may not be known; null: there is no such tenant.
    let status: Status | null | undefined;
    try {
      status = await this.#statuses.read(externalId);
    } catch {
      // As where it may not be known.
    }
    // What had one was removed, unless a new life is told of.
    if (wasHeld && !status) return new Removed(externalId);
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

function timeOf({ due }: Waiting): number {
  return due.from ?? Number.POSITIVE_INFINITY;
}

function foundOf(held: Held | undefined): Found | undefined {
  return held?.credential && { credential: held.credential };
}

function* batches(ids: readonly string[]): Generator<readonly string[]> {
  for (let from = 0; from < ids.length; from += BATCH) yield ids.slice(from, from + BATCH);
}
