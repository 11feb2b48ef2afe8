package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;

/** What a signing key does. */
public enum KeyStatus {
    /** It is published, and does not sign yet. */
    @JsonProperty("next")
    NEXT,
    /** It signs. */
    @JsonProperty("active")
    ACTIVE,
    /** It only verifies. */
    @JsonProperty("retired")
    RETIRED,
    /** One that this version does not know. Only in answers. */
    @JsonEnumDefaultValue
    UNKNOWN
}
