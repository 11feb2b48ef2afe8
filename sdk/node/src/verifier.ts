import { errors, jwtVerify } from "jose";
import { type Claims, readClaims } from "./claims.js";
import type { Client } from "./client.js";
import { type Clock, systemClock } from "./clock.js";
import { split } from "./compact.js";
import { baseOf } from "./config.js";
import { KeySet } from "./key-set.js";
import { type TokenRefusalReason, TokenRefusedError, UndecidedError } from "./refusals.js";
import { StatusLists } from "./status-list.js";

const LEEWAY = 5; // seconds that clocks may differ
const LONGEST_LIFE = 3_600;
const INTROSPECTION = 2_000; // milliseconds; a request waits for it

/** What a {@link Verifier} holds tokens against. */
export interface VerifierOptions {
  /** The IdP's URL, compared byte for byte. */
  issuer: string;
  /** The API's own name: the `resource` that tokens are asked for. Compared byte for byte. */
  audience: string;
  /** Where the issuer's keys are. Default: `/.well-known/jwks.json` of the issuer. */
  jwksUrl?: string | undefined;
  /**
   * How it is found out whether a token was revoked: by the status list that it names, known for some seconds, or by
   * introspection with this client at every token, which has two seconds. Default: not at all; a revoked token is good until it expires.
   */
  revocation?: "status-list" | Pick<Client, "tokens"> | undefined;
  /** Makes the requests. Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
}

/**
 * Verifies access tokens as the sidecar does, for an API without one. Share one among all requests: it keeps the
 * issuer's keys.
 */
export class Verifier {
  private readonly keys: KeySet;
  private readonly lists: StatusLists;

  /** It asks for nothing yet. */
  constructor(options: VerifierOptions);
  /** @internal */
  constructor(options: VerifierOptions, clock: Clock);
  constructor(
    private readonly options: VerifierOptions,
    private readonly clock: Clock = systemClock,
  ) {
    if (!options.issuer || !options.audience) throw new TypeError("issuer and audience are needed");
    const url = options.jwksUrl ?? `${baseOf(options.issuer)}/.well-known/jwks.json`;
    this.keys = new KeySet(url, options.fetch, clock);
    this.lists = new StatusLists(options.issuer, this.keys, options.fetch, clock);
  }

  /**
   * What a good token says.
   * @throws TokenRefusedError when it is not good, UndecidedError when that cannot be decided now.
   */
  async verify(token: string): Promise<Claims> {
    const compact = split(token, "at+jwt");
    const claims = readClaims(compact.claims, compact.kid);
    const key = await this.keys.find(compact.kid);
    if (!key) throw new TokenRefusedError("unknown_key");
    const now = Math.floor(this.clock.now().wall / 1000);
    try {
      await jwtVerify(token, key, {
        algorithms: ["RS256"],
        issuer: this.options.issuer,
        audience: this.options.audience,
        clockTolerance: LEEWAY,
        currentDate: new Date(now * 1000),
      });
    } catch (error) {
      throw new TokenRefusedError(reasonOf(error));
    }
    if (claims.issuedAt > now + LEEWAY) throw new TokenRefusedError("not_yet_valid");
    const life = claims.expiresAt - claims.issuedAt;
    if (life <= 0 || life > LONGEST_LIFE) throw new TokenRefusedError("lifetime");
    if (await this.revoked(token, claims)) throw new TokenRefusedError("token_revoked");
    return claims;
  }

  /** Ends when no fetch is under way. @internal */
  async idle(): Promise<void> {
    await this.lists.idle();
    await this.keys.idle();
  }

  private async revoked(token: string, claims: Claims): Promise<boolean> {
    const { revocation } = this.options;
    if (revocation === undefined) return false;
    if (revocation === "status-list") return this.lists.revoked(claims.status);
    try {
      const { active } = await revocation.tokens.introspect(token, { signal: this.clock.deadline(INTROSPECTION) });
      return active !== true;
    } catch (cause) {
      throw new UndecidedError("revocations_stale", { cause });
    }
  }
}

function reasonOf(error: unknown): TokenRefusalReason {
  if (error instanceof errors.JWSSignatureVerificationFailed) return "signature";
  if (error instanceof errors.JWTExpired) return "expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "iss") return "issuer_mismatch";
    if (error.claim === "aud") return "audience_mismatch";
    if (error.claim === "nbf") return "not_yet_valid";
  }
  return "malformed";
}
