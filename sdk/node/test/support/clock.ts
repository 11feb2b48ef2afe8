import type { Clock, Instant } from "../../src/clock.js";

/** Stands still until it is set. Pauses take no time and are remembered; or, where `waits`, last until their signal. */
export class FakeClock implements Clock {
  readonly pauses: number[] = [];
  /** The limits that were set, in seconds, and how to let each pass. */
  readonly deadlines: { after: number; pass(): void }[] = [];
  private at: number;

  /** @param start - Unix seconds */
  constructor(
    private readonly start = 1_793_606_400,
    public waits = false,
  ) {
    this.at = start;
  }

  /** Seconds since the start. */
  set(seconds: number): void {
    this.at = this.start + seconds;
  }

  now(): Instant {
    return { wall: this.at * 1000, steady: this.at * 1000 };
  }

  async sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    if (!this.waits) {
      this.pauses.push(milliseconds / 1000);
      return;
    }
    await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
  }

  deadline(milliseconds: number): AbortSignal {
    const limit = new AbortController();
    const pass = () => limit.abort(new DOMException("late", "TimeoutError"));
    this.deadlines.push({ after: milliseconds / 1000, pass });
    return limit.signal;
  }

  random(): number {
    return Math.random();
  }
}
