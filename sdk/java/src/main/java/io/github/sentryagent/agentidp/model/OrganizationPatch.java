package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonValue;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** Changes the members that are set. */
public final class OrganizationPatch {
    private final Map<String, Object> members;

    private OrganizationPatch(Map<String, Object> members) {
        this.members = members;
    }

    /**
     * Begins one.
     *
     * @return without anything set
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * What is sent.
     *
     * @return by the API's names; a null clears
     */
    @JsonValue
    @JsonInclude(content = JsonInclude.Include.ALWAYS)
    public Map<String, Object> members() {
        return members;
    }

    /** Collects changes. */
    public static final class Builder {
        private final Map<String, Object> members = new LinkedHashMap<>();

        private Builder() {}

        /**
         * Sets {@code name}.
         *
         * @param name for people
         * @return this
         */
        public Builder name(String name) {
            members.put("name", name);
            return this;
        }

        /**
         * Sets {@code plan}.
         *
         * @param plan its limits
         * @return this
         */
        public Builder plan(Plan plan) {
            members.put("plan", plan);
            return this;
        }

        /**
         * Sets {@code maxCredentialAge}.
         *
         * @param maxCredentialAge seconds that a secret is good; 0: no limit
         * @return this
         */
        public Builder maxCredentialAge(long maxCredentialAge) {
            members.put("maxCredentialAge", maxCredentialAge);
            return this;
        }

        /**
         * Ends it.
         *
         * @return what was set
         */
        public OrganizationPatch build() {
            return new OrganizationPatch(Collections.unmodifiableMap(new LinkedHashMap<>(members)));
        }
    }
}
