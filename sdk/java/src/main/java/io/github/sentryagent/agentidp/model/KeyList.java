package io.github.sentryagent.agentidp.model;

import java.util.List;

/**
 * Every signing key, and the key of the audit log.
 *
 * @param data the one that signs first
 * @param verifierKey of the checkpoints, as C2SP signed-note has it
 */
public record KeyList(List<SigningKey> data, String verifierKey) {
    /** Lists that are absent are empty. */
    public KeyList {
        data = data == null ? List.of() : List.copyOf(data);
    }
}
