import { type CryptoKey, importJWK } from "jose";
import { ask } from "./answer.js";
import { type Clock, type Instant, since } from "./clock.js";
import { parseKeySet } from "./jwks.js";
import { UndecidedError } from "./refusals.js";

const TIME_LIMIT = 10_000;
const LARGEST = 256 << 10;
const COOL_DOWN = 10_000;
const FRESH = 300_000;
const STALE = 86_400_000;
const LONGEST_WAIT = 3_000;
const REMEMBERED = 300_000;
const MOST_REMEMBERED = 128;

/** The keys of an issuer by their ids, kept current by the sidecar's rules. */
export class KeySet {
  private keys: ReadonlyMap<string, CryptoKey> = new Map();
  private tag: string | undefined; // the ETag of that set
  private confirmed: Instant | undefined; // when the issuer last gave the set
  private freshFor = FRESH;
  private begun: Instant | undefined; // when the last fetch began
  private flight: Promise<boolean> | undefined; // whether it is a good one
  private readonly absent = new Map<string, Instant>(); // kids that a good fetch did not bring, oldest first

  constructor(
    private readonly url: string,
    private readonly fetch: typeof globalThis.fetch | undefined,
    private readonly clock: Clock,
  ) {}

  /**
   * The key with this id; `undefined` when the issuer has none. An id that is not known asks the issuer, but however
   * many are asked for, it sees one request in ten seconds.
   * @throws UndecidedError keys_stale
   */
  async find(kid: string): Promise<CryptoKey | undefined> {
    if (this.age() > STALE && !(await this.fetchUnlessCooling())) throw new UndecidedError("keys_stale");
    const known = this.keys.get(kid);
    if (known) {
      if (this.age() >= this.freshFor) this.fetchUnlessCooling(); // behind the request: this one has the old set
      return known;
    }
    const missed = this.absent.get(kid);
    if (missed && since(missed, this.clock.now()) < REMEMBERED) return undefined;
    if (await this.fetchUnlessCooling()) {
      const found = this.keys.get(kid);
      if (!found) this.remember(kid);
      return found;
    }
    return this.keys.get(kid);
  }

  /** Ends when no fetch is under way. */
  async idle(): Promise<void> {
    await this.flight;
  }

  private age(): number {
    return this.confirmed ? since(this.confirmed, this.clock.now()) : Number.POSITIVE_INFINITY;
  }

  /** Waits for the fetch under way or a new one. False: it failed, takes too long, or it is too early for one. */
  private async fetchUnlessCooling(): Promise<boolean> {
    if (!this.flight) {
      const now = this.clock.now();
      if (this.begun && since(this.begun, now) < COOL_DOWN) return false;
      this.begun = now;
      this.flight = this.load().finally(() => {
        this.flight = undefined;
      });
    }
    const enough = new AbortController();
    const patience = this.clock.sleep(LONGEST_WAIT, enough.signal).then(
      () => false,
      () => false,
    );
    return Promise.race([this.flight, patience]).finally(() => enough.abort());
  }

  /** Asks the issuer. What is no key set changes nothing. */
  private async load(): Promise<boolean> {
    const tag = this.tag;
    try {
      const answer = await ask({
        fetch: this.fetch ?? globalThis.fetch,
        url: this.url,
        init: {
          headers: { Accept: "application/jwk-set+json, application/json", ...(tag && { "If-None-Match": tag }) },
        },
        timeout: TIME_LIMIT,
        limit: LARGEST,
        what: "key set",
        takes: tag ? 304 : undefined, // the set is the one at hand
      });
      if (answer.status !== 304) {
        const usable = answer.status === 200 ? parseKeySet(answer.body) : undefined;
        if (!usable) return false;
        const imported = usable.map(async (jwk) => [jwk.kid, (await importJWK(jwk, "RS256")) as CryptoKey] as const);
        this.keys = new Map(await Promise.all(imported));
        this.tag = answer.headers.get("etag") || undefined;
      }
    } catch {
      return false; // away, or a key that the platform does not take
    }
    this.confirmed = this.clock.now();
    this.freshFor = FRESH * (0.9 + 0.2 * this.clock.random());
    return true;
  }

  private remember(kid: string): void {
    this.absent.delete(kid);
    const [oldest] = this.absent.keys();
    if (this.absent.size === MOST_REMEMBERED && oldest !== undefined) this.absent.delete(oldest);
    this.absent.set(kid, this.clock.now());
  }
}
