import { AgentIdPError } from "./error.js";

/** Why a token is refused: the words of the sidecar, stable and safe for callers. */
export type TokenRefusalReason =
  | "malformed" // not three canonical segments of strict JSON, or no usable kid
  | "oversize" // longer than the bound, not looked at
  | "algorithm" // anything but RS256
  | "critical_header" // crit, b64, or a key sent along
  | "type_mismatch" // another kind of JWT
  | "unknown_key" // no such kid in the key set
  | "signature" // told before anything about the claims' values
  | "issuer_mismatch"
  | "audience_mismatch"
  | "expired"
  | "not_yet_valid" // nbf or iat in the future
  | "lifetime" // exp is not after iat, or too long after
  | "claims_invalid" // a claim is missing, of the wrong type or out of bounds
  | "token_revoked"; // by introspection or its status list

/** The token is refused, now and later. Its text never contains a part of the token. */
export class TokenRefusedError extends AgentIdPError {
  override readonly name = "TokenRefusedError";
  /** What to answer the token's sender. */
  readonly status = 401;

  constructor(readonly reason: TokenRefusalReason) {
    super(`the token is refused: ${reason}`);
  }
}

/** It cannot be decided now whether a token is good: the IdP has been away for too long. Nobody is let in meanwhile. */
export class UndecidedError extends AgentIdPError {
  override readonly name = "UndecidedError";
  /** What to answer the token's sender. */
  readonly status = 503;

  constructor(
    readonly reason: "keys_stale" | "revocations_stale",
    options?: ErrorOptions,
  ) {
    super(`it cannot be decided now: ${reason}`, options);
  }
}
