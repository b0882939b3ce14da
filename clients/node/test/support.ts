// Stand-ins for the tests: a database in memory, a Qlik that knows which secret is right, and a clock that is set.

import { CompactEncrypt, type CompactJWEHeaderParameters, exportJWK, generateSecret, importJWK, type JWK } from 'jose';
import type { Database, Row, Status } from '../src/database.js';
import { Consumer, type ConsumerEvent, type ConsumerOptions, type Keyring } from '../src/index.js';
import type { Heard, Listens } from '../src/listener.js';

export const CUSTOMER = 'customer-42';

export async function newKey(kid: string): Promise<JWK> {
  return {
    ...(await exportJWK(await generateSecret('A256GCM', { extractable: true }))),
    kid,
    alg: 'A256KW',
    use: 'enc',
  };
}

export interface Plain {
  tenant_id: string;
  host: string;
  client_id: string;
  client_secret: string;
}

export async function seal(
  plain: unknown,
  key: JWK,
  header: Partial<CompactJWEHeaderParameters> = {},
): Promise<string> {
  const text = typeof plain === 'string' ? plain : JSON.stringify(plain);
  return await new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: 'A256KW', enc: 'A256GCM', kid: key.kid ?? '', ...header })
    .encrypt(await importJWK(key, 'A256KW'));
}

/** Tables in memory, whose statements can be counted, held up and refused. */
export class FakeDatabase implements Database {
  rows: Row[] = [];
  statuses: Record<string, Status> | undefined;
  fault: Error | undefined;
  /** Statements wait for it before they look. */
  gate: Promise<void> | undefined;
  /** And for this one before they answer what they saw. */
  answerGate: Promise<void> | undefined;
  reads: string[][] = [];
  sweeps = 0;
  /** What happens when a sweep asks for these. */
  onSweep: (externalIds: readonly string[]) => void = () => {};
  acknowledged: [string, number][] = [];
  /** What happens before an acknowledgement is made; what it throws is what the database says. */
  onAcknowledge: (externalId: string) => void | Promise<void> = () => {};
  /** What was asked, in its order. */
  readonly asked: string[] = [];
  closed = false;

  async #pass(): Promise<void> {
    await this.gate;
    if (this.fault) throw this.fault;
  }

  async read(externalIds: readonly string[]): Promise<Row[]> {
    this.reads.push([...externalIds]);
    this.asked.push('read');
    await this.#pass();
    const seen = this.rows.filter((row) => externalIds.includes(row.external_id));
    await this.answerGate;
    return seen.sort((a, b) => b.version - a.version);
  }

  async versions(externalIds: readonly string[]): Promise<Map<string, number>> {
    await this.#pass();
    this.sweeps += 1;
    this.asked.push('sweep');
    this.onSweep(externalIds);
    const found = new Map<string, number>();
    for (const { external_id, version } of this.rows) {
      if (externalIds.includes(external_id)) found.set(external_id, Math.max(version, found.get(external_id) ?? 0));
    }
    return found;
  }

  async acknowledge(externalId: string, version: number): Promise<boolean> {
    this.asked.push('acknowledge');
    await this.#pass();
    await this.onAcknowledge(externalId);
    this.acknowledged.push([externalId, version]);
    return this.rows.some((row) => row.version === version && row.stage === 'current');
  }

  async status(externalIds: readonly string[]): Promise<Map<string, Status> | undefined> {
    this.asked.push('status');
    await this.#pass();
    const { statuses } = this;
    return statuses && new Map(Object.entries(statuses).filter(([externalId]) => externalIds.includes(externalId)));
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

export class FakeListener implements Listens {
  heard: Heard | undefined;

  start(heard: Heard): void {
    this.heard = heard;
  }

  async close(): Promise<void> {
    this.heard = undefined;
  }
}

/** Whose row it is, and what is odd about it. */
export interface RowOptions {
  id?: string;
  key?: JWK;
  plain?: unknown;
  sealed?: string;
}

/** One tenant as it is, and a consumer of it. */
export class Stage {
  readonly database = new FakeDatabase();
  readonly listener = new FakeListener();
  readonly events: ConsumerEvent[] = [];
  readonly keyring: Keyring = { keys: [] };
  /** The secrets that Qlik takes. */
  readonly taken = new Set<string>();
  readonly requests: { url: string; body: Record<string, unknown> }[] = [];
  /** What Qlik answers instead, once each. */
  readonly answers: (() => Response | Promise<Response>)[] = [];
  now = 0;
  consumer!: Consumer;

  static async open(options: Partial<ConsumerOptions> = {}): Promise<Stage> {
    const stage = new Stage();
    stage.keyring.keys.push(await newKey('first'));
    stage.consumer = new Consumer(
      {
        database: 'postgres://nowhere',
        keyring: stage.keyring,
        poll: 20,
        acknowledgeAfter: 0,
        fetch: stage.#fetch,
        onEvent: (event) => stage.events.push(event),
        ...options,
      },
      { database: stage.database, listener: stage.listener, now: () => stage.now + performance.now() },
    );
    return stage;
  }

  async row(version: number, options: RowOptions = {}): Promise<Row> {
    const id = options.id ?? CUSTOMER;
    const bound = { tenant_id: `tenant of ${id}`, host: `${id}.us.qlikcloud.com`, client_id: `client of ${id}` };
    const secret = `secret ${version} of ${id}`;
    this.taken.add(secret);
    const key = options.key ?? this.keyring.keys[0];
    if (!key) throw new Error('there is no key');
    const sealed = options.sealed ?? (await seal(options.plain ?? { ...bound, client_secret: secret }, key));
    return { ...bound, external_id: id, version, stage: 'current', sealed };
  }

  /** The tenant gets this version, and the one before becomes the previous one. */
  async rotateTo(version: number, options: RowOptions = {}): Promise<void> {
    const row = await this.row(version, options);
    for (const other of this.database.rows) if (other.external_id === row.external_id) other.stage = 'previous';
    this.database.rows.push(row);
  }

  /** Until this holds; what never holds fails the test. */
  async until(what: () => boolean): Promise<void> {
    for (let tries = 0; tries < 500; tries += 1) {
      if (what()) return;
      await new Promise((done) => setTimeout(done, 5));
    }
    throw new Error(`never held: ${what}`);
  }

  told(event: ConsumerEvent['event']): boolean {
    return this.events.some((one) => one.event === event);
  }

  readonly #fetch: typeof globalThis.fetch = async (url, init) => {
    const body = JSON.parse(String(init?.body));
    this.requests.push({ url: String(url), body });
    init?.signal?.throwIfAborted();
    const answer = this.answers.shift();
    if (answer) {
      const aborted = new Promise<never>((_, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason), { once: true });
      });
      const got = await Promise.race([answer(), aborted]);
      const elsewhere = got.headers.get('location');
      if (elsewhere !== null && init?.redirect !== 'manual') return await this.#fetch(elsewhere, init);
      return got;
    }
    return this.taken.has(body.client_secret) ? token() : refusal(401, 'OAUTH-5');
  };
}

export function token(
  more: Record<string, unknown> = { expires_in: 21_600 },
  headers: Record<string, string> = {},
): Response {
  return Response.json({ access_token: 'a token', token_type: 'bearer', ...more }, { headers });
}

export function refusal(status: number, code: string, headers: Record<string, string> = {}): Response {
  return Response.json({ errors: [{ code, title: 'No' }], traceId: 'e6f75ad8' }, { status, headers });
}
