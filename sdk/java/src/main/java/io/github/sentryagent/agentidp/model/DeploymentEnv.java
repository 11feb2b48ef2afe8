package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;

/** Where an agent runs. */
public enum DeploymentEnv {
    /** Development. */
    @JsonProperty("development")
    DEVELOPMENT,
    /** Staging. */
    @JsonProperty("staging")
    STAGING,
    /** Production. */
    @JsonProperty("production")
    PRODUCTION,
    /** One that this version does not know. Only in answers. */
    @JsonEnumDefaultValue
    UNKNOWN
}
