package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonValue;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Registers an agent: email, agentType, version, capabilities, owner and deploymentEnv are needed. */
public final class NewAgent {
    private final Map<String, Object> members;

    private NewAgent(Map<String, Object> members) {
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

    /** Collects a new agent. */
    public static final class Builder {
        private final Map<String, Object> members = new LinkedHashMap<>();

        private Builder() {}

        /**
         * Sets {@code organizationId}.
         *
         * @param organizationId another one than the caller's, for the operator
         * @return this
         */
        public Builder organizationId(String organizationId) {
            members.put("organizationId", organizationId);
            return this;
        }

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
         * Sets {@code metadata}.
         *
         * @param metadata anything that helps the owner
         * @return this
         */
        public Builder metadata(Map<String, Object> metadata) {
            members.put("metadata", metadata);
            return this;
        }

        /**
         * Sets {@code jwks}.
         *
         * @param jwks the public keys of its client assertions, a JWK Set
         * @return this
         */
        public Builder jwks(Map<String, Object> jwks) {
            members.put("jwks", jwks);
            return this;
        }

        /**
         * Sets {@code jwksUri}.
         *
         * @param jwksUri where it publishes them instead
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
        public NewAgent build() {
            return new NewAgent(Collections.unmodifiableMap(new LinkedHashMap<>(members)));
        }
    }
}
