package io.github.sentryagent.agentidp;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;

/**
 * Gives a fresh token to any number of threads: kept until shortly before it expires, replaced in the background
 * while the old one is still good, one request in flight however many callers.
 */
public final class TokenSource {
    // A token is replaced after about 80 % of its life, and not used in its last seconds.
    private static final double REFRESH_AFTER = 0.8;
    private static final double JITTER = 0.1;
    private static final Duration LAST_USE = Duration.ofSeconds(5);
    private static final Duration PAUSE_AFTER_FAILURE = Duration.ofSeconds(5);
    private static final Duration FORGET_PAUSE = Duration.ofSeconds(10);
    private static final Duration LIMIT = Duration.ofSeconds(30);

    private final Config config;
    private final TokenRequest request;

    private final Object lock = new Object(); // guards all below
    private ClientAuthentication authentication;
    private AccessToken token;
    private Instant refreshAt;
    private Instant forgottenAt;
    private CompletableFuture<AccessToken> flight;

    /**
     * Asks for nothing yet.
     *
     * @param config must have a credential
     * @throws ConfigurationException when it has none
     */
    public TokenSource(Config config) {
        this.config = config;
        this.request = new TokenRequest(config);
        this.authentication = config.authentication().orElseThrow(TokenSource::noCredential);
    }

    static ConfigurationException noCredential() {
        return new ConfigurationException(
                List.of(
                        "the client id (AGENTIDP_CLIENT_ID) is missing",
                        "the client secret (AGENTIDP_CLIENT_SECRET) is missing"),
                null);
    }

    /**
     * A token, waited for at most half a minute.
     *
     * @return good for five seconds or more, unless the IdP gives shorter ones
     * @throws ApiException when the IdP refuses
     * @throws TransportException when it does not answer
     */
    public AccessToken token() {
        return Futures.await(tokenAsync());
    }

    /**
     * A token.
     *
     * @return fails as {@link #token()} throws; cancelling it ends this caller's wait alone
     */
    public CompletableFuture<AccessToken> tokenAsync() {
        synchronized (lock) {
            Instant now = config.clock.instant();
            boolean good = token != null && now.plus(LAST_USE).isBefore(token.expiresAt());
            if (good && now.isBefore(refreshAt)) {
                return CompletableFuture.completedFuture(token);
            }
            CompletableFuture<AccessToken> current = flight == null ? begin() : flight;
            return good ? CompletableFuture.completedFuture(token) : current.copy();
        }
    }

    /**
     * Drops a token that an API answered 401 to: the next caller gets another one.
     *
     * @param refused the token that was sent; nothing happens when another one is kept by now
     */
    public void forget(AccessToken refused) {
        synchronized (lock) {
            if (token != null && token.value().equals(refused.value())) {
                token = null;
            }
        }
    }

    /**
     * {@link #forget} for transports, which do it whenever an API answers 401: one that refuses everything must cost no
     * tokens, so at most one in ten seconds is forgotten.
     *
     * @param refused the token that was sent
     * @return whether another token may be had
     */
    public boolean forgetAfterRefusal(AccessToken refused) {
        synchronized (lock) {
            Instant now = config.clock.instant();
            if (token == null || !token.value().equals(refused.value())) {
                return true;
            }
            if (forgottenAt != null && now.isBefore(forgottenAt.plus(FORGET_PAUSE))) {
                return false;
            }
            forgottenAt = now;
            token = null;
            return true;
        }
    }

    /** From now on tokens are asked for with this one; the token that is kept stays. */
    void use(ClientAuthentication other) {
        synchronized (lock) {
            authentication = other;
        }
    }

    /** Done when the request under way has ended, if there is one; for tests. */
    CompletableFuture<Void> settled() {
        synchronized (lock) {
            return flight == null ? CompletableFuture.completedFuture(null) : flight.handle((ignored, failure) -> null);
        }
    }

    /** Starts the flight. The lock is held. */
    private CompletableFuture<AccessToken> begin() {
        ClientAuthentication used = authentication;
        CompletableFuture<AccessToken> landed = new CompletableFuture<>();
        flight = landed;
        CompletableFuture.supplyAsync(() -> request.send(used))
                .thenCompose(Function.identity())
                .exceptionallyCompose(failure -> sendAgain(used, failure))
                .orTimeout(LIMIT.toMillis(), TimeUnit.MILLISECONDS)
                .whenCompleteAsync((fresh, failure) -> land(landed, fresh, failure));
        return landed;
    }

    /** A secret may be replaced while a request with the old one is on its way. */
    private CompletableFuture<AccessToken> sendAgain(ClientAuthentication used, Throwable failure) {
        ClientAuthentication current;
        synchronized (lock) {
            current = authentication;
        }
        boolean replaced = current != used
                && Futures.cause(failure) instanceof ApiException refused
                && refused.code().equals(OAuthErrorCode.INVALID_CLIENT);
        return replaced ? request.send(current) : CompletableFuture.failedFuture(failure);
    }

    /** Ends the flight. After a failure a token that is still good is kept, and not asked for again for a while. */
    private void land(CompletableFuture<AccessToken> landed, AccessToken fresh, Throwable failure) {
        synchronized (lock) {
            flight = null;
            Instant now = config.clock.instant();
            if (failure == null) {
                token = fresh;
                double share =
                        REFRESH_AFTER + JITTER * ThreadLocalRandom.current().nextDouble();
                long life = Duration.between(now, fresh.expiresAt()).toMillis();
                refreshAt = now.plusMillis((long) (life * share));
            } else {
                refreshAt = now.plus(PAUSE_AFTER_FAILURE);
            }
        }
        if (failure == null) {
            landed.complete(fresh);
        } else if (Futures.cause(failure) instanceof TimeoutException late) {
            landed.completeExceptionally(new TransportException("no token in time", late));
        } else {
            landed.completeExceptionally(Futures.cause(failure));
        }
    }
}
