import type { Clock } from "./clock.js";
import { RefusedError } from "./error.js";

const ATTEMPTS = 4;
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 10_000;

/**
 * Calls `once` until it succeeds, fails for good, or has failed four times. It pauses as long as a refusal asks for,
 * else longer every time, and gives up rather than pause for more than ten seconds.
 */
export async function retry<T>(
  clock: Clock,
  again: (error: unknown) => boolean,
  once: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let attempt = 1, pause = FIRST_PAUSE; ; attempt++, pause *= 2) {
    try {
      return await once();
    } catch (error) {
      if (attempt === ATTEMPTS || signal?.aborted || !again(error)) throw error;
      const asked = error instanceof RefusedError ? error.retryAfter * 1000 : 0;
      if (asked > LONGEST_PAUSE) throw error;
      const jitter = clock.random();
      await clock.sleep(asked > 0 ? asked + jitter * FIRST_PAUSE : (pause / 2) * (1 + jitter), signal);
    }
  }
}
