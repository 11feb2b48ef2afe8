package io.github.sentryagent.agentidp.model;

import java.time.Instant;

/**
 * What an organization used of its plan.
 *
 * @param organizationId the organization
 * @param month as 2026-07, UTC
 * @param agentsUsed not decommissioned
 * @param agentsLimit 0: no limit
 * @param tokensUsed of all its agents in the month
 * @param tokensLimitPerAgent 0: no limit
 * @param resetsAt when the next month begins
 */
public record OrganizationUsage(
        String organizationId,
        String month,
        long agentsUsed,
        long agentsLimit,
        long tokensUsed,
        long tokensLimitPerAgent,
        Instant resetsAt) {}
