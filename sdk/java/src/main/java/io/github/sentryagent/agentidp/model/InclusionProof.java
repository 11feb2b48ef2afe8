package io.github.sentryagent.agentidp.model;

import java.util.List;

/**
 * Proves that an event is in the log (RFC 6962 section 2.1.1). Hashes are base64.
 *
 * @param leafIndex of the event
 * @param treeSize of the tree
 * @param leafHash of the event
 * @param rootHash of the tree
 * @param hashes the path
 */
public record InclusionProof(long leafIndex, long treeSize, String leafHash, String rootHash, List<String> hashes) {
    /** Lists that are absent are empty. */
    public InclusionProof {
        hashes = hashes == null ? List.of() : List.copyOf(hashes);
    }
}
