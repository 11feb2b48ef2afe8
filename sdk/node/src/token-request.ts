import { ask, jsonOf } from "./answer.js";
import { type Prove, proverOf } from "./client-auth.js";
import type { Clock, Instant } from "./clock.js";
import { baseOf, type Config, validate } from "./config.js";
import { InvalidAnswerError, RefusedError } from "./error.js";
import { retry } from "./retry.js";

const LARGEST_ANSWER = 64 << 10;
const LONGEST_LIFE = 86_400; // seconds; more is taken for so much
const ATTEMPT = 10_000;

/** The answer of the token endpoint. */
export interface IssuedToken {
  accessToken: string;
  /** When it was asked for, and seconds from then. */
  asked: Instant;
  expiresIn: number;
  /** What was granted, separated by spaces. */
  scope: string;
}

/** Asks for tokens with one configuration. */
export class TokenRequest {
  private readonly prove: Prove;
  private readonly url: string;
  private readonly form: URLSearchParams;

  constructor(
    private readonly config: Config,
    private readonly clock: Clock,
  ) {
    validate(config);
    this.prove = proverOf(config, clock);
    this.url = `${baseOf(config.url)}/api/v1/token`;
    this.form = new URLSearchParams({ grant_type: "client_credentials" });
    for (const resource of config.resources ?? []) this.form.append("resource", resource);
    if (config.scopes?.length) this.form.set("scope", config.scopes.join(" "));
  }

  /**
   * Asks, and again after a pause when the IdP is away, overloaded or limits the rate: no answer, no token, so asking
   * twice does no harm.
   */
  send(signal?: AbortSignal): Promise<IssuedToken> {
    const again = (error: unknown) =>
      error instanceof RefusedError ? error.temporary : !(error instanceof InvalidAnswerError);
    return retry(this.clock, again, () => this.once(signal), signal);
  }

  private async once(signal?: AbortSignal): Promise<IssuedToken> {
    const proof = await this.prove();
    const form = new URLSearchParams(this.form);
    for (const [name, value] of Object.entries(proof.form)) form.set(name, value);
    const asked = this.clock.now(); // before it is sent, so that the token is never thought younger than it is
    const answer = await ask({
      fetch: this.config.fetch ?? globalThis.fetch,
      url: this.url,
      init: {
        method: "POST",
        headers: { ...proof.headers, "Content-Type": "application/x-www-form-urlencoded", Accept: "application/json" },
        body: form.toString(),
        ...(signal && { signal }),
      },
      timeout: this.config.timeout ?? ATTEMPT,
      limit: LARGEST_ANSWER,
      what: "ask for a token",
    });
    return parse(jsonOf(answer, "ask for a token"), asked);
  }
}

/** Reads a successful answer (RFC 6749 section 5.1). */
function parse(body: unknown, asked: Instant): IssuedToken {
  const { access_token, token_type, expires_in, scope } = { ...(body as Record<string, unknown>) };
  const bearer = typeof token_type === "string" && token_type.toLowerCase() === "bearer";
  const lasting = typeof expires_in === "number" && Number.isInteger(expires_in) && expires_in > 0;
  if (typeof access_token !== "string" || access_token === "" || !bearer || !lasting) {
    throw new InvalidAnswerError("ask for a token: the answer lacks a bearer token with a lifetime");
  }
  return {
    accessToken: access_token,
    asked,
    expiresIn: Math.min(expires_in, LONGEST_LIFE),
    scope: typeof scope === "string" ? scope : "",
  };
}
