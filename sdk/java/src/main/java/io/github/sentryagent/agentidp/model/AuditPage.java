package io.github.sentryagent.agentidp.model;

import java.time.Instant;
import java.util.List;

/**
 * One page of events, newest first.
 *
 * @param data the events
 * @param nextCursor for the next page; null on the last
 * @param scannedTo of a search by text, how far was looked; may be null
 */
public record AuditPage(List<AuditEvent> data, String nextCursor, Instant scannedTo) {
    /** Lists that are absent are empty. */
    public AuditPage {
        data = data == null ? List.of() : List.copyOf(data);
    }
}
