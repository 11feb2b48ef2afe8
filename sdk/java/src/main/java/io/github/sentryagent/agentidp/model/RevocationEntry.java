package io.github.sentryagent.agentidp.model;

import java.time.Instant;

/**
 * One entry of the revocation feed.
 *
 * @param seq from 1
 * @param type what is cut off
 * @param id which
 * @param epoch tokens with a lower rev member are dead; null with a key or token
 * @param exp Unix seconds after which it may be forgotten; null with others than a token
 * @param reason lower_snake
 * @param at when
 */
public record RevocationEntry(
        long seq, RevocationType type, String id, Long epoch, Long exp, String reason, Instant at) {}
