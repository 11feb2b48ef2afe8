package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;

/** The length of a bucket. */
public enum StatsStep {
    /** Kept for 48 hours. */
    @JsonProperty("1m")
    MINUTE("1m"),
    /** Kept for 400 days. */
    @JsonProperty("1h")
    HOUR("1h"),
    /** Kept for 400 days. */
    @JsonProperty("1d")
    DAY("1d"),
    /** One that this version does not know. Only in answers. */
    @JsonEnumDefaultValue
    UNKNOWN("");

    private final String code;

    StatsStep(String code) {
        this.code = code;
    }

    /**
     * The API's name.
     *
     * @return such as {@code 1h}
     */
    public String code() {
        return code;
    }
}
