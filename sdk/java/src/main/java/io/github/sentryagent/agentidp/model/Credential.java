package io.github.sentryagent.agentidp.model;

import java.time.Instant;

/**
 * What an agent authenticates with.
 *
 * @param credentialId its id
 * @param clientId what the agent calls itself by
 * @param agentId whose it is
 * @param authMethod how it is proved
 * @param status whether it is good
 * @param createdAt when it was made
 * @param expiresAt when it stops being good; null: never
 * @param revokedAt when it was revoked; null: it was not
 * @param lastUsedAt when it last got a token; null: never
 * @param previousSecretExpiresAt until when the secret before the last rotation works too; null: it does not
 */
public record Credential(
        String credentialId,
        String clientId,
        String agentId,
        AuthMethod authMethod,
        CredentialStatus status,
        Instant createdAt,
        Instant expiresAt,
        Instant revokedAt,
        Instant lastUsedAt,
        Instant previousSecretExpiresAt) {}
