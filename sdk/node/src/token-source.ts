import { type Clock, type Instant, since, systemClock } from "./clock.js";
import type { Config } from "./config.js";
import { ConnectionError, InvalidAnswerError } from "./error.js";
import { type AuthenticatedFetch, authenticatedFetch } from "./fetch.js";
import { type IssuedToken, TokenRequest } from "./token-request.js";

// A token is replaced after about 80 % of its life, and not used in its last seconds.
const REFRESH_AFTER = 0.8;
const JITTER = 0.1;
const LAST_USE = 5_000;
const PAUSE_AFTER_FAILURE = 5_000;
const PAUSE_AFTER_REJECTION = 10_000;
const REFRESH_LIMIT = 30_000;

/** A token and when to stop using it. */
export interface AccessToken {
  readonly accessToken: string;
  /** What was granted, separated by spaces. */
  readonly scope: string;
  /** When it ends, never later than the IdP says. */
  readonly expiresAt: Date;
}

/** Something to wait with, which an abort ends. */
export interface Waiting {
  signal?: AbortSignal | undefined;
}

/** What a client proves itself with. */
export type ClientCredentials = Pick<Config, "clientId" | "clientSecret" | "privateKey" | "keyId">;

/**
 * Gives a fresh access token to any number of callers: kept until shortly before it expires, replaced in the background
 * while the old one is still good, one request in flight however many callers.
 *
 * ```ts
 * const source = new TokenSource({ ...fromEnvironment(), resources: ["https://notes.example.com"] });
 * const response = await source.fetch("https://notes.example.com/notes");
 * ```
 */
export class TokenSource {
  private request: TokenRequest;
  private kept: { token: AccessToken; asked: Instant; life: number; refreshAfter: number } | undefined;
  private flight: Promise<AccessToken> | undefined;
  private failed: Instant | undefined;
  private rejected: Instant | undefined;

  /** `fetch` with the source's tokens; see {@link authenticatedFetch}. */
  readonly fetch: AuthenticatedFetch;

  /** @throws ConfigError when the configuration cannot work. It asks for nothing yet. */
  constructor(config: Config);
  /** @internal */
  constructor(config: Config, clock: Clock);
  constructor(
    private config: Config,
    private readonly clock: Clock = systemClock,
  ) {
    this.request = new TokenRequest(config, clock);
    this.fetch = authenticatedFetch(this, config.fetch);
  }

  /** Who asks. */
  get clientId(): string {
    return this.config.clientId ?? "";
  }

  /** Whether it proves itself with a secret, not a key. */
  get hasSecret(): boolean {
    return this.config.clientSecret !== undefined;
  }

  /**
   * A token that is good for five seconds or more. The signal bounds this caller's wait, not the request that others
   * wait for too.
   * @throws RefusedError, ConnectionError, InvalidAnswerError
   */
  async token({ signal }: Waiting = {}): Promise<AccessToken> {
    signal?.throwIfAborted();
    const now = this.clock.now();
    const kept = this.kept;
    const age = kept ? since(kept.asked, now) : 0;
    if (!kept || age + LAST_USE >= kept.life) return unlessAborted(this.refresh(), signal);
    const pausing = this.failed !== undefined && since(this.failed, now) < PAUSE_AFTER_FAILURE;
    if (age >= kept.refreshAfter && !pausing) this.refresh().catch(() => {}); // the kept one is good: later callers hear of it
    return kept.token;
  }

  /** {@link TokenSource.token}, as text. */
  async accessToken(waiting?: Waiting): Promise<string> {
    return (await this.token(waiting)).accessToken;
  }

  /** Drops the kept token: the next call asks for a new one. */
  forget(): void {
    this.kept = undefined;
  }

  /**
   * Drops a token that an API answered 401 to, unless another has taken its place; one in ten seconds, so that an API
   * that refuses everything costs no tokens. Whether the next call may bring another one.
   */
  reject(accessToken: string): boolean {
    if (this.kept?.token.accessToken !== accessToken) return true;
    const now = this.clock.now();
    if (this.rejected !== undefined && since(this.rejected, now) < PAUSE_AFTER_REJECTION) return false;
    this.rejected = now;
    this.forget();
    return true;
  }

  /** Asks for tokens with another credential from now on. The kept token is used on, so no call fails. */
  use(credentials: ClientCredentials): void {
    const { clientId, clientSecret, privateKey, keyId } = credentials;
    const config = { ...this.config, clientId, clientSecret, privateKey, keyId };
    this.request = new TokenRequest(config, this.clock);
    this.config = config;
  }

  /** Ends when no request is under way. @internal */
  async idle(): Promise<void> {
    await this.flight?.catch(() => {});
  }

  /** The request under way, or a new one. */
  private refresh(): Promise<AccessToken> {
    this.flight ??= this.ask().finally(() => {
      this.flight = undefined;
    });
    return this.flight;
  }

  private async ask(): Promise<AccessToken> {
    const limit = AbortSignal.timeout(REFRESH_LIMIT);
    try {
      return this.keep(await this.request.send(limit));
    } catch (error) {
      this.failed = this.clock.now();
      throw limit.aborted ? new ConnectionError("ask for a token: no answer in time", true, { cause: error }) : error;
    }
  }

  private keep({ accessToken, scope, asked, expiresIn }: IssuedToken): AccessToken {
    const life = expiresIn * 1000;
    if (since(asked, this.clock.now()) >= life)
      throw new InvalidAnswerError("ask for a token: it came when it had expired");
    const token: AccessToken = { accessToken, scope, expiresAt: new Date(asked.wall + life) };
    this.failed = undefined;
    this.kept = { token, asked, life, refreshAfter: life * (REFRESH_AFTER + JITTER * this.clock.random()) };
    return token;
  }
}

/** The promise, or the end of this caller's wait for it. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
