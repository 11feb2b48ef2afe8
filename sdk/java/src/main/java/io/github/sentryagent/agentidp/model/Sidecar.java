package io.github.sentryagent.agentidp.model;

import java.time.Instant;

/**
 * A sidecar that reports to the IdP.
 *
 * @param sidecarId its id
 * @param agentId whose credential it uses
 * @param agentEmail of that agent; may be null
 * @param organizationId its tenant
 * @param name what it calls itself; may be null
 * @param version its own; may be null
 * @param policyRevision by which it decides; may be null
 * @param feedCursor of the revocations, that it last acknowledged; may be null
 * @param feedSequence of that cursor; null when it is of another feed
 * @param feedCursorAt when it first acknowledged it; may be null
 * @param nextSequence of its decisions
 * @param lastDecisionAt may be null
 * @param seenAt when it was last seen
 * @param connected seen less than 5 minutes ago
 */
public record Sidecar(
        String sidecarId,
        String agentId,
        String agentEmail,
        String organizationId,
        String name,
        String version,
        String policyRevision,
        String feedCursor,
        Long feedSequence,
        Instant feedCursorAt,
        long nextSequence,
        Instant lastDecisionAt,
        Instant seenAt,
        boolean connected) {}
