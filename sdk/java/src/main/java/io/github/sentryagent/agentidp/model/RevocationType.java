package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;

/** What a revocation cuts off. */
public enum RevocationType {
    /** All tokens of an agent. */
    @JsonProperty("agent")
    AGENT,
    /** All tokens of a credential. */
    @JsonProperty("credential")
    CREDENTIAL,
    /** All tokens of an organization. */
    @JsonProperty("organization")
    ORGANIZATION,
    /** All tokens that a key signed. */
    @JsonProperty("kid")
    KID,
    /** One token. */
    @JsonProperty("jti")
    JTI,
    /** One that this version does not know. Only in answers. */
    @JsonEnumDefaultValue
    UNKNOWN
}
