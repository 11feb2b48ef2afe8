package io.github.sentryagent.agentidp.model;

import java.time.Instant;

/**
 * What an agent used of its quota in the current UTC calendar month.
 *
 * @param agentId the agent
 * @param month as 2026-07
 * @param tokensUsed so far
 * @param tokensLimit 0: no limit
 * @param resetsAt when the next month begins
 */
public record Usage(String agentId, String month, long tokensUsed, long tokensLimit, Instant resetsAt) {}
