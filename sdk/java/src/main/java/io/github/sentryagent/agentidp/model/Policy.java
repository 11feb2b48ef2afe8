package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonEnumDefaultValue;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Instant;
import java.util.List;
import java.util.Map;

/**
 * The policy in force, whole.
 *
 * @param revision names its files
 * @param epoch raised by every reload since the start of the replica
 * @param loadedAt when
 * @param source where it comes from
 * @param tests of the policy's own; all passed
 * @param files its text
 * @param data the data document
 * @param reloadFailures reloads that kept the old one
 * @param lastError of the latest reload, when it failed; may be null
 */
public record Policy(
        String revision,
        long epoch,
        Instant loadedAt,
        Source source,
        int tests,
        List<File> files,
        Map<String, Object> data,
        long reloadFailures,
        ReloadError lastError) {

    /** Where a policy comes from. */
    public enum Source {
        /** The product's own. */
        @JsonProperty("builtIn")
        BUILT_IN,
        /** A folder of the operator's. */
        @JsonProperty("folder")
        FOLDER,
        /** One that this version does not know. Only in answers. */
        @JsonEnumDefaultValue
        UNKNOWN
    }

    /**
     * One file of a policy.
     *
     * @param name its name
     * @param sha256 hex
     * @param text whole
     */
    public record File(String name, String sha256, String text) {}

    /**
     * Why the latest reload failed.
     *
     * @param message for people
     * @param at when
     */
    public record ReloadError(String message, Instant at) {}
}
