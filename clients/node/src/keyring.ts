// Opens what tenantd sealed: compact JWE, with the private keys of a JWK Set.
//
// The rule: the kind of the key decides the algorithm, never the token; and a secret counts only for the row that its
// plaintext names, or one moved to another row would send a tenant's users elsewhere.

import { compactDecrypt, decodeProtectedHeader, importJWK, type JWK } from 'jose';
import { unless } from './backoff.js';
import { Credential } from './credential.js';
import type { Row } from './database.js';
import { CannotOpen, causesOf, wordsOf } from './errors.js';

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

/** Opens rows. */
export class Opener {
  readonly #source: KeyringSource;
  readonly #timeout: number;
  readonly #now: () => number;
  #keyring: Keyring | undefined;
  #reading: Promise<Keyring> | undefined;
  #readAgainAt = Number.NEGATIVE_INFINITY;

  /** `timeout`: how long to wait for the source, in milliseconds. */
  constructor(source: KeyringSource, timeout: number, now: () => number) {
    if (typeof source !== 'function') checkKeyring(source);
    this.#source = source;
    this.#timeout = timeout;
    this.#now = now;
  }

  /** Throws `CannotOpen`. */
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
      opened = await decrypt(row.sealed, key);
    } catch {
      // Without that error: what holds a key, or what it opened, is quoted nowhere.
      throw refuse('Altered', keyId, 'it was changed, or sealed with another key of that name');
    }
    const other = BOUND_TO.find((name) => opened[name] !== row[name]);
    if (other) throw refuse('Moved', keyId, `it was sealed for another row: its ${other} differs`);
    const secret = opened.client_secret;
    if (typeof secret !== 'string' || secret === '') throw refuse('Altered', keyId, 'it holds no secret');
    return new Credential(row, secret);
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

async function decrypt(sealed: string, jwk: JWK): Promise<Record<string, unknown>> {
  const algorithm = ALGORITHMS[jwk.kty ?? ''];
  if (!algorithm) throw new Error(`a key of kind ${jwk.kty} seals nothing of ours`);
  const { plaintext } = await compactDecrypt(sealed, await importJWK(jwk, algorithm), {
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
