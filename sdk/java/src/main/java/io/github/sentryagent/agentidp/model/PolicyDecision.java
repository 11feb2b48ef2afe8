package io.github.sentryagent.agentidp.model;

import java.util.Map;

/**
 * What the policy decides.
 *
 * @param allow whether it may be done
 * @param reason lower_snake
 * @param obligations what must be seen to before the permission is acted on; may be null
 * @param revision of the policy
 * @param durationMs how long it took
 * @param error why it could not decide; may be null
 */
public record PolicyDecision(
        boolean allow,
        String reason,
        Map<String, Object> obligations,
        String revision,
        double durationMs,
        String error) {}
