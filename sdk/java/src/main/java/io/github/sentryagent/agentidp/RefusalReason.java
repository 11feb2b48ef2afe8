package io.github.sentryagent.agentidp;

import java.util.Locale;

/** Why a token is refused: the sidecar's reasons. */
public enum RefusalReason {
    /** No bearer token. */
    TOKEN_MISSING,
    /** Another scheme than Bearer. */
    SCHEME_UNSUPPORTED,
    /** Not three canonical segments of strict JSON, or no usable kid. */
    MALFORMED,
    /** Longer than 8 KiB, not looked at. */
    OVERSIZE,
    /** Anything but RS256. */
    ALGORITHM,
    /** crit, b64, zip, or a key sent along. */
    CRITICAL_HEADER,
    /** Another kind of JWT. */
    TYPE_MISMATCH,
    /** No such kid in the key set. */
    UNKNOWN_KEY,
    /** Not signed by that key; told before anything about the claims' values. */
    SIGNATURE,
    /** From another issuer. */
    ISSUER_MISMATCH,
    /** For another resource. */
    AUDIENCE_MISMATCH,
    /** Too old. */
    EXPIRED,
    /** nbf or iat in the future. */
    NOT_YET_VALID,
    /** exp is not after iat, or too long after. */
    LIFETIME,
    /** A claim is missing, of the wrong type or out of bounds. */
    CLAIMS_INVALID,
    /** Cut off. */
    TOKEN_REVOKED;

    /**
     * The stable form.
     *
     * @return lower_snake
     */
    public String code() {
        return name().toLowerCase(Locale.ROOT);
    }
}
