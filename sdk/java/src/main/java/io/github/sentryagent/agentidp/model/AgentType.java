package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;

/** A label for people; authority comes from capabilities alone. */
public enum AgentType {
    /** Screens. */
    @JsonProperty("screener")
    SCREENER,
    /** Classifies. */
    @JsonProperty("classifier")
    CLASSIFIER,
    /** Directs others. */
    @JsonProperty("orchestrator")
    ORCHESTRATOR,
    /** Extracts. */
    @JsonProperty("extractor")
    EXTRACTOR,
    /** Sums up. */
    @JsonProperty("summarizer")
    SUMMARIZER,
    /** Routes. */
    @JsonProperty("router")
    ROUTER,
    /** Watches. */
    @JsonProperty("monitor")
    MONITOR,
    /** Anything else. */
    @JsonProperty("custom")
    CUSTOM,
    /** Administrates. */
    @JsonProperty("administrator")
    ADMINISTRATOR,
    /** Guards an API. */
    @JsonProperty("sidecar")
    SIDECAR,
    /** One that this version does not know. Only in answers. */
    @JsonEnumDefaultValue
    UNKNOWN
}
