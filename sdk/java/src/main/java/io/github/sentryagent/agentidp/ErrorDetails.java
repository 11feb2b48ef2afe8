package io.github.sentryagent.agentidp;

import java.util.List;

/**
 * More about a refusal; which members are set depends on its code.
 *
 * @param fields of {@code VALIDATION_FAILED}: the members that break a rule
 * @param reason stable, lower_snake; empty when there is none
 * @param nextSequence of {@code SEQUENCE_GAP}; null with other codes
 * @param credentialId of a repeated request that made a secret before; empty with others
 */
public record ErrorDetails(List<Field> fields, String reason, Long nextSequence, String credentialId) {
    static final ErrorDetails NONE = new ErrorDetails(null, null, null, null);

    /** Null members become empty ones. */
    public ErrorDetails {
        fields = fields == null ? List.of() : List.copyOf(fields);
        reason = reason == null ? "" : reason;
        credentialId = credentialId == null ? "" : credentialId;
    }

    /**
     * A member of the request that breaks a rule.
     *
     * @param field its path, as {@code capabilities[0]}
     * @param rule what it must be
     */
    public record Field(String field, String rule) {}
}
