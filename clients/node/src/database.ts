// What is asked of the database: no more than the role tenantd_consumer may, and tenantd.status where the login may.
//
// The rule: each statement stands alone, so that any pooler will do; none waits for longer than it was told to.

import { Socket } from 'node:net';
import pg from 'pg';

/** A row of `tenantd.credentials`. */
export interface Row {
  tenant_id: string;
  external_id: string;
  host: string;
  client_id: string;
  version: number;
  stage: string;
  sealed: string;
}

/** What `tenantd.status` says of a tenant without a credential. */
export interface Status {
  phase: string;
  ready: boolean;
  reason: string | null;
  message: string | null;
  version: number | null;
}

/** What the rest of the library knows of a database. */
export interface Database {
  /** All rows of these tenants, the highest version first. */
  read(externalIds: readonly string[]): Promise<Row[]>;
  /** The highest version of each of these tenants that has one. */
  versions(externalIds: readonly string[]): Promise<Map<string, number>>;
  /** Whether that version is the current one still, and so was acknowledged. */
  acknowledge(externalId: string, version: number): Promise<boolean>;
  /** Of each of these tenants that there is; `undefined`: this login may not know. */
  status(externalIds: readonly string[]): Promise<Map<string, Status> | undefined>;
  close(): Promise<void>;
}

export type Connection = string | pg.PoolConfig;

const READ = `
  SELECT tenant_id::text, external_id, host, client_id, version, stage, sealed
    FROM tenantd.credentials
   WHERE external_id = ANY($1::text[])
   ORDER BY version DESC`;
const VERSIONS = `
  SELECT external_id, max(version) AS version
    FROM tenantd.credentials
   WHERE external_id = ANY($1::text[])
   GROUP BY external_id`;
// For a row that somebody has locked it waits no longer: the server would go on waiting where we have long left, and the
// next time is soon enough.
const ACKNOWLEDGE = `
  WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', '500ms', true))
  SELECT tenantd.acknowledge($1::text, $2::integer) FROM patience`;
const MAY_READ_STATUS = `
  SELECT has_table_privilege('tenantd.status', 'SELECT')
     AND has_function_privilege('tenantd.clock()', 'EXECUTE') AS may`;
const STATUS = `
  SELECT external_id, phase, ready, reason, message, version
    FROM tenantd.status
   WHERE external_id = ANY($1::text[])`;
/** `no_data_found`, by which `tenantd.acknowledge` says that the version is not the current one. */
const NOT_CURRENT = 'P0002';

/** The settings of one connection, with limits that need nothing of the server, because a pooler refuses what it does not know. */
export function settingsOf(connection: Connection, timeout: number, sockets: Sockets): pg.PoolConfig {
  const given = typeof connection === 'string' ? { connectionString: connection } : connection;
  if (typeof given !== 'object' || given === null) throw new TypeError('the address of the database is missing');
  if (given.connectionString !== undefined) checkAddress(given.connectionString);
  return {
    application_name: 'tenantd-client',
    keepAlive: true,
    stream: () => sockets.open(),
    ...given,
    connectionTimeoutMillis: timeout,
    query_timeout: timeout,
  };
}

/** The connections below the driver, which end at once, whatever that waits for: a server that hangs says no goodbye. */
export class Sockets {
  readonly #open = new Set<Socket>();

  open(): Socket {
    const socket = new Socket();
    this.#open.add(socket);
    return socket.once('close', () => this.#open.delete(socket));
  }

  end(): void {
    for (const socket of this.#open) socket.destroy();
  }
}

/** Before it is used, because what is misread becomes the name of a host or a database, and errors tell those. */
function checkAddress(address: string): void {
  // A password that is not encoded may end the host's part early: then its @ comes late.
  const endsEarly = /^[^:]+:\/\/[^/?#]*(\/[^?#]*|\?[^=]*|[^#]*#.*)@/;
  let isRead = /^(\/|[a-z][a-z0-9+.-]*:)/i.test(address) && !endsEarly.test(address);
  try {
    new pg.Client({ connectionString: address });
  } catch (error) {
    // A certificate that cannot be read may be there later.
    if (error instanceof URIError || (error as { code?: unknown }).code === 'ERR_INVALID_URL') isRead = false;
  }
  if (!isRead) throw new TypeError('the address of the database cannot be read: it must be a URL');
}

export class PgDatabase implements Database {
  readonly #pool: pg.Pool;
  readonly #timeout: number;
  readonly #sockets = new Sockets();
  #mayReadStatus: boolean | undefined;

  constructor(connection: Connection, timeout: number) {
    this.#timeout = timeout;
    this.#pool = new pg.Pool({ max: 2, idleTimeoutMillis: 60_000, ...settingsOf(connection, timeout, this.#sockets) });
    // An idle connection that ends is replaced at the next statement, which says what is wrong.
    this.#pool.on('error', () => {});
  }

  async read(externalIds: readonly string[]): Promise<Row[]> {
    return await this.#query<Row>(READ, [externalIds]);
  }

  async versions(externalIds: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.#query<{ external_id: string; version: number }>(VERSIONS, [externalIds]);
    return new Map(rows.map((row) => [row.external_id, row.version]));
  }

  async acknowledge(externalId: string, version: number): Promise<boolean> {
    try {
      await this.#query(ACKNOWLEDGE, [externalId, version]);
      return true;
    } catch (error) {
      if ((error as { code?: unknown }).code === NOT_CURRENT) return false;
      throw error;
    }
  }

  async status(externalIds: readonly string[]): Promise<Map<string, Status> | undefined> {
    // Asked once, and not tried: each refusal would be an error in the server's log.
    this.#mayReadStatus ??= (await this.#query<{ may: boolean }>(MAY_READ_STATUS))[0]?.may ?? false;
    if (!this.#mayReadStatus) return undefined;
    const rows = await this.#query<Status & { external_id: string }>(STATUS, [externalIds]);
    return new Map(rows.map((row) => [row.external_id, row]));
  }

  async close(): Promise<void> {
    const ended = this.#pool.end();
    this.#sockets.end();
    await ended;
  }

  async #query<R extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<R[]> {
    const began = performance.now();
    try {
      return (await this.#pool.query<R>(text, values)).rows;
    } catch (error) {
      // A connection of before the server's restart: the next one is new. All statements may be repeated.
      if (!isOfConnection(error) || performance.now() - began > this.#timeout / 2) throw error;
      return (await this.#pool.query<R>(text, values)).rows;
    }
  }
}

/** Whether it speaks of the connection, and not of the statement, of which only the server itself speaks. */
export function isOfConnection(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || /^(08|57P)/.test(error.code ?? '');
}
