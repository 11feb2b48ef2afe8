package io.github.sentryagent.agentidp;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What an agent may do.
 *
 * @param resource may be {@code *} as a whole
 * @param action may be {@code *} as a whole
 */
record Capability(String resource, String action) {
    private static final int MAX_LENGTH = 128;
    private static final String ANY = "*";
    private static final String SIDE = "([a-z0-9][a-z0-9._/-]*|\\*)";
    private static final Pattern FORM = Pattern.compile(SIDE + ":" + SIDE);

    /** Resources of the IdP's own management API: a wildcard resource never covers them. */
    private static final Set<String> RESERVED = Set.of(
            "agents",
            "audit",
            "credentials",
            "decisions",
            "keys",
            "organizations",
            "policies",
            "revocations",
            "sidecars",
            "tokens");

    /** Null when the text is none; nothing is trimmed or folded. */
    static Capability parse(String text) {
        Matcher form = FORM.matcher(text);
        return text.length() <= MAX_LENGTH && form.matches() ? new Capability(form.group(1), form.group(2)) : null;
    }

    /** Those of a scope; none at all when a member is no capability. */
    static List<Capability> ofScope(String scope) {
        List<Capability> all = new ArrayList<>();
        for (String member : scope.split(" ", -1)) {
            Capability capability = parse(member);
            if (capability == null) {
                return List.of();
            }
            all.add(capability);
        }
        return all;
    }

    boolean covers(Capability needed) {
        boolean anywhere = resource.equals(ANY) && !RESERVED.contains(needed.resource);
        return (anywhere || resource.equals(needed.resource)) && (action.equals(ANY) || action.equals(needed.action));
    }
}
