package io.github.sentryagent.agentidp.model;

import java.time.Instant;
import java.util.List;

/**
 * How often what happened, and what there is now.
 *
 * @param from when the first bucket begins
 * @param to when the last one ends
 * @param step the length of a bucket
 * @param keptFrom since when buckets of this step are whole
 * @param organizationId whose; null: the whole installation
 * @param buckets all between from and to, oldest first
 * @param totals of all buckets
 * @param topDenied what denials were about
 * @param now what there is at the time of the answer
 */
public record Stats(
        Instant from,
        Instant to,
        StatsStep step,
        Instant keptFrom,
        String organizationId,
        List<Bucket> buckets,
        List<Count> totals,
        TopDenied topDenied,
        Now now) {

    /**
     * What happened in one step.
     *
     * @param at when it begins
     * @param counts by action and outcome
     */
    public record Bucket(Instant at, List<Count> counts) {}

    /**
     * How often an action ended so.
     *
     * @param action as {@code token.issued}
     * @param outcome how it ended
     * @param count at least 1
     */
    public record Count(String action, Outcome outcome, long count) {}

    /**
     * What the newest denials of sidecars were about, at most ten of each, highest counts first.
     *
     * @param since how far back was looked
     * @param complete all denials of the window were looked at
     * @param denials that were looked at
     * @param capabilities that were demanded
     * @param agents that were denied
     */
    public record TopDenied(
            Instant since,
            boolean complete,
            long denials,
            List<CapabilityDenied> capabilities,
            List<AgentDenied> agents) {}

    /**
     * How often a capability was missing.
     *
     * @param capability that the route demanded
     * @param count at least 1
     */
    public record CapabilityDenied(String capability, long count) {}

    /**
     * How often an agent was denied.
     *
     * @param agentId which
     * @param count at least 1
     */
    public record AgentDenied(String agentId, long count) {}

    /**
     * What there is.
     *
     * @param at when
     * @param agents by status
     * @param credentials that are good
     * @param tokensThisMonth issued in this UTC calendar month
     * @param sidecars by when they were last seen
     */
    public record Now(Instant at, Agents agents, Credentials credentials, long tokensThisMonth, Sidecars sidecars) {}

    /**
     * Agents by status.
     *
     * @param active how many
     * @param suspended how many
     * @param decommissioned how many
     * @param environments of the active and suspended ones
     */
    public record Agents(long active, long suspended, long decommissioned, Environments environments) {}

    /**
     * Agents by where they run.
     *
     * @param development how many
     * @param staging how many
     * @param production how many
     */
    public record Environments(long development, long staging, long production) {}

    /**
     * Credentials.
     *
     * @param active neither revoked nor past their end
     * @param expiring of active agents, ending within 14 days
     */
    public record Credentials(long active, long expiring) {}

    /**
     * Sidecars by when they were last seen.
     *
     * @param connected within 5 minutes
     * @param lastHour within an hour
     */
    public record Sidecars(long connected, long lastHour) {}
}
