package io.github.sentryagent.agentidp.model;

import java.time.Instant;

/**
 * A signing key: public facts only.
 *
 * @param kid its id
 * @param alg RS256
 * @param bits of the modulus
 * @param status what it does
 * @param createdAt when it was made
 * @param activateAt when a next key is to sign; may be null
 * @param activatedAt when it began to sign; may be null
 * @param rotateAt in the list, when the active key gives way; may be null
 * @param retiredAt when it ceased to sign; may be null
 * @param leavesAt in the list, when a retired key leaves the JWKS; may be null
 */
public record SigningKey(
        String kid,
        String alg,
        int bits,
        KeyStatus status,
        Instant createdAt,
        Instant activateAt,
        Instant activatedAt,
        Instant rotateAt,
        Instant retiredAt,
        Instant leavesAt) {}
