// How long to wait after failures in a row, and waiting that can be ended.
//
// The rule: never all instances at once: what is waited for is chance, between half and all of the bound.

import { setTimeout } from 'node:timers/promises';

const BASE = 250;

/** After `failures` in a row, in milliseconds. */
export function backoff(failures: number, cap: number, random: () => number = Math.random): number {
  return jitter(Math.min(cap, BASE * 2 ** Math.min(failures - 1, 20)), random);
}

/** Between half and all of it. */
export function jitter(bound: number, random: () => number = Math.random): number {
  return bound * (0.5 + random() / 2);
}

/** Waits, unless the signal ends it; never throws. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal }).catch(() => {});
}

/** The promise, or the signal's reason, whichever is first; the promise itself goes on. */
export async function unless<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => {});
  signal.throwIfAborted();
  let end = () => {};
  const aborted = new Promise<never>((_, reject) => {
    end = () => reject(signal.reason);
    signal.addEventListener('abort', end, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}
