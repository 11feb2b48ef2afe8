package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.KeyList;
import io.github.sentryagent.agentidp.model.SigningKey;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** The keys that sign tokens. */
public final class SigningKeys {
    private final Caller caller;

    SigningKeys(Caller caller) {
        this.caller = caller;
    }

    /**
     * Lists the keys.
     *
     * @return the one that signs first
     * @throws ApiException when the IdP refuses
     */
    public KeyList list() {
        return Futures.await(listAsync());
    }

    /**
     * The same without blocking.
     *
     * @return the one that signs first
     */
    public CompletableFuture<KeyList> listAsync() {
        return caller.json(Call.get("/api/v1/keys"), KeyList.class);
    }

    /**
     * Lets another key sign as soon as every verifier had time to fetch it.
     *
     * @return the key that is to sign
     * @throws ApiException when the IdP refuses
     */
    public SigningKey rotate() {
        return Futures.await(rotateAsync());
    }

    /**
     * The same without blocking.
     *
     * @return the key that is to sign
     */
    public CompletableFuture<SigningKey> rotateAsync() {
        return caller.json(Call.post("/api/v1/keys/rotate", Map.of()), SigningKey.class);
    }

    /**
     * Revokes the key that signs and every token that it signed.
     *
     * @param reason for the audit log
     * @return the key that signs from now on
     * @throws ApiException when the IdP refuses
     */
    public SigningKey rotateInEmergency(String reason) {
        return Futures.await(rotateInEmergencyAsync(reason));
    }

    /**
     * The same without blocking.
     *
     * @param reason for the audit log
     * @return the key that signs from now on
     */
    public CompletableFuture<SigningKey> rotateInEmergencyAsync(String reason) {
        return caller.json(
                Call.post("/api/v1/keys/rotate", Map.of("emergency", true, "reason", reason)), SigningKey.class);
    }
}
