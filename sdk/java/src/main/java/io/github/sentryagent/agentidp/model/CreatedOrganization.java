package io.github.sentryagent.agentidp.model;

/**
 * A new organization, and its administrator with the secret that is never shown again.
 *
 * @param organization the tenant
 * @param administrator its first agent
 * @param credential of the administrator
 */
public record CreatedOrganization(Organization organization, Agent administrator, CredentialWithSecret credential) {}
