package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;

/** The limits that an organization lives under. */
public enum Plan {
    /** The limits of the free tier. */
    @JsonProperty("free")
    FREE,
    /** Limits of its own. */
    @JsonProperty("custom")
    CUSTOM,
    /** One that this version does not know. Only in answers. */
    @JsonEnumDefaultValue
    UNKNOWN
}
