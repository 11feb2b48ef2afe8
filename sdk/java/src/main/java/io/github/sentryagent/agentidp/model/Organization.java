package io.github.sentryagent.agentidp.model;

import java.time.Instant;

/**
 * A tenant.
 *
 * @param organizationId its id
 * @param name for people
 * @param plan its limits
 * @param maxCredentialAge seconds that a secret is good; 0: no limit
 * @param createdAt when it was made
 * @param updatedAt when it was last changed
 */
public record Organization(
        String organizationId, String name, Plan plan, long maxCredentialAge, Instant createdAt, Instant updatedAt) {}
