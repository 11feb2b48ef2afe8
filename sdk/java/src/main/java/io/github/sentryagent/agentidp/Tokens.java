package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.Introspection;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** Live tokens. */
public final class Tokens {
    private final Caller caller;

    Tokens(Caller caller) {
        this.caller = caller;
    }

    /**
     * Says whether a token is live: one of the client's own, or with {@code tokens:introspect} one of its organization. Of others it says that they are not.
     *
     * @param token which
     * @return its state
     * @throws ApiException when the IdP refuses
     */
    public Introspection introspect(String token) {
        return Futures.await(introspectAsync(token));
    }

    /**
     * The same without blocking.
     *
     * @param token which
     * @return its state
     */
    public CompletableFuture<Introspection> introspectAsync(String token) {
        return caller.json(introspection(token), Introspection.class);
    }

    /** The same, with all its attempts in so short a time. */
    CompletableFuture<Introspection> introspectAsync(String token, Duration limit) {
        return caller.json(introspection(token).within(limit), Introspection.class);
    }

    private static Call introspection(String token) {
        return Call.form("/api/v1/token/introspect", Map.of("token", token));
    }

    /**
     * Kills a token: one of the client's own, or with {@code tokens:revoke} one of its organization. An unknown one is no error.
     *
     * @param token which
     * @param reason for the audit log; may be null
     * @throws ApiException when the IdP refuses
     */
    public void revoke(String token, String reason) {
        Futures.await(revokeAsync(token, reason));
    }

    /**
     * The same without blocking.
     *
     * @param token which
     * @param reason for the audit log; may be null
     * @return done when it is done
     */
    public CompletableFuture<Void> revokeAsync(String token, String reason) {
        Map<String, String> form = reason == null ? Map.of("token", token) : Map.of("token", token, "reason", reason);
        return caller.nothing(Call.form("/api/v1/token/revoke", form));
    }
}
