package io.github.sentryagent.agentidp.model;

import java.util.List;

/**
 * Proves that a later log extends an earlier one (RFC 6962 section 2.1.2). Hashes are base64.
 *
 * @param firstSize of the earlier
 * @param secondSize of the later
 * @param firstRoot of the earlier
 * @param secondRoot of the later
 * @param hashes the path
 */
public record ConsistencyProof(
        long firstSize, long secondSize, String firstRoot, String secondRoot, List<String> hashes) {
    /** Lists that are absent are empty. */
    public ConsistencyProof {
        hashes = hashes == null ? List.of() : List.copyOf(hashes);
    }
}
