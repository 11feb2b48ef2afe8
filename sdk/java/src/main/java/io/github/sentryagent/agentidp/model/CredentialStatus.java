package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;

/** Whether a credential is good. */
public enum CredentialStatus {
    /** It is. */
    @JsonProperty("active")
    ACTIVE,
    /** Never again. */
    @JsonProperty("revoked")
    REVOKED,
    /** One that this version does not know. Only in answers. */
    @JsonEnumDefaultValue
    UNKNOWN
}
