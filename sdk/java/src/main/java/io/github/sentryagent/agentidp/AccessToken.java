package io.github.sentryagent.agentidp;

import java.time.Instant;

/**
 * An access token.
 *
 * @param value what stands behind {@code Bearer} in a request
 * @param expiresAt counted from before it was asked for, so never later than its {@code exp}
 * @param scope what was granted, capabilities separated by spaces; may be empty
 */
public record AccessToken(String value, Instant expiresAt, String scope) {
    /** Without the token itself. */
    @Override
    public String toString() {
        return "AccessToken[expiresAt=" + expiresAt + ", scope=" + scope + "]";
    }
}
