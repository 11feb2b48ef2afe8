package io.github.sentryagent.agentidp.model;

import java.util.List;

/**
 * What the feed says: what is new behind a cursor, or everything.
 *
 * @param epoch names this feed; another one means start over
 * @param cursor for the next call
 * @param entries oldest first
 */
public record RevocationPage(String epoch, String cursor, List<RevocationEntry> entries) {
    /** Lists that are absent are empty. */
    public RevocationPage {
        entries = entries == null ? List.of() : List.copyOf(entries);
    }
}
