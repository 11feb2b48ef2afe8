package io.github.sentryagent.agentidp.model;

/**
 * Cuts off what is live now.
 *
 * @param type what
 * @param id agentId, credentialId or clientId, organizationId, kid or jti
 * @param reason for the audit log; may be null
 */
public record NewRevocation(RevocationType type, String id, String reason) {}
