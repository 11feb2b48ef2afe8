package io.github.sentryagent.agentidp.model;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/**
 * A registered identity.
 *
 * @param agentId its id
 * @param organizationId its tenant
 * @param email unique in the organization
 * @param agentType a label for people
 * @param version semantic
 * @param capabilities such as {@code notes:read}
 * @param owner who answers for it
 * @param deploymentEnv where it runs
 * @param status whether it gets tokens
 * @param metadata anything that helps the owner; null when there is none
 * @param jwks the keys of its client assertions, a JWK Set; null when there is none
 * @param jwksUri where it publishes them instead; null when it does not
 * @param createdAt when it was registered
 * @param updatedAt when it was last changed
 * @param lastAuthAt when it last got a token, to a minute; null before the first
 */
public record Agent(
        String agentId,
        String organizationId,
        String email,
        AgentType agentType,
        String version,
        List<String> capabilities,
        String owner,
        DeploymentEnv deploymentEnv,
        AgentStatus status,
        Map<String, Object> metadata,
        Map<String, Object> jwks,
        String jwksUri,
        Instant createdAt,
        Instant updatedAt,
        Instant lastAuthAt) {
    /** Lists that are absent are empty. */
    public Agent {
        capabilities = capabilities == null ? List.of() : List.copyOf(capabilities);
    }
}
