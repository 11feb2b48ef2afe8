package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.AuthMethod;
import io.github.sentryagent.agentidp.model.Credential;
import io.github.sentryagent.agentidp.model.CredentialWithSecret;
import io.github.sentryagent.agentidp.model.Page;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;

/** What agents authenticate with. */
public final class Credentials {
    private final Caller caller;

    Credentials(Caller caller) {
        this.caller = caller;
    }

    /**
     * Lists an agent's credentials, revoked ones too.
     *
     * @param agentId whose
     * @return page by page as it is consumed
     */
    public Listing<Credential> list(String agentId) {
        return Paging.byNumber(number -> Futures.await(pageAsync(agentId, number, Listing.PAGE_SIZE)));
    }

    /**
     * One page of that list.
     *
     * @param agentId whose
     * @param number from 1
     * @param limit entries, 1 to 100
     * @return the page
     * @throws ApiException when the IdP refuses
     */
    public Page<Credential> page(String agentId, int number, int limit) {
        return Futures.await(pageAsync(agentId, number, limit));
    }

    /**
     * The same without blocking.
     *
     * @param agentId whose
     * @param number from 1
     * @param limit entries, 1 to 100
     * @return the page
     */
    public CompletableFuture<Page<Credential>> pageAsync(String agentId, int number, int limit) {
        Call call = Call.get(path(agentId)).with("page", number).with("limit", limit);
        return caller.json(call, Paging.of(Credential.class));
    }

    /**
     * Makes a credential with a secret that never ends. A call whose answer was lost made one that nobody knows the secret of: it is in the list, to be revoked.
     *
     * @param agentId whose
     * @return with its secret
     * @throws ApiException when the IdP refuses
     */
    public CredentialWithSecret create(String agentId) {
        return Futures.await(createAsync(agentId));
    }

    /**
     * The same without blocking.
     *
     * @param agentId whose
     * @return with its secret
     */
    public CompletableFuture<CredentialWithSecret> createAsync(String agentId) {
        return createAsync(agentId, AuthMethod.CLIENT_SECRET, null);
    }

    /**
     * Makes a credential.
     *
     * @param agentId whose
     * @param method how it is proved
     * @param expiresAt when it ends; null: never
     * @return with its secret, if it has one
     * @throws ApiException when the IdP refuses
     */
    public CredentialWithSecret create(String agentId, AuthMethod method, Instant expiresAt) {
        return Futures.await(createAsync(agentId, method, expiresAt));
    }

    /**
     * The same without blocking.
     *
     * @param agentId whose
     * @param method how it is proved
     * @param expiresAt when it ends; null: never
     * @return with its secret, if it has one
     */
    public CompletableFuture<CredentialWithSecret> createAsync(String agentId, AuthMethod method, Instant expiresAt) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("authMethod", method);
        body.put("expiresAt", expiresAt);
        body.values().removeIf(Objects::isNull);
        return caller.json(Call.post(path(agentId), body), CredentialWithSecret.class);
    }

    /**
     * Replaces the secret; the client id stays.
     *
     * @param agentId whose
     * @param credentialId which
     * @param overlap how long the old secret stays good, up to a week, in whole seconds, rounded up
     * @return with its new secret
     * @throws ApiException when the IdP refuses
     * @throws SecretLostException when the secret was replaced and the answer lost
     */
    public CredentialWithSecret rotate(String agentId, String credentialId, Duration overlap) {
        return Futures.await(rotateAsync(agentId, credentialId, overlap));
    }

    /**
     * The same without blocking.
     *
     * @param agentId whose
     * @param credentialId which
     * @param overlap how long the old secret stays good, up to a week, in whole seconds, rounded up
     * @return with its new secret
     */
    public CompletableFuture<CredentialWithSecret> rotateAsync(String agentId, String credentialId, Duration overlap) {
        return rotateAsync(agentId, credentialId, overlap, false);
    }

    /**
     * Replaces the secret; the client id stays.
     *
     * @param agentId whose
     * @param credentialId which
     * @param overlap how long the old secret stays good, up to a week, in whole seconds, rounded up
     * @param revokeTokens kills the tokens issued to the credential too
     * @return with its new secret
     * @throws ApiException when the IdP refuses
     * @throws SecretLostException when the secret was replaced and the answer lost
     */
    public CredentialWithSecret rotate(String agentId, String credentialId, Duration overlap, boolean revokeTokens) {
        return Futures.await(rotateAsync(agentId, credentialId, overlap, revokeTokens));
    }

    /**
     * The same without blocking.
     *
     * @param agentId whose
     * @param credentialId which
     * @param overlap how long the old secret stays good, up to a week, in whole seconds, rounded up
     * @param revokeTokens kills the tokens issued to the credential too
     * @return with its new secret
     */
    public CompletableFuture<CredentialWithSecret> rotateAsync(
            String agentId, String credentialId, Duration overlap, boolean revokeTokens) {
        Call call = Call.post(path(agentId, credentialId) + "/rotate", Map.of("overlapSeconds", seconds(overlap)))
                .with("revokeTokens", revokeTokens ? true : null);
        Instant began = caller.config().clock.instant();
        return caller.json(call, CredentialWithSecret.class)
                .exceptionallyCompose(failure -> CompletableFuture.failedFuture(
                        lost(Futures.cause(failure), credentialId, began.plus(overlap))));
    }

    /** Whole ones, upwards: half a second is not none. */
    private static long seconds(Duration overlap) {
        return overlap.getSeconds() + (overlap.getNano() > 0 && !overlap.isNegative() ? 1 : 0);
    }

    /** The refusal of a repeated request that was answered before names the credential; no other does. */
    private static Throwable lost(Throwable failure, String credentialId, Instant goodUntil) {
        return failure instanceof ApiException refused
                        && refused.status() == 409
                        && refused.code().equals(ErrorCode.INVALID_STATE)
                        && !refused.details().credentialId().isEmpty()
                ? new SecretLostException(credentialId, goodUntil, refused)
                : failure;
    }

    /**
     * Final.
     *
     * @param agentId whose
     * @param credentialId which
     * @param revokeTokens kills the tokens issued to it too; else they live on
     * @param reason for the audit log; may be null
     * @throws ApiException when the IdP refuses
     */
    public void revoke(String agentId, String credentialId, boolean revokeTokens, String reason) {
        Futures.await(revokeAsync(agentId, credentialId, revokeTokens, reason));
    }

    /**
     * The same without blocking.
     *
     * @param agentId whose
     * @param credentialId which
     * @param revokeTokens kills the tokens issued to it too; else they live on
     * @param reason for the audit log; may be null
     * @return done when it is done
     */
    public CompletableFuture<Void> revokeAsync(
            String agentId, String credentialId, boolean revokeTokens, String reason) {
        return caller.nothing(Call.delete(path(agentId, credentialId))
                .with("revokeTokens", revokeTokens ? true : null)
                .with("reason", reason));
    }

    private static String path(String agentId) {
        return Agents.path(agentId) + "/credentials";
    }

    private static String path(String agentId, String credentialId) {
        return path(agentId) + "/" + Call.segment(credentialId);
    }
}
