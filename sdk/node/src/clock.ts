import { setTimeout as timeout } from "node:timers/promises";

/** A moment by the clock on the wall and by the one that never steps, both in milliseconds. */
export interface Instant {
  wall: number;
  steady: number;
}

/** Time and chance, which tests bring their own of. */
export interface Clock {
  now(): Instant;
  /** Rejects with the signal's reason when that is sooner. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** Aborts after so long. */
  deadline(milliseconds: number): AbortSignal;
  /** From 0 to less than 1. */
  random(): number;
}

export const systemClock: Clock = {
  now: () => ({ wall: Date.now(), steady: performance.now() }),
  sleep: (milliseconds, signal) =>
    timeout(milliseconds, undefined, signal && { signal }).catch((error) => {
      throw signal?.reason ?? error;
    }),
  deadline: (milliseconds) => AbortSignal.timeout(milliseconds),
  random: Math.random,
};

/**
 * Milliseconds since then, by whichever clock says more: neither a clock set back nor a machine that slept makes what
 * is known look fresh.
 */
export function since(then: Instant, now: Instant): number {
  return Math.max(now.wall - then.wall, now.steady - then.steady);
}
