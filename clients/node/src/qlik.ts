// The one request to Qlik: a token for a user, with a tenant's credential.
//
// The rule: a credential goes to its own host and nowhere else (no redirect is followed), and of an answer that is no
// token only codes and the trace id are kept.

import { type Credential, SignIn } from './credential.js';
import { type Refusal, Unreachable, wordsOf } from './errors.js';

/** The user to be signed in: by Qlik's id, or by the subject that your identity provider gave. */
export type User = { userId: string; subject?: never } | { subject: string; userId?: never };

/** How Qlik is asked for the user. */
interface Lookup {
  field: 'userId' | 'subject';
  value: string;
}

/** Throws a `TypeError` for what names no user, or two. */
export function lookupOf({ userId, subject }: User): Lookup {
  const [field, value, other] = userId ? (['userId', userId, subject] as const) : (['subject', subject, userId] as const);
  if (typeof value !== 'string' || value === '' || other) throw new TypeError('one of userId and subject must be given');
  return { field, value };
}

const IMPERSONATION = 'urn:qlik:oauth:user-impersonation';
/** Longer than any answer of `/oauth/token`. */
const LONGEST = 256 * 1024;
const CODE = /^[\w.-]{1,64}$/;
/** The one form of a date that HTTP still sends (RFC 9110, section 5.6.7): `Date.parse` itself takes far more for one. */
const DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
/** In seconds, as of six digits. */
const LONGEST_WAIT = 1_000_000;

export interface Request {
  credential: Credential;
  lookup: Lookup;
  scope: string | undefined;
  timeout: number;
  signal: AbortSignal;
}

/** A token, or Qlik's no. Throws `Unreachable`, or the signal's reason. */
export async function requestToken(request: Request, fetch: typeof globalThis.fetch): Promise<SignIn | Refusal> {
  const { credential, signal } = request;
  const late = AbortSignal.timeout(request.timeout);
  const send = () => ask(request, fetch, AbortSignal.any([signal, late]));
  const began = performance.now();
  try {
    // Qlik may have closed a kept connection while the request was on its way. Asking twice makes two tokens at most.
    return await send().catch((error: unknown) => {
      if (signal.aborted || late.aborted || error instanceof Unreachable) throw error;
      return send();
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof Unreachable) throw error;
    const what = late.aborted ? `no answer after ${Math.round(performance.now() - began)} ms` : wordsOf(error);
    // Without that error: an app's own `fetch` may hang the request on it, whose body is the secret.
    throw new Unreachable(credential.externalId, 'qlik', what);
  }
}

async function ask(
  { credential, lookup, scope }: Request,
  fetch: typeof globalThis.fetch,
  signal: AbortSignal,
): Promise<SignIn | Refusal> {
  const askedAt = Date.now();
  const answer = await fetch(`https://${credential.host}/oauth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    redirect: 'manual',
    signal,
    body: JSON.stringify({
      client_id: credential.clientId,
      client_secret: credential.clientSecret,
      grant_type: IMPERSONATION,
      user_lookup: lookup,
      ...(scope === undefined ? {} : { scope }),
    }),
  });
  const text = await textOf(answer);
  if (text === undefined) throw new Unreachable(credential.externalId, 'qlik', 'its answer is too long');
  const body = parse(text);
  if (answer.status >= 500 || answer.status === 408) {
    throw new Unreachable(credential.externalId, 'qlik', `it answered ${answer.status}`);
  }
  if (answer.status !== 200) return refusalOf(answer, body);
  const token = body.access_token;
  if (typeof token !== 'string' || token === '') {
    throw new Unreachable(credential.externalId, 'qlik', 'its answer is no token');
  }
  return new SignIn(credential.host, token, expiryOf(body, answer.headers.get('date'), askedAt));
}

/** By this machine's clock, which may be wrong: so lengths of time count, and instants only against Qlik's own clock. */
export function expiryOf(body: Record<string, unknown>, date: string | null, askedAt: number): Date | undefined {
  if (typeof body.expires_in === 'number' && body.expires_in > 0) return dateOf(askedAt + body.expires_in * 1000);
  const at = typeof body.expires_at === 'string' ? Date.parse(body.expires_at) : Number.NaN;
  const theirs = Date.parse(date ?? '');
  return dateOf(Number.isNaN(theirs) ? at : askedAt + (at - theirs));
}

/** No date is better than one that throws when it is written down. */
function dateOf(at: number): Date | undefined {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function refusalOf(answer: Response, body: Record<string, unknown>): Refusal {
  const errors: unknown[] = Array.isArray(body.errors) ? body.errors : [];
  const codes = errors
    .map((error) => (typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined))
    .concat(body.error) // As RFC 6749 has it.
    .filter((code): code is string => typeof code === 'string' && CODE.test(code));
  const refusal: Refusal = { status: answer.status, codes };
  if (typeof body.traceId === 'string' && CODE.test(body.traceId)) refusal.traceId = body.traceId;
  const wait = waitOf(answer.headers.get('retry-after'), answer.headers.get('date'));
  if (wait !== undefined) refusal.retryAfter = wait;
  return refusal;
}

/** `Retry-After` (RFC 9110, section 10.2.3) in seconds: itself seconds, or a date, against the answer's own. */
export function waitOf(after: string | null, date: string | null): number | undefined {
  if (after === null) return undefined;
  if (/^\d+$/.test(after)) return after.length <= 6 ? Number(after) : undefined;
  if (!DATE.test(after) || !DATE.test(date ?? '')) return undefined;
  const wait = (Date.parse(after) - Date.parse(date ?? '')) / 1000;
  return wait >= 0 && wait < LONGEST_WAIT ? wait : undefined;
}

/** Undefined: it is too long. */
async function textOf(answer: Response): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = '';
  let length = 0;
  for await (const chunk of answer.body ?? []) {
    length += chunk.byteLength;
    if (length > LONGEST) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

function parse(text: string): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
