package io.github.sentryagent.agentidp.model;

import java.util.Map;

/**
 * Whether the IdP can do its work.
 *
 * @param status ok, degraded or unavailable
 * @param version of the IdP
 * @param dependencies what it needs
 */
public record Health(String status, String version, Map<String, Dependency> dependencies) {

    /**
     * Something that the IdP needs.
     *
     * @param status ok, degraded or unavailable
     * @param reason why it is not ok; may be null
     * @param backend what serves it; may be null
     */
    public record Dependency(String status, String reason, String backend) {}
}
