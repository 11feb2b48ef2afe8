package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.Credential;
import io.github.sentryagent.agentidp.model.CredentialWithSecret;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/**
 * Replaces the secret of the client's own credential while it works: the old secret stays good for the overlap, token
 * sources go over to the new one, tokens that are kept stay.
 *
 * <pre>{@code
 * CredentialRotation rotation = CredentialRotation.builder(client)
 *         .switches(tokenSource)
 *         .store(credential -> vault.put(credential.clientId(), credential.clientSecret()))
 *         .build();
 * rotation.rotate();
 * }</pre>
 */
public final class CredentialRotation {
    private final ManagementClient client;
    private final Duration overlap;
    private final List<TokenSource> sources;
    private final Consumer<CredentialWithSecret> store;

    private CredentialRotation(Builder builder) {
        this.client = builder.client;
        this.overlap = builder.overlap;
        this.sources = List.copyOf(builder.sources);
        this.store = builder.store;
    }

    /**
     * What came of a rotation.
     *
     * @param credential with the new secret, which the IdP never shows again
     * @param notStored why the callback failed; null when it did not. The new secret is in use all the same: store it
     *     before the overlap ends
     */
    public record Result(CredentialWithSecret credential, Exception notStored) {
        /** Without the secret. */
        @Override
        public String toString() {
            return "Result[credential=" + credential + ", stored=" + (notStored == null) + "]";
        }
    }

    /**
     * Begins one.
     *
     * @param client of the agent whose secret is replaced; its own calls go over to the new one
     * @return with an overlap of one hour
     */
    public static Builder builder(ManagementClient client) {
        return new Builder(client);
    }

    /**
     * Rotates once.
     *
     * @return the new credential
     * @throws ApiException when the IdP refuses
     * @throws SecretLostException when the secret was replaced and the answer lost: nothing was switched or stored
     * @throws ConfigurationException when the client has no secret: nothing was called
     */
    public Result rotate() {
        return Futures.await(rotateAsync());
    }

    /**
     * The same without blocking; the callback runs on another thread. Cancelling it ends the wait alone: the answer has the
     * only copy of the secret, which is put to use and stored all the same.
     *
     * @return the new credential
     */
    public CompletableFuture<Result> rotateAsync() {
        if (!(client.config().authentication().orElse(null) instanceof ClientAuthentication.Secret)) {
            return CompletableFuture.failedFuture(new ConfigurationException(
                    List.of("only a client secret can be rotated, and there is none"), null));
        }
        String clientId = client.config().clientId().orElseThrow();
        return client.tokenSource()
                .tokenAsync()
                .thenApply(CredentialRotation::subject)
                .thenCompose(agentId -> find(agentId, clientId)
                        .thenCompose(own -> client.credentials().rotateAsync(agentId, own.credentialId(), overlap)))
                .thenApplyAsync(this::switchOver)
                .copy();
    }

    /** Of our own token, which came from the endpoint that we authenticated to: not verified. */
    private static String subject(AccessToken token) {
        String[] parts = token.value().split("\\.");
        try {
            Map<String, Object> claims =
                    StrictJson.object(Base64.getUrlDecoder().decode(parts[1]));
            if (claims.get("sub") instanceof String agentId) {
                return agentId;
            }
        } catch (StrictJson.Malformed | IllegalArgumentException | ArrayIndexOutOfBoundsException e) {
            throw new InvalidAnswerException("the client's own token names no agent", e);
        }
        throw new InvalidAnswerException("the client's own token names no agent", null);
    }

    private CompletableFuture<Credential> find(String agentId, String clientId) {
        return CompletableFuture.supplyAsync(() -> client.credentials().list(agentId).stream()
                .filter(one -> one.clientId().equals(clientId))
                .findFirst()
                .orElseThrow(() -> new InvalidAnswerException("the agent has no credential " + clientId, null)));
    }

    private Result switchOver(CredentialWithSecret rotated) {
        ClientAuthentication secret = new ClientAuthentication.Secret(rotated.clientSecret());
        client.tokenSource().use(secret);
        sources.forEach(source -> source.use(secret));
        try {
            store.accept(rotated);
            return new Result(rotated, null);
        } catch (RuntimeException e) {
            return new Result(rotated, e);
        }
    }

    /** Collects what a rotation needs. */
    public static final class Builder {
        private final ManagementClient client;
        private final List<TokenSource> sources = new ArrayList<>();
        private Duration overlap = Duration.ofHours(1);
        private Consumer<CredentialWithSecret> store = ignored -> {};

        private Builder(ManagementClient client) {
            this.client = client;
        }

        /**
         * How long the old secret stays good.
         *
         * @param length up to a week
         * @return this
         */
        public Builder overlap(Duration length) {
            this.overlap = length;
            return this;
        }

        /**
         * A token source with the same credential, which goes over to the new secret.
         *
         * @param source in use
         * @return this
         */
        public Builder switches(TokenSource source) {
            sources.add(source);
            return this;
        }

        /**
         * Keeps the new credential where the next start looks for it.
         *
         * @param callback may throw
         * @return this
         */
        public Builder store(Consumer<CredentialWithSecret> callback) {
            this.store = callback;
            return this;
        }

        /**
         * Ends it.
         *
         * @return the rotation
         */
        public CredentialRotation build() {
            return new CredentialRotation(this);
        }
    }
}
