// What a web app imports; see README.md for the start.

export { type CallOptions, Consumer, type ConsumerOptions, type SignInOptions } from './consumer.js';
export type { Credential, SignIn } from './credential.js';
export type { Connection } from './database.js';
export {
  CannotOpen,
  Closed,
  type ErrorKind,
  NotReady,
  Refused,
  Removed,
  TenantdError,
  Unreachable,
  type WhyNotOpen,
} from './errors.js';
export type { ConsumerEvent } from './events.js';
export type { Keyring, KeyringSource } from './keyring.js';
export type { User } from './qlik.js';
