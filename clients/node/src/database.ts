// What is asked of the database: no more than the role tenantd_consumer may, and tenantd.status where the login may.
//
// The rule: each statement stands alone, so that any pooler will do; none waits for longer than it was told to.

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
  /** `undefined`: this login may not know; `null`: there is no such tenant. */
  status(externalId: string): Promise<Status | null | undefined>;
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
const ACKNOWLEDGE = 'SELECT tenantd.acknowledge($1::text, $2::integer)';
const MAY_READ_STATUS = `
  SELECT has_table_privilege('tenantd.status', 'SELECT')
     AND has_function_privilege('tenantd.clock()', 'EXECUTE') AS may`;
const STATUS = 'SELECT phase, ready, reason, message, version FROM tenantd.status WHERE external_id = $1::text';
/** `no_data_found`, by which `tenantd.acknowledge` says that the version is not the current one. */
const NOT_CURRENT = 'P0002';

/** The settings of one connection, with limits that need nothing of the server, because a pooler refuses what it does not know. */
export function settingsOf(connection: Connection, timeout: number): pg.PoolConfig {
  const given = typeof connection === 'string' ? { connectionString: connection } : connection;
  return {
    application_name: 'tenantd-client',
    keepAlive: true,
    ...given,
    connectionTimeoutMillis: timeout,
    query_timeout: timeout,
  };
}

export class PgDatabase implements Database {
  readonly #pool: pg.Pool;
  readonly #timeout: number;
  #mayReadStatus: boolean | undefined;

  constructor(connection: Connection, timeout: number) {
    this.#timeout = timeout;
    this.#pool = new pg.Pool({ max: 2, idleTimeoutMillis: 60_000, ...settingsOf(connection, timeout) });
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

  async status(externalId: string): Promise<Status | null | undefined> {
    // Asked once, and not tried: each refusal would be an error in the server's log.
    this.#mayReadStatus ??= (await this.#query<{ may: boolean }>(MAY_READ_STATUS))[0]?.may ?? false;
    if (!this.#mayReadStatus) return undefined;
    return (await this.#query<Status>(STATUS, [externalId]))[0] ?? null;
  }

  async close(): Promise<void> {
    await this.#pool.end();
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

/** Whether it speaks of the connection, and not of the statement. */
function isOfConnection(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code) || /^(08|57P)/.test(code);
}
