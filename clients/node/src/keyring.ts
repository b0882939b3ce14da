// Opens what tenantd sealed: compact JWE, with the private keys of a JWK Set.
//
// The rule: the kind of the key decides the algorithm, never the token; and a secret counts only for the row that its
// plaintext names, or one moved to another row would send a tenant's users elsewhere.

import { compactDecrypt, decodeProtectedHeader, importJWK, type JWK } from 'jose';
import { Credential } from './credential.js';
import type { Row } from './database.js';
import { CannotOpen, wordsOf } from './errors.js';

/** A JWK Set (RFC 7517) with private keys, as `tenantd keys generate` makes it. */
export interface Keyring {
  keys: JWK[];
}

/** A keyring, or what reads one: asked again whenever a secret names a key that the last one lacked. */
export type KeyringSource = Keyring | (() => Keyring | Promise<Keyring>);

const ALGORITHMS: Record<string, string> = { oct: 'A256KW', EC: 'ECDH-ES+A256KW' };
/** What tells that a secret was sealed for this row. */
const BOUND_TO = ['tenant_id', 'host', 'client_id'] as const;

/** Opens rows. */
export class Opener {
  readonly #source: KeyringSource;
  #keyring: Keyring | undefined;

  constructor(source: KeyringSource) {
    if (typeof source !== 'function') checkKeyring(source);
    this.#source = source;
  }

  /** Throws `CannotOpen`. */
  async open(row: Row): Promise<Credential> {
    const refuse = (why: CannotOpen['why'], keyId: string | undefined, detail: string, cause?: unknown) =>
      new CannotOpen(row.external_id, row.version, why, keyId, detail, { cause });

    let keyId: string | undefined;
    try {
      keyId = decodeProtectedHeader(row.sealed).kid;
    } catch (cause) {
      throw refuse('Altered', undefined, 'it is no JWE', cause);
    }
    const key = await this.#key(keyId).catch((cause: unknown) => {
      throw refuse('NoKeyring', keyId, `the keyring cannot be had: ${wordsOf(cause)}`, cause);
    });
    if (!key) throw refuse('NoKey', keyId, `the keyring has no key ${JSON.stringify(keyId)}`);
    let opened: Record<string, unknown>;
    try {
      opened = await decrypt(row.sealed, key);
    } catch (cause) {
      throw refuse('Altered', keyId, 'it was changed, or sealed with another key of that name', cause);
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
    this.#keyring = checkKeyring(typeof this.#source === 'function' ? await this.#source() : this.#source);
    return find();
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

function parse(plaintext: Uint8Array): Record<string, unknown> {
  try {
    return Object(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext)));
  } catch {
    // The parser's own error would quote what it read.
    throw new Error('it holds no JSON');
  }
}

function checkKeyring(keyring: Keyring): Keyring {
  const isSet = Array.isArray(keyring?.keys) && keyring.keys.every((key) => typeof key === 'object' && key !== null);
  if (!isSet) throw new TypeError('the keyring must be a JWK Set: {"keys": [...]}');
  return keyring;
}
