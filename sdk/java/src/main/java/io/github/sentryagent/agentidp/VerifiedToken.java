package io.github.sentryagent.agentidp;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * What a good token says.
 *
 * @param issuer the IdP
 * @param subject the agent's id
 * @param audience the APIs it is for
 * @param clientId with whose credential it was got
 * @param organization the agent's
 * @param scope capabilities separated by spaces; may be empty
 * @param jti the token's own id
 * @param issuedAt when it was issued
 * @param expiresAt when it ends
 * @param status where a status list tells whether it is revoked
 * @param kid the key that verified it
 */
public record VerifiedToken(
        String issuer,
        String subject,
        List<String> audience,
        String clientId,
        String organization,
        String scope,
        String jti,
        Instant issuedAt,
        Instant expiresAt,
        Optional<StatusReference> status,
        String kid) {

    /**
     * A place in a status list (draft-ietf-oauth-status-list section 6).
     *
     * @param uri of the list
     * @param index in the list
     */
    public record StatusReference(String uri, long index) {}

    /**
     * The capabilities.
     *
     * @return in the order of the scope
     */
    public List<String> capabilities() {
        return scope.isEmpty() ? List.of() : List.of(scope.split(" "));
    }

    /**
     * Whether a capability covers what is needed; {@code *} counts as a whole side, but no resource of {@code *} is one of
     * the IdP's own.
     *
     * @param needed {@code resource:action}
     * @return false when none does, when {@code needed} is no capability, and when a member of the scope is none
     */
    public boolean covers(String needed) {
        Capability wanted = Capability.parse(needed);
        return wanted != null && Capability.ofScope(scope).stream().anyMatch(held -> held.covers(wanted));
    }
}
