package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonValue;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Changes the members that are set. */
public final class AgentPatch {
    private final Map<String, Object> members;

    private AgentPatch(Map<String, Object> members) {
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
         * Sets {@code email}.
         *
         * @param email unique in the organization
         * @return this
         */
        public Builder email(String email) {
            members.put("email", email);
            return this;
        }

        /**
         * Sets {@code agentType}.
         *
         * @param agentType a label for people
         * @return this
         */
        public Builder agentType(AgentType agentType) {
            members.put("agentType", agentType);
            return this;
        }

        /**
         * Sets {@code version}.
         *
         * @param version semantic, as 1.0.0
         * @return this
         */
        public Builder version(String version) {
            members.put("version", version);
            return this;
        }

        /**
         * Sets {@code capabilities}.
         *
         * @param capabilities such as {@code notes:read}; none: none
         * @return this
         */
        public Builder capabilities(String... capabilities) {
            members.put("capabilities", List.of(capabilities));
            return this;
        }

        /**
         * Sets {@code owner}.
         *
         * @param owner who answers for it
         * @return this
         */
        public Builder owner(String owner) {
            members.put("owner", owner);
            return this;
        }

        /**
         * Sets {@code deploymentEnv}.
         *
         * @param deploymentEnv where it runs
         * @return this
         */
        public Builder deploymentEnv(DeploymentEnv deploymentEnv) {
            members.put("deploymentEnv", deploymentEnv);
            return this;
        }

        /**
         * Sets {@code status}.
         *
         * @param status active or suspended
         * @return this
         */
        public Builder status(AgentStatus status) {
            members.put("status", status);
            return this;
        }

        /**
         * Sets {@code reason}.
         *
         * @param reason why the status changes, for the audit log
         * @return this
         */
        public Builder reason(String reason) {
            members.put("reason", reason);
            return this;
        }

        /**
         * Sets {@code metadata}.
         *
         * @param metadata replaced whole; null clears
         * @return this
         */
        public Builder metadata(Map<String, Object> metadata) {
            members.put("metadata", metadata);
            return this;
        }

        /**
         * Sets {@code jwks}.
         *
         * @param jwks replaced whole; null clears
         * @return this
         */
        public Builder jwks(Map<String, Object> jwks) {
            members.put("jwks", jwks);
            return this;
        }

        /**
         * Sets {@code jwksUri}.
         *
         * @param jwksUri null clears
         * @return this
         */
        public Builder jwksUri(String jwksUri) {
            members.put("jwksUri", jwksUri);
            return this;
        }

        /**
         * Ends it.
         *
         * @return what was set
         */
        public AgentPatch build() {
            return new AgentPatch(Collections.unmodifiableMap(new LinkedHashMap<>(members)));
        }
    }
}
