package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;

/** How a client proves itself. */
public enum AuthMethod {
    /** By a secret. */
    @JsonProperty("client_secret")
    CLIENT_SECRET,
    /** By assertions that a key of the agent signs. */
    @JsonProperty("private_key_jwt")
    PRIVATE_KEY_JWT,
    /** One that this version does not know. Only in answers. */
    @JsonEnumDefaultValue
    UNKNOWN
}
