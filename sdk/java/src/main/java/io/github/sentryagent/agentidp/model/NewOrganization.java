package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonValue;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** Makes an organization: organizationId and name are needed. */
public final class NewOrganization {
    private final Map<String, Object> members;

    private NewOrganization(Map<String, Object> members) {
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

    /** Collects a new organization. */
    public static final class Builder {
        private final Map<String, Object> members = new LinkedHashMap<>();

        private Builder() {}

        /**
         * Sets {@code organizationId}.
         *
         * @param organizationId lower case letters, digits and dashes
         * @return this
         */
        public Builder organizationId(String organizationId) {
            members.put("organizationId", organizationId);
            return this;
        }

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
         * Sets {@code administratorEmail}.
         *
         * @param administratorEmail without one admin@localhost
         * @return this
         */
        public Builder administratorEmail(String administratorEmail) {
            members.put("administratorEmail", administratorEmail);
            return this;
        }

        /**
         * Ends it.
         *
         * @return what was set
         */
        public NewOrganization build() {
            return new NewOrganization(Collections.unmodifiableMap(new LinkedHashMap<>(members)));
        }
    }
}
