package io.github.sentryagent.agentidp.model;

import java.time.Instant;

/**
 * A credential that was just made or rotated. The secret is never shown again.
 *
 * @param credentialId its id
 * @param clientId what the agent calls itself by
 * @param clientSecret null with private_key_jwt
 * @param agentId whose it is
 * @param authMethod how it is proved
 * @param status whether it is good
 * @param createdAt when it was made
 * @param expiresAt when it stops being good; null: never
 * @param revokedAt null: it was not revoked
 * @param lastUsedAt null: never
 * @param previousSecretExpiresAt until when the secret before the last rotation works too; null: it does not
 */
public record CredentialWithSecret(
        String credentialId,
        String clientId,
        String clientSecret,
        String agentId,
        AuthMethod authMethod,
        CredentialStatus status,
        Instant createdAt,
        Instant expiresAt,
        Instant revokedAt,
        Instant lastUsedAt,
        Instant previousSecretExpiresAt) {

    /** Without the secret. */
    @Override
    public String toString() {
        return "CredentialWithSecret[credentialId=" + credentialId + ", clientId=" + clientId + "]";
    }
}
