package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;

/** Whether an agent gets tokens. */
public enum AgentStatus {
    /** It does. */
    @JsonProperty("active")
    ACTIVE,
    /** Not until it is reactivated. */
    @JsonProperty("suspended")
    SUSPENDED,
    /** Never again. */
    @JsonProperty("decommissioned")
    DECOMMISSIONED,
    /** One that this version does not know. Only in answers. */
    @JsonEnumDefaultValue
    UNKNOWN
}
