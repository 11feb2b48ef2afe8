package io.github.sentryagent.agentidp.model;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Bounds counts. What is null has the API's defaults.
 *
 * @param step the length of a bucket; null: an hour
 * @param from the first bucket holds this time; null: an hour, a day or 30 days before to, by step
 * @param to the last bucket ends at this time or holds it; null: now
 * @param organizationId another one than all, for the operator; may be null
 */
public record StatsQuery(StatsStep step, Instant from, Instant to, String organizationId) {
    /** A day up to now, by the hour. */
    public static final StatsQuery DEFAULT = new StatsQuery(null, null, null, null);

    /**
     * What is asked for.
     *
     * @return by the API's names
     */
    public Map<String, String> parameters() {
        Map<String, String> parameters = new LinkedHashMap<>();
        if (step != null) {
            parameters.put("step", step.code());
        }
        if (from != null) {
            parameters.put("from", from.toString());
        }
        if (to != null) {
            parameters.put("to", to.toString());
        }
        if (organizationId != null) {
            parameters.put("organizationId", organizationId);
        }
        return parameters;
    }
}
