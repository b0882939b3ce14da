// What a consumer tells beside its answers: for a log or a metric.
//
// The rule: telling never disturbs: whoever listens may throw, at once or later, and nothing waits for them.

import type { CannotOpen } from './errors.js';

export type ConsumerEvent =
  /** From now on changes are heard of at once. */
  | { event: 'listening' }
  /** Changes are found by polling alone, until it listens again. */
  | { event: 'listen_lost'; error: unknown }
  /** The database could not be asked: what is cached serves on. */
  | { event: 'database_lost'; error: unknown }
  /** It answers again. */
  | { event: 'database_back' }
  /** A tenant has a further version, and it is used from now on. */
  | { event: 'rotated'; externalId: string; version: number }
  /** A tenant's credential was withdrawn, and forgotten here. */
  | { event: 'removed'; externalId: string }
  /** A version does not open; an older one that does serves meanwhile, where there is one. */
  | { event: 'cannot_open'; externalId: string; error: CannotOpen }
  /** tenantd was told that this version is in use. */
  | { event: 'acknowledged'; externalId: string; version: number };

export type Tell = (event: ConsumerEvent) => void;

/** A teller that survives its listener. */
export function teller(listener: Tell | undefined): Tell {
  const warn = (error: unknown) => process.emitWarning(`onEvent threw: ${error}`, 'TenantdClientWarning');
  return (event) => {
    try {
      // An async function is a `Tell` too: whatever it returns, nobody else would catch its rejection.
      const returned: unknown = listener?.(event);
      Promise.resolve(returned).catch(warn);
    } catch (error) {
      warn(error);
    }
  };
}
