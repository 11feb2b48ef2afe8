package io.github.sentryagent.agentidp;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Reads the claims of an access token by exact names and strict types. Times against a clock are not its business. */
final class Claims {
    private static final int MAX_IDENTITY = 256;
    private static final int MAX_REFERENCE = 2 << 10;
    /** 9999-12-31T23:59:59Z; beyond it is nonsense or an overflow attempt. */
    private static final long MAX_TIME = 253_402_300_799L;

    private final Map<String, Object> members;

    private Claims(Map<String, Object> members) {
        this.members = members;
    }

    /**
     * Claims of good form.
     *
     * @param notBefore null when absent
     */
    record Read(VerifiedToken token, Instant notBefore) {}

    static Read read(Map<String, Object> members, String kid) {
        Claims claims = new Claims(members);
        Instant notBefore = members.containsKey("nbf") ? claims.time("nbf") : null;
        claims.rev();
        return new Read(
                new VerifiedToken(
                        claims.text("iss", MAX_REFERENCE),
                        claims.text("sub", MAX_IDENTITY),
                        claims.audience(),
                        claims.text("client_id", MAX_IDENTITY),
                        claims.text("org", MAX_IDENTITY),
                        claims.scope(),
                        claims.text("jti", MAX_IDENTITY),
                        claims.time("iat"),
                        claims.time("exp"),
                        claims.status(),
                        kid),
                notBefore);
    }

    private static TokenRefusedException invalid(String name) {
        return new TokenRefusedException(RefusalReason.CLAIMS_INVALID, name);
    }

    private String text(String name, int limit) {
        return bounded(members.get(name), name, limit);
    }

    /** No control characters: these texts go into headers and logs. */
    private static String bounded(Object value, String name, int limit) {
        if (!(value instanceof String text)
                || text.isEmpty()
                || CompactJws.bytes(text) > limit
                || text.chars().anyMatch(Character::isISOControl)) {
            throw invalid(name);
        }
        return text;
    }

    private List<String> audience() {
        Object value = members.get("aud");
        List<?> all = value instanceof List<?> list ? list : value instanceof String one ? List.of(one) : List.of();
        if (all.isEmpty()) {
            throw invalid("aud");
        }
        return all.stream().map(one -> bounded(one, "aud", MAX_REFERENCE)).toList();
    }

    /** Empty, or scope-tokens separated by single spaces (RFC 6749 section 3.3). */
    private String scope() {
        Object value = members.getOrDefault("scope", "");
        if (!(value instanceof String text)) {
            throw invalid("scope");
        }
        char previous = ' ';
        for (char c : text.toCharArray()) {
            if (c == ' ' && previous == ' ' || c < ' ' || c > '~' || c == '"' || c == '\\') {
                throw invalid("scope");
            }
            previous = c;
        }
        if (!text.isEmpty() && previous == ' ') {
            throw invalid("scope");
        }
        return text;
    }

    private Instant time(String name) {
        if (members.get(name) instanceof Long seconds && seconds > 0 && seconds <= MAX_TIME) {
            return Instant.ofEpochSecond(seconds);
        }
        throw invalid(name);
    }

    private void rev() {
        if (!(members.get("rev") instanceof List<?> epochs)
                || epochs.size() != 3
                || !epochs.stream().allMatch(epoch -> epoch instanceof Long number && number >= 0)) {
            throw invalid("rev");
        }
    }

    /** Other mechanisms than a list may stand in the status claim. */
    private Optional<VerifiedToken.StatusReference> status() {
        Object status = members.get("status");
        if (!members.containsKey("status")) {
            return Optional.empty();
        }
        if (!(status instanceof Map<?, ?> mechanisms)) {
            throw invalid("status");
        }
        if (!mechanisms.containsKey("status_list")) {
            return Optional.empty();
        }
        if (!(mechanisms.get("status_list") instanceof Map<?, ?> list)
                || !(list.get("idx") instanceof Long index)
                || index < 0) {
            throw invalid("status");
        }
        return Optional.of(new VerifiedToken.StatusReference(bounded(list.get("uri"), "status", MAX_REFERENCE), index));
    }
}
