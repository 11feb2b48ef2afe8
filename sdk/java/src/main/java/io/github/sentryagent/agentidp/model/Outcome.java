package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;

/** How what an event tells of ended. */
public enum Outcome {
    /** Well. */
    @JsonProperty("success")
    SUCCESS,
    /** It failed. */
    @JsonProperty("failure")
    FAILURE,
    /** It was denied. */
    @JsonProperty("denied")
    DENIED,
    /** One that this version does not know. Only in answers. */
    @JsonEnumDefaultValue
    UNKNOWN
}
