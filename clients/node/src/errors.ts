// What can go wrong, as types: each kind is one thing that a web app does about it.
//
// The rule: no error holds a secret, neither does its cause, and of Qlik's answers only codes and the trace id are kept.

/** Which of the errors it is: the name of its class, to be told apart across copies of this library. */
export type ErrorKind = 'NotReady' | 'Removed' | 'CannotOpen' | 'Refused' | 'Unreachable' | 'Closed';

/** What all errors of this library are. */
export abstract class TenantdError extends Error {
  abstract readonly kind: ErrorKind;
  /** Whose credential was asked for. */
  readonly externalId: string;

  constructor(externalId: string, message: string, options?: ErrorOptions) {
    super(`${externalId}: ${message}`, options);
    this.externalId = externalId;
    this.name = new.target.name;
  }
}

/** There is no credential yet, or no such tenant. */
export class NotReady extends TenantdError {
  readonly kind = 'NotReady';
  /** `reason` of `tenantd.status`; undefined where this login may not read that view, or it has no such tenant. */
  readonly reason: string | undefined;

  /** @internal */
  constructor(externalId: string, reason?: string, detail = 'tenantd.credentials has none') {
    super(externalId, `has no credential yet: ${reason ? `${reason}, ` : ''}${detail}`);
    this.reason = reason;
  }
}

/** The tenant was removed, or is being removed: it has no credential any more. */
export class Removed extends TenantdError {
  readonly kind = 'Removed';

  /** @internal */
  constructor(externalId: string) {
    super(externalId, 'was removed: tenantd has withdrawn its credential');
  }
}

/**
 * Why a secret does not open: the keyring lacks its key (`NoKey`) or could not be had (`NoKeyring`); the text is no
 * JWE of ours or was changed (`Altered`); it was sealed for another row (`Moved`).
 */
export type WhyNotOpen = 'NoKey' | 'NoKeyring' | 'Altered' | 'Moved';

/** There is a credential, and none of its secrets opens with this keyring. */
export class CannotOpen extends TenantdError {
  readonly kind = 'CannotOpen';
  readonly why: WhyNotOpen;
  /** The version that does not open. */
  readonly version: number;
  /** `kid` of the key that it is sealed with, where it says one. */
  readonly keyId: string | undefined;

  /** @internal */
  constructor(
    externalId: string,
    version: number,
    why: WhyNotOpen,
    keyId: string | undefined,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(externalId, `version ${version} does not open: ${detail}`, options);
    this.version = version;
    this.why = why;
    this.keyId = keyId;
  }
}

/** Qlik's own words for a refusal, as far as they may be kept. */
export interface Refusal {
  status: number;
  codes: string[];
  traceId?: string;
  retryAfter?: number;
}

/** Qlik answered, and the answer is no: the user, the consent or the credential; asking again does not help. */
export class Refused extends TenantdError {
  readonly kind = 'Refused';
  /** The HTTP status. 429 is a throttle: see `retryAfter`. */
  readonly status: number;
  /** Qlik's error codes, such as `OAUTH-5`. */
  readonly codes: readonly string[];
  readonly traceId: string | undefined;
  /** After how many seconds Qlik wants to be asked again, where it said so. */
  readonly retryAfter: number | undefined;

  /** @internal */
  constructor(externalId: string, refusal: Refusal) {
    const codes = refusal.codes.length > 0 ? ` ${refusal.codes.join(', ')}` : '';
    super(externalId, `Qlik refused the sign-in: ${refusal.status}${codes}`);
    this.status = refusal.status;
    this.codes = refusal.codes;
    this.traceId = refusal.traceId;
    this.retryAfter = refusal.retryAfter;
  }
}

/** Nobody answered in time, or not so that it can be used: asking again later may help. */
export class Unreachable extends TenantdError {
  readonly kind = 'Unreachable';
  readonly what: 'database' | 'qlik';

  /** @internal */
  constructor(externalId: string, what: 'database' | 'qlik', detail: string, options?: ErrorOptions) {
    super(externalId, `${what === 'qlik' ? 'Qlik' : 'the database'} cannot be reached: ${detail}`, options);
    this.what = what;
  }
}

/** The consumer was closed. */
export class Closed extends TenantdError {
  readonly kind = 'Closed';

  /** @internal */
  constructor(externalId: string) {
    super(externalId, 'the consumer is closed');
  }
}

/** An error, and all that it came from. */
export function causesOf(error: unknown): Error[] {
  const found = new Set<Error>();
  const add = (one: unknown) => {
    if (typeof one !== 'object' || one === null || found.has(one as Error)) return;
    found.add(one as Error);
    const { cause, errors } = one as { cause?: unknown; errors?: unknown };
    for (const inner of [cause, ...(Array.isArray(errors) ? errors : [])]) add(inner);
  };
  add(error);
  return [...found];
}

/** What an error of another library says, on one line. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  // Where several addresses were tried, the first is as good as any.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error.cause;
  const inner = first instanceof Error && !error.message ? first : error;
  const code = (inner as { code?: unknown }).code ?? (first as { code?: unknown } | undefined)?.code;
  const message = inner.message.replaceAll(/\s+/g, ' ');
  return typeof code === 'string' && !message.includes(code) ? `${message} (${code})` : message;
}
