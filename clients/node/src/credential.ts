// What a web app is given: a tenant's credential, and a user's token.
//
// The rule: the secret in it is shown to whoever asks for that property by name, and to nobody else: not to
// console.log, JSON, a template or structuredClone.

import { inspect } from 'node:util';
import type { Row } from './database.js';

const REDACTED = '[redacted]';

/** A tenant's credential. */
export class Credential {
  readonly externalId: string;
  readonly tenantId: string;
  /** The tenant's host, without scheme. */
  readonly host: string;
  readonly clientId: string;
  /** A higher one is newer. */
  readonly version: number;
  readonly #clientSecret: string;

  /** @internal */
  constructor(row: Row, clientSecret: string) {
    this.externalId = row.external_id;
    this.tenantId = row.tenant_id;
    this.host = row.host;
    this.clientId = row.client_id;
    this.version = row.version;
    this.#clientSecret = clientSecret;
  }

  get clientSecret(): string {
    return this.#clientSecret;
  }

  toJSON(): object {
    return { ...this, clientSecret: REDACTED };
  }

  [inspect.custom](): string {
    return `Credential ${inspect(this.toJSON())}`;
  }
}

/** A signed-in user's token. Keep it in the user's session, and no longer than until `expiresAt`. */
export class SignIn {
  /** The tenant's host, without scheme: the only one that the token is for. */
  readonly host: string;
  /** When the token ends by this machine's clock, where Qlik said so. */
  readonly expiresAt: Date | undefined;
  readonly #accessToken: string;

  /** @internal */
  constructor(host: string, accessToken: string, expiresAt: Date | undefined) {
    this.host = host;
    this.expiresAt = expiresAt;
    this.#accessToken = accessToken;
  }

  get accessToken(): string {
    return this.#accessToken;
  }

  toJSON(): object {
    return { ...this, accessToken: REDACTED };
  }

  [inspect.custom](): string {
    return `SignIn ${inspect(this.toJSON())}`;
  }
}
