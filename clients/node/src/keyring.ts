// Opens what tenantd sealed: compact JWE, with the private keys of a JWK Set.
//
// The rule: the kind of the key decides the algorithm, never the token; and a secret counts only for the row that its
// plaintext names, or one moved to another row would send a tenant's users elsewhere.

import { setImmediate } from 'node:timers/promises';
import { compactDecrypt, decodeProtectedHeader, importJWK, type JWK } from 'jose';
import { unless } from './backoff.js';
import { Credential } from './credential.js';
import type { Row } from './database.js';
import { CannotOpen, Closed, causesOf, wordsOf } from './errors.js';

/** A JWK Set (RFC 7517) with private keys, as `tenantd keys generate` makes it. */
export interface Keyring {
  keys: JWK[];
}

/** A keyring, or what reads one: asked again, once a second at most, for a key that the last one lacked. */
export type KeyringSource = Keyring | (() => Keyring | Promise<Keyring>);

const ALGORITHMS: Record<string, string> = { oct: 'A256KW', EC: 'ECDH-ES+A256KW' };
/** What tells that a secret was sealed for this row. */
const BOUND_TO = ['tenant_id', 'host', 'client_id'] as const;

/** How long nobody is asked again: a fleet that was sealed with a missing key would ask for it without end. */
const PAUSE = 1_000;

/** How many secrets are opened at a time: hundreds in one breath would hold up whatever else the app does. */
const AT_ONCE = 4;

/** Opens rows. */
export class Opener {
  readonly #source: KeyringSource;
  readonly #timeout: number;
  readonly #now: () => number;
  #keyring: Keyring | undefined;
  #reading: Promise<Keyring> | undefined;
  #readAgainAt = Number.NEGATIVE_INFINITY;
  /** The end of each line; none of them fails. */
  readonly #lines: Promise<void>[] = Array(AT_ONCE).fill(Promise.resolve());
  #turn = 0;
  #isClosed = false;

  /** `timeout`: how long to wait for the source, in milliseconds. */
  constructor(source: KeyringSource, timeout: number, now: () => number) {
    if (typeof source !== 'function') checkKeyring(source);
    this.#source = source;
    this.#timeout = timeout;
    this.#now = now;
  }

  /** From now on nothing is opened, and whoever waits in line is told at once. */
  close(): void {
    this.#isClosed = true;
  }

  /** Throws `CannotOpen`, and `Closed`. */
  async open(row: Row): Promise<Credential> {
    const refuse = (why: CannotOpen['why'], keyId: string | undefined, detail: string, options?: ErrorOptions) =>
      new CannotOpen(row.external_id, row.version, why, keyId, detail, options);

    let keyId: string | undefined;
    try {
      const named: unknown = decodeProtectedHeader(row.sealed).kid;
      keyId = typeof named === 'string' ? named : undefined;
    } catch {
      throw refuse('Altered', undefined, 'it is no JWE');
    }
    const key = await this.#key(keyId).catch((cause: unknown) => {
      const why = 'the keyring cannot be had';
      if (isOfParser(cause)) throw refuse('NoKeyring', keyId, `${why}: it is no JSON`);
      throw refuse('NoKeyring', keyId, `${why}: ${wordsOf(cause)}`, { cause });
    });
    if (!key) throw refuse('NoKey', keyId, `the keyring has no key ${JSON.stringify(keyId)}`);
    let opened: Record<string, unknown>;
    try {
      opened = await this.#inLine(async () => {
        if (this.#isClosed) throw new Closed(row.external_id);
        return await decrypt(row.sealed, key);
      });
    } catch (error) {
      if (error instanceof Closed) throw error;
      // Without that error: what holds a key, or what it opened, is quoted nowhere.
      throw refuse('Altered', keyId, 'it was changed, or sealed with another key of that name');
    }
    const other = BOUND_TO.find((name) => opened[name] !== row[name]);
    if (other) throw refuse('Moved', keyId, `it was sealed for another row: its ${other} differs`);
    const secret = opened.client_secret;
    if (typeof secret !== 'string' || secret === '') throw refuse('Altered', keyId, 'it holds no secret');
    return new Credential(row, secret);
  }

  /** After those that came before; the event loop has its turn after each. */
  #inLine<T>(act: () => Promise<T>): Promise<T> {
    const line = this.#turn % AT_ONCE;
    this.#turn += 1;
    const done = (this.#lines[line] ?? Promise.resolve()).then(act);
    const next = async () => {
      if (!this.#isClosed) await setImmediate();
    };
    this.#lines[line] = done.then(next, next);
    return done;
  }

  async #key(keyId: string | undefined): Promise<JWK | undefined> {
    const find = () => this.#keyring?.keys.find(({ kid }) => kid !== undefined && kid === keyId);
    const known = find();
    if (known) return known;
    // All who miss a key share what is read.
    if (!this.#reading || this.#now() >= this.#readAgainAt) {
      this.#readAgainAt = Number.POSITIVE_INFINITY;
      this.#reading = this.#read().finally(() => {
        this.#readAgainAt = this.#now() + PAUSE;
      });
    }
    this.#keyring = await this.#reading;
    return find();
  }

  async #read(): Promise<Keyring> {
    const source = this.#source;
    if (typeof source !== 'function') return source;
    const late = AbortSignal.timeout(this.#timeout);
    return checkKeyring(await unless((async () => await source())(), late));
  }
}

/** Each key is imported once, which takes as long as opening a secret; one that cannot be imported fails each time. */
const imported = new WeakMap<JWK, ReturnType<typeof importJWK>>();

async function decrypt(sealed: string, jwk: JWK): Promise<Record<string, unknown>> {
  const algorithm = ALGORITHMS[jwk.kty ?? ''];
  if (!algorithm) throw new Error(`a key of kind ${jwk.kty} seals nothing of ours`);
  const key = imported.get(jwk) ?? importJWK(jwk, algorithm);
  imported.set(jwk, key);
  const { plaintext } = await compactDecrypt(sealed, await key, {
    keyManagementAlgorithms: [algorithm],
    contentEncryptionAlgorithms: ['A256GCM'],
  });
  return parse(plaintext);
}

/** What it says; of what is no object, nothing. */
function parse(plaintext: Uint8Array): Record<string, unknown> {
  return Object(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext)));
}

/** Whether it comes of a parser, whose errors quote what they read. */
function isOfParser(error: unknown): boolean {
  // By its name: each realm has a class of its own.
  return causesOf(error).some((one) => one.name === 'SyntaxError');
}

function checkKeyring(keyring: Keyring): Keyring {
  const isSet = Array.isArray(keyring?.keys) && keyring.keys.every((key) => typeof key === 'object' && key !== null);
  if (!isSet) throw new TypeError('the keyring must be a JWK Set: {"keys": [...]}');
  return keyring;
}
