package io.github.sentryagent.agentidp.model;

import java.time.Instant;
import java.util.Map;

/**
 * One entry of the audit log.
 *
 * @param eventId its id
 * @param sequence its leaf in the tree, from 0
 * @param organizationId whose log
 * @param agentId who acted; null when unknown
 * @param action as {@code token.issued}
 * @param outcome how it ended
 * @param reason lower_snake; null on success
 * @param ipAddress of the caller; may be null
 * @param userAgent of the caller; may be null
 * @param requestId of the request; may be null
 * @param metadata more, depending on the action; may be null
 * @param timestamp when
 */
public record AuditEvent(
        String eventId,
        long sequence,
        String organizationId,
        String agentId,
        String action,
        Outcome outcome,
        String reason,
        String ipAddress,
        String userAgent,
        String requestId,
        Map<String, Object> metadata,
        Instant timestamp) {}
