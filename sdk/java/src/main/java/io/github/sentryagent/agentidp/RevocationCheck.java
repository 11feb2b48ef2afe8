package io.github.sentryagent.agentidp;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;

/** Tells of a token that is good otherwise whether it was revoked. */
@FunctionalInterface
interface RevocationCheck {
    /** Fails with token_revoked, or revocations_stale when it is not known. */
    CompletableFuture<Void> check(String raw, VerifiedToken token);

    /** Nothing is looked up: a revoked token is good until it expires. */
    RevocationCheck NONE = (raw, token) -> CompletableFuture.completedFuture(null);

    /** Asks the IdP about each token (RFC 7662); no answer within the limit is none. */
    static RevocationCheck introspection(ManagementClient client, Duration limit) {
        return (raw, token) -> client.tokens().introspectAsync(raw, limit).handle((state, failure) -> {
            if (failure != null) {
                throw stale(Futures.cause(failure));
            }
            if (!state.active()) {
                throw new TokenRefusedException(RefusalReason.TOKEN_REVOKED);
            }
            return null;
        });
    }

    static VerificationUnavailableException stale(Throwable cause) {
        return new VerificationUnavailableException("revocations_stale", cause);
    }
}
