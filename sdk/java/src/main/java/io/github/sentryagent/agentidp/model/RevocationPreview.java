package io.github.sentryagent.agentidp.model;

import java.time.Instant;

/**
 * What a revocation would cut off now.
 *
 * @param type what is named
 * @param id as the feed would name it
 * @param organizationId of the subject; null of a key
 * @param at when it was counted
 * @param liveTokens issued and neither expired nor revoked
 * @param bound what that number is worth: exact, at_least or at_most
 * @param agents active ones whose tokens die
 * @param credentials live ones whose tokens die
 * @param sidecars connected ones of the organization
 */
public record RevocationPreview(
        RevocationType type,
        String id,
        String organizationId,
        Instant at,
        long liveTokens,
        String bound,
        long agents,
        long credentials,
        long sidecars) {}
